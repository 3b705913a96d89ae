"""Real servers for every test that asks: one of each kind for the whole run, started when first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from steward.system import clock

# Tests share what stands in tests/ (`from tests.servers.redis import Redis`) however pytest was started.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMq
from tests.servers.redis import Redis
from tests.servers.smtp_sink import SmtpSink


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The SQLAlchemy URL of an empty database that only this test has."""
    return postgres.create()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A running Redis."""
    with Redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of a Redis that has just been emptied."""
    redis_server.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """A running RabbitMQ."""
    with RabbitMq() as server:
        yield server


@pytest.fixture
def smtp_sink() -> Iterator[Callable[..., SmtpSink]]:
    """Starts Postfix's smtp-sink with the options that it is called with; all are stopped after the test."""
    sinks: list[SmtpSink] = []

    def start(*options: str, keep: bool = True) -> SmtpSink:
        sinks.append(SmtpSink(*options, keep=keep).start())
        return sinks[-1]

    yield start
    for sink in sinks:
        sink.close()


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock that Steward reads in this process: it stands at the moment given until it is set again."""

    def set_to(moment: datetime) -> None:
        stands = clock.micros(moment) * 1000
        monkeypatch.setattr(clock, "read", lambda: stands)

    return set_to
