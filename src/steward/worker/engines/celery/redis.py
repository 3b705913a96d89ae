"""Redis as Celery's broker, borne with: a message that cannot be read is skipped and named, and ends no worker.

Kombu's own lets whatever its reading raises end the consumer, and with it the worker. Nothing is lost by skipping: the
ledger has every task, and the relay publishes again what a broker does not bring.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis

from steward.errors import MissingExtra

try:
    from redis.exceptions import RedisError
except ImportError as error:
    raise MissingExtra(
        "The client of Redis is not installed", "STEWARD_BROKER_URL names one", "pip install 'steward-tasks[celery]'"
    ) from error

_kombu: Any = kombu_redis
log = logging.getLogger(__name__)


class BrokerQoS(_kombu.QoS):  # type: ignore[misc]  # Kombu has half its types
    """What was delivered and not yet acknowledged, as Redis keeps it."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back into its queue; one that cannot be read would stand in the way of all others."""
        with _skipped("a kept message") as skipped:
            super().restore_by_tag(tag, client, leftmost)
        if skipped:
            self._remove_from_indices(tag).execute()


class BrokerChannel(_kombu.Channel):  # type: ignore[misc]
    """A channel whose messages may be anything."""

    QoS = BrokerQoS

    def _brpop_read(self, **options: Any) -> Any:
        read: list[Any] = []
        with _skipped("a message"):
            read.append(super()._brpop_read(**options))
        return read[0] if read else True

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        with _skipped("a kept message"):
            super()._restore(message, leftmost)


class BrokerTransport(_kombu.Transport):  # type: ignore[misc]
    """Kombu's transport with these channels."""

    Channel = BrokerChannel


@contextmanager
def _skipped(what: str) -> Iterator[list[str]]:
    """Bear what the block raises, unless it is Redis' own trouble; the list that is given is not empty then."""
    names: list[str] = []
    try:
        yield names
    except (Empty, OSError, RedisError):
        raise
    except Exception as error:
        names.append(type(error).__name__)
        log.error("%s in the broker that is none of ours was skipped (%s)", what, names[0])
