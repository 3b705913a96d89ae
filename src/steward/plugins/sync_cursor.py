"""Keeps the promise of `Cursor`: each page of a synchronisation is committed to the ledger, fenced by the attempt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from steward.errors import LateWriter, StateConflict
from steward.model.content import Secret
from steward.plugins.run_result import HandlerRequest
from steward.storage import sync_cursors as rows
from steward.storage.database import Ledger
from steward.storage.encryption import Seal
from steward.system.clock import SECOND, now

_SAME = object()


class LedgerCursor:
    """The cursor of one attempt at one task; see `steward.Cursor`."""

    def __init__(self, ledger: Ledger, seal: Seal, request: HandlerRequest) -> None:
        self._ledger, self._seal, self._request = ledger, seal, request
        self._scope: str | None = None
        self._pause = 0
        self._mark = rows.NOWHERE

    @property
    def position(self) -> Any:
        """How far earlier pages have come; None before the first."""
        return self._mark.position

    @property
    def pending(self) -> Any:
        """The page that was begun and not committed, if an earlier attempt ended in the middle of one."""
        return self._mark.pending

    @property
    def secret(self) -> Secret | None:
        """What `keep` has kept."""
        if self._mark.sealed is None:
            return None
        return Secret(self._seal.open(self._mark.sealed, self._owner).decode())

    def look(self, scope: str) -> None:
        """Read position and pending page without taking the cursor; for a dry run."""
        with self._ledger.read() as connection:
            self._mark = rows.read(connection, self._request.name, scope)
        self._scope = scope

    def take(self, scope: str, per_minute: float | None = None) -> None:
        """Take the cursor for this attempt; `begin` then lets at most so many pages a minute pass.

        Raises:
            StateConflict: another task has it and still runs; this one is tried again later.
        """
        task = self._request
        if not self._ledger.apply(lambda c: rows.take(c, task.name, scope, task.task_id, task.claim, now())):
            raise StateConflict(
                f"Another run of {task.name} is under way", "Two at once could send the same page", "It is tried again"
            )
        self._pause = int(60 * SECOND / per_minute) if per_minute else 0
        self.look(scope)

    def begin(self, page: Any) -> None:
        """Commit that `page` is about to be sent: an attempt that dies after this finds it as `pending`.

        Raises:
            LateWriter: the task was cancelled, or given to another worker.
        """
        wait = self._mark.updated_at + self._pause - now()
        if self._pause and wait > 0:
            time.sleep(min(wait, self._pause) / SECOND)
        self._write(pending=page, updated_at=now())

    def commit(
        self, position: Any = _SAME, done: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None
    ) -> None:
        """Commit, together, that the page has been sent: the new position, and what became of its items.

        Raises:
            LateWriter: as `begin`.
        """
        moved = {} if position is _SAME else {"position": position}
        self._write(
            **moved, pending=None, pages=self._mark.pages + 1, updated_at=now(), done=done or {}, refused=refused or {}
        )

    def keep(self, secret: Secret) -> None:
        """Keep a secret, sealed, for later runs: the token for the next sign-in, say. Raises as `begin`."""
        self._write(sealed=self._seal.close(secret.reveal().encode(), self._owner))

    def refused(self) -> dict[str, str]:
        """Return the items that the other side would not take last time, each with the reason."""
        with self._ledger.read() as connection:
            return rows.refused(connection, self._request.name, self._scope or "")

    @property
    def _owner(self) -> str:
        return f"cursor/{self._request.name}/{self._scope}"

    def _write(
        self, *, done: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None, **values: Any
    ) -> None:
        task, scope = self._request, self._scope or ""

        def change(connection: Any) -> bool:
            if not rows.write(connection, task.name, scope, task.task_id, task.claim, values):
                return False
            rows.record(connection, task.name, scope, task.task_id, done or {}, refused or {}, now())
            return True

        if not self._ledger.apply(change):
            raise LateWriter(f"The task {task.task_id} was cancelled, or another worker has taken it over")
        with self._ledger.read() as connection:
            self._mark = rows.read(connection, task.name, scope)
