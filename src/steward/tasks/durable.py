"""The default: the ledger row is the acceptance, and a worker's dispatcher hands it to the worker's pool."""

from __future__ import annotations

import socket
from typing import Any

from steward.model.service import Abilities
from steward.storage.database import Connection, notifications
from steward.storage.fleet import workers
from steward.system.clock import now
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.wakeup import WakeupSender


class DurableTaskService(LedgerTaskService):
    """Accepts, and wakes the dispatcher of a worker process. Survives restarts, schedules, retries: lacks nothing."""

    abilities = Abilities(in_transaction=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._nudge = WakeupSender(self._ports)
        self._notices = notifications.NotificationSender(self.ledger)

    def _ports(self) -> list[int]:
        with self.ledger.read() as connection:
            return workers.nudge_ports(connection, socket.gethostname(), now())

    def _announce(self, ids: list[str]) -> None:
        self._nudge.send()
        self._notices.send()

    def _joined(self, connection: Connection, ids: list[str]) -> None:
        notifications.join(connection)  # the dispatchers hear of it when the application commits
