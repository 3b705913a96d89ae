"""What one process knows of mail's lane: whether letters may go, and what each answer of the server means for it.

The decisions are in the ledger (`storage.fleet.circuit_breaker`), for all processes; what is kept here only saves
asking it for every letter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from steward.mail.transport import Phase, Reply
from steward.model.results import Outcome
from steward.storage.database import Connection
from steward.storage.fleet import circuit_breaker as rows
from steward.storage.fleet.circuit_breaker import STOOD_STILL, TURNED_AWAY
from steward.system.clock import now

log = logging.getLogger(__name__)

HOLD = 1.0
"""Seconds that a refusal holds letters back at most, if the store cannot record it."""
_OF_THE_LETTER = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT)


class MailPaused(Exception):
    """Mail has come to a standstill while a letter was waiting to be made; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class MailCircuitBreaker:
    """One per process. `stopped` is why letters wait, or an empty text while they go."""

    def __init__(self) -> None:
        self.stopped = ""
        self._doubted = False
        self._asking: str | None = None
        self._free = 0
        self._refused_at = -HOLD
        self._heard = threading.Event()

    def reason_to_wait(self, task_id: str) -> str:
        """Return why a letter of this task must wait, or an empty text: of the one that asks one letter may go."""
        if self.stopped and task_id == self._asking and self._free:
            self._free -= 1
            return ""
        if time.monotonic() - self._refused_at < HOLD:
            return "The mail server has just refused us; whether it means this one letter is being looked at."
        return self.stopped

    def refused(self) -> None:
        """Let no letter begin until the refusal that has just come is recorded: hundreds may stand ready."""
        self._refused_at = time.monotonic()

    def reason_to_stop(self, task_id: str) -> str:
        """Return why a letter that has begun to go must wait after all, or an empty text."""
        return "" if task_id == self._asking else self.stopped

    def concerns(self, task_id: str, reply: Reply) -> bool:
        """Return whether what became of a letter says something of mail as a whole: then it is to be heard."""
        if reply.ours or reply.unreachable or self._doubted or task_id == self._asking:
            return True
        if not reply.shared:
            self._refused_at = -HOLD
        return False

    def hear_each(self, connection: Connection, heard: Sequence[tuple[str, Reply, str]]) -> list[str]:
        """Learn from what became of letters (task, reply, and its reason as it is shown to everybody).

        Returns for each an empty text if that counts as the task's own matter, else how an attempt that ends so is
        recorded.
        """
        return [self._hear(connection, *each) for each in heard]

    def _hear(self, connection: Connection, task_id: str, reply: Reply, reason: str) -> str:
        asking = task_id == self._asking
        if not reply.shared:
            self._refused_at = -HOLD
        if asking:
            self._heard.set()
        letter = reply.phase in _OF_THE_LETTER
        if not (reply.ours or reply.unreachable):
            self._judged(connection, reply, asking)
            return ""
        if reply.shared:
            return STOOD_STILL
        if letter and rows.has_passed_since(connection, task_id):
            return ""  # others go through, and this one is turned away each time
        if reply.ours:
            self._stop(rows.refused(connection, reason, now(), task_id if letter else None), reason)
            self.stopped = reason
        else:
            self._unreachable(connection, reason)
        return TURNED_AWAY if letter else STOOD_STILL

    def answer(self, connection: Connection, reply: Reply) -> None:
        """Learn from a question that needed no letter."""
        if reply.ours:
            self._stop(rows.refused(connection, reply.words, now()), reply.words)
            self.stopped = reply.words
        elif reply.outcome is Outcome.ACCEPTED:
            self._pass(connection)
        else:
            self._unreachable(connection, reply.words)

    def knows(self, standing: rows.CircuitBreakerState) -> bool:
        """Return whether this process takes the lane to stand as it does."""
        return bool(self.stopped) is standing.is_open and self._doubted is standing.is_doubted

    def look(self, connection: Connection) -> bool:
        """Take over what other processes have found out; return whether letters may go again since the last look."""
        standing = rows.standing(connection)
        was, self.stopped = self.stopped, (standing.reason or "it refuses us") if standing.is_open else ""
        self._doubted = standing.is_doubted
        return bool(was) and not self.stopped

    def silent(self, connection: Connection, where: str) -> None:
        """Learn that the server took a connection and has said nothing since."""
        self._unreachable(connection, f"{where} takes the connection, and does not greet us")

    def ask_with(self, task_id: str | None) -> bool:
        """Let a letter of this task go although others wait, and then, with None, none; return if one was answered."""
        answered = self._heard.is_set()
        self._asking, self._free = task_id, 1
        self._heard.clear()
        return answered

    def moves(self) -> None:
        """Let letters go: the server has taken us back."""
        self.stopped, self._doubted = "", False

    def _judged(self, connection: Connection, reply: Reply, asking: bool) -> None:
        """The server has dealt with a letter: it is there, and if it took it, it takes us."""
        if not (self._doubted or asking) or reply.code is None:
            return
        how = rows.standing(connection)
        if not how.is_open or (asking and (how.kind == rows.LINE or reply.outcome is Outcome.ACCEPTED)):
            self._pass(connection)

    def _pass(self, connection: Connection) -> None:
        if rows.passed(connection, now()):
            log.warning("mail moves again")
        self.moves()

    def _unreachable(self, connection: Connection, reason: str) -> None:
        self._doubted = True
        if rows.unreachable(connection, reason, now()):
            self.stopped = reason
            self._stop(True, reason)

    def _stop(self, stops: bool, reason: str) -> None:
        self._doubted = True
        if stops:
            log.error("mail stands still: %s", reason)
