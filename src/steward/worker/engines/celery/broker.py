"""Publishes batches of ids through Celery's broker: one connection, every wait bounded, nothing but ids."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from steward.errors import BrokerUnavailable
from steward.installation.settings import Settings, hostname_of
from steward.system.masking import masked
from steward.worker.engines.celery.app import TASK, WAIT, application, dead_letters, is_rabbitmq

T = TypeVar("T")


class CeleryBroker:
    """Used by the relay's thread only. A broker that is down or blocks costs that thread a few seconds, no more."""

    name = "celery"

    def __init__(self, settings: Settings) -> None:
        """`settings` name the broker; nothing is connected yet."""
        self._app = application(settings, publishing=True)
        self._where = hostname_of(settings.broker_url)
        self._rabbitmq = is_rabbitmq(settings.broker_url)
        self._connection: Any = None
        self._channel: Any = None
        self._producer: Any = None

    def publish(self, lane: str, ids: Sequence[str]) -> None:
        """Put `ids` into the queue of `lane`, on disk there when this returns (RabbitMQ; Redis keeps it in memory).

        Raises:
            BrokerUnavailable: not within a few seconds.
        """

        def send() -> None:
            self._app.send_task(
                TASK, args=[list(ids)], queue=lane, producer=self._producer, retry=False, ignore_result=True
            )

        self._bounded(send)

    def waiting(self, lane: str) -> int:
        """Return how many messages wait in the queue of `lane`.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """

        def ask() -> int:
            queue = self._app.amqp.queues[lane](self._channel)
            queue.declare()
            return int(queue.queue_declare().message_count)

        return self._bounded(ask)

    def close(self) -> None:
        """Leave the broker without ceremony: one that is gone cannot say goodbye."""
        connection, self._connection, self._channel, self._producer = self._connection, None, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect(WAIT / 4)

    def _bounded(self, call: Callable[[], T]) -> T:
        try:
            if self._connection is None:
                self._connect()
            return call()
        except Exception as error:
            # Whatever it was (refused, reset, timed out, nacked, closed): this connection is not used again.
            self.close()
            words = masked(str(error)) or type(error).__name__
            raise BrokerUnavailable(
                f"The broker at {self._where} cannot be used just now",
                words,
                "What was accepted waits in the ledger; see that the broker runs, and STEWARD_BROKER_URL",
            ) from error

    def _connect(self) -> None:
        connection = self._app.connection_for_write()
        self._connection = connection
        connection.connect()
        if self._rabbitmq:
            # Without this, waiting for a confirmation or an answer has no end (a measured finding).
            connection.connection.transport.sock.settimeout(WAIT)
        self._channel = connection.channel()
        if self._rabbitmq:
            dead_letters()(self._channel).declare()
        self._producer = self._app.amqp.Producer(self._channel)
