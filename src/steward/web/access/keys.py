"""Says who is asking through the HTTP interface: bearer keys (RFC 6750) and their scopes."""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from steward.errors import MissingScope
from steward.model.caller import Caller
from steward.model.results import TaskResult
from steward.storage import access
from steward.storage.encryption import token_hash
from steward.storage.tasks import search
from steward.web.group_commit import GroupCommitLedger
from steward.web.problems import NotSignedIn

SEERS = ("read", "reports", "operate")
"""Scopes with any of which one sees what is one's own; with `operate` everybody's."""

CHANGERS = ("send", "reports", "operate")
"""Scopes with any of which one stops, repeats and changes what is one's own; with `operate` everybody's."""

ASKERS = ("send", "reports", "operate")
"""Scopes with any of which there is something that one may ask for."""

TRUSTED_FOR = 2.0
"""Seconds for which a key that was looked up is not looked up again: the longest that a revoked key still works."""

_MOST_KNOWN = 1024


class Authenticator:
    """Knows callers by their keys; remembers each for a moment, so that a hundred requests cost one look-up."""

    def __init__(self, ledger: GroupCommitLedger) -> None:
        self.ledger = ledger
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    async def admit(self, request: Request, *scopes: str) -> Caller:
        """Return who sent `request`; any one of `scopes` suffices, and none at all means any key.

        Raises:
            NotSignedIn: there is no key, or it is not in use.
            MissingScope: the key has none of the scopes.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn(
                "This needs a key", "None came with the request", "Send the header Authorization: Bearer stw_…"
            )
        caller = await self.holder_of(token)
        if caller is None:
            raise NotSignedIn(
                "The key is not known",
                "It was revoked, or is not complete",
                "Ask an operator for a key",
                presented=True,
            )
        require(caller, *scopes)
        return caller

    async def holder_of(self, token: str) -> Caller | None:
        """Return who holds `token`, or None if it is no key in use."""
        digest = token_hash(token)
        known = self._known.get(digest)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        self._known.pop(digest, None)
        caller = await run_in_threadpool(self._look_up, token)
        if caller is not None:
            self._known[digest] = (caller, time.monotonic() + TRUSTED_FOR)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return caller

    def signed_in(self, token: str) -> Caller | None:
        """Return who is signed in with a session's token, with the scopes of this moment; None if it has ended."""
        with self.ledger.read() as connection:
            return access.signed_in(connection, token)

    def _look_up(self, token: str) -> Caller | None:
        with self.ledger.read() as connection:
            caller, stale = access.caller_of(connection, token)
        if caller is not None and stale:
            # Not waited for: a read must not wait for whoever writes just now.
            self.ledger.note(lambda connection: access.note_use(connection, caller.id))
        return caller


def require(caller: Caller, *scopes: str) -> None:
    """Return if `caller` has any of `scopes`.

    Raises:
        MissingScope: none of them.
    """
    if scopes and caller.scopes.isdisjoint(scopes):
        raise MissingScope(
            f"This needs the scope {' or '.join(scopes)}",
            f"'{caller.name}' has {', '.join(sorted(caller.scopes)) or 'none'}",
            "Ask an operator for a key that has it",
            scope=" ".join(scopes),
        )


def own(caller: Caller, task: TaskResult) -> TaskResult:
    """Return `task` if it is `caller`'s to see and to change: it is their own, or they operate.

    Raises:
        UnknownTask: it is another's. The words are those for a task that is not there, so that nothing is learnt.
    """
    if caller.sees(task.name, task.owner_id):
        return task
    raise search.unknown(task.id)
