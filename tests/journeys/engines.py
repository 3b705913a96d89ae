"""The engines that the journeys through broken machines are made with. To add one, add one entry to `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Servers = Callable[[str], Any]
"""Gives a running server by the name of its fixture in tests/conftest.py (`rabbitmq`, `redis_server`, `postgres`)."""

ENGINES: dict[str, Callable[[Servers], dict[str, Any]]] = {
    "durable": lambda servers: {"engine": "durable"},
    "durable-postgresql": lambda servers: {"engine": "durable", "database_url": servers("postgres").create()},
    "celery-rabbitmq": lambda servers: {
        "engine": "celery",
        "broker_url": servers("rabbitmq").url,
        "database_url": servers("postgres").create(),
    },
    "celery-redis": lambda servers: {"engine": "celery", "broker_url": servers("redis_url")},
}
"""By name: the settings that choose the engine, given the servers that it needs."""


def settings_of(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of the engine `name`; its servers are started when first asked for."""
    return ENGINES[name](request.getfixturevalue)
