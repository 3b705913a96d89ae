"""Decides how an attempt ends: pure functions from what happened to the task's next state."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from steward.errors import StewardError, TaskError
from steward.mail.transport import Reply
from steward.model.content import mask
from steward.model.declaration.handler import Handler
from steward.model.declaration.retry import RetryPolicy
from steward.model.results import Outcome
from steward.model.states import MAX_STARTS, State, Task
from steward.plugins.run_result import HandlerFailure
from steward.storage.fleet.circuit_breaker import TURNED_AWAY
from steward.storage.tasks.attempts import AttemptEnd
from steward.storage.tasks.deliveries import StoredDelivery
from steward.system.clock import SECOND

HOLD = (
    "It is not known whether {to} got this letter: the connection was lost{times} after it had been sent."
    " {copies} may have arrived. Try again to send it once more, or leave it."
)
MOST_UNCERTAIN = 3
"""After so many uncertain ends a letter waits for a person: a server that never answers the dot may deliver each."""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What became of one recipient's copy in this attempt, or `earlier`.

    Where it does not count against the task, `waits` says how the attempt is recorded: `storage.fleet.circuit_breaker`.
    """

    to: str
    outcome: Outcome
    words: str = ""
    hold: bool = False
    counts: bool = True
    ends: int = 1
    """How often it was sent and nobody knows whether it arrived, where `outcome` is uncertain."""
    waits: str = ""
    earlier: bool = False


def is_held(handler: Handler, ends: int) -> bool:
    """Return whether a letter that has ended uncertain so often waits for a person."""
    return handler.on_uncertain == "hold" or ends >= MOST_UNCERTAIN


def fate(handler: Handler, copy: StoredDelivery, reply: Reply, waits: str) -> DeliveryOutcome:
    """Return what became of a copy; `waits` is how the attempt is recorded where it does not count."""
    ends = copy.uncertain + 1
    hold = reply.outcome is Outcome.UNCERTAIN and is_held(handler, ends)
    return DeliveryOutcome(
        copy.recipient, reply.outcome, reply.words, hold=hold, counts=not waits, waits=waits, ends=ends
    )


def failure(error: Exception, secrets: Sequence[str]) -> HandlerFailure:
    """Return why an attempt has failed with `error`, in words without `secrets`."""
    if isinstance(error, StewardError):
        # A render's limit is final too: the same document would reach it again, and four times the limit is no limit.
        return HandlerFailure(str(error), final=isinstance(error, TaskError))
    return HandlerFailure(mask(f"The task failed: {type(error).__name__}: {error}.", secrets))


def blocked(task: Task, claim: str, now: int) -> AttemptEnd:
    """Return the ending of a task whose plugin is missing: held, not lost."""
    return AttemptEnd(
        task.id,
        task.attempt,
        claim,
        State.BLOCKED,
        now,
        error=f"No plugin offers '{task.name}' at present. The task waits, and goes on when the plugin is back.",
    )


def expired(task: Task, claim: str, now: int) -> AttemptEnd:
    """Return the ending of a task whose time has passed."""
    return AttemptEnd(
        task.id,
        task.attempt,
        claim,
        State.EXPIRED,
        now,
        error="It expired before it could be sent; nothing was sent after that.",
    )


def failed(
    task: Task, claim: str, handler: Handler, failure: HandlerFailure, now: int, chance: float | None = None
) -> AttemptEnd:
    """Return the ending after a handler or a render failed: again later, or for good."""
    words = failure.words
    if failure.crashed:
        starts = task.lost + failure.crashed
        if starts >= MAX_STARTS:
            words = f"Stopped after {starts} starts: {words}"
        else:
            # Soon, but not at once: a process that died for want of memory needs a moment's room.
            due = now + (2**starts) * SECOND
            return AttemptEnd(
                task.id, task.attempt, claim, State.RETRYING, now, words, due_at=due, lost=failure.crashed
            )
        return AttemptEnd(task.id, task.attempt, claim, State.FAILED, now, words, lost=failure.crashed)
    if failure.final:
        return AttemptEnd(task.id, task.attempt, claim, State.FAILED, now, words)
    return _later(task, claim, handler.retry, words, now, chance)


def delivered(
    task: Task,
    claim: str,
    handler: Handler,
    fates: Sequence[DeliveryOutcome],
    now: int,
    note: str | None = None,
    figures: str | None = None,
    chance: float | None = None,
    patience: int = SECOND,
) -> AttemptEnd:
    """Return the ending after every copy of the task has been tried once in this attempt."""
    again = [f for f in fates if not f.outcome.final and not f.hold]
    refused = [f for f in fates if f.outcome is Outcome.REFUSED]
    held = [f for f in fates if f.hold]
    if again:
        # A letter that was turned away says more than one that only stood still beside it.
        ours = next((f for f in sorted(again, key=lambda f: f.waits != TURNED_AWAY) if not f.counts), None)
        sent = any(f.outcome is Outcome.ACCEPTED and not f.earlier for f in fates)
        if ours is not None and not (sent and ours.waits == TURNED_AWAY):
            # Our own account or connection: wait without counting it against the task. Where its other letters went
            # through it is counted: then it is this letter that is turned away.
            return AttemptEnd(
                task.id, task.attempt, claim, State.RETRYING, now, ours.words,
                due_at=now + patience, counts=False, outcome=ours.waits,
            )  # fmt: skip
        return _later(task, claim, handler.retry, _summary(again, len(fates)), now, chance)
    if held:
        return AttemptEnd(task.id, task.attempt, claim, State.FAILED, now, _held(held))
    if refused:
        return AttemptEnd(task.id, task.attempt, claim, State.FAILED, now, _summary(refused, len(fates)))
    return AttemptEnd(task.id, task.attempt, claim, State.SUCCEEDED, now, note=note, figures=figures)


def delayed(policy: RetryPolicy, delays: Sequence[float]) -> RetryPolicy:
    """Return `policy` with an operator's delays. How long it goes on is still its own affair: a day, unless it says.

    The usual number of attempts is made for the usual delays, and would end shorter ones within hours.
    """
    attempts = sys.maxsize if policy.attempts == RetryPolicy().attempts else policy.attempts
    return replace(policy, delays=tuple(delays), then=delays[-1], attempts=attempts)


def never_later(ending: AttemptEnd) -> AttemptEnd:
    """Return `ending` for an engine that cannot make an attempt later: what would be tried again has failed."""
    if ending.state != State.RETRYING:
        return ending
    words = f"{ending.error or ''} This engine does not try again by itself; a person may.".strip()
    return replace(ending, state=State.FAILED, error=words, due_at=None, outcome="")


def _later(task: Task, claim: str, policy: RetryPolicy, words: str, now: int, chance: float | None) -> AttemptEnd:
    delay = policy.delay(task.failures + 1, chance)
    if delay is None:
        return AttemptEnd(
            task.id, task.attempt, claim, State.FAILED, now, f"{words} Given up after {task.failures + 1} attempts."
        )
    due = now + int(delay * SECOND)
    begun = task.created_at if task.started_at is None else task.started_at
    if task.expires_at is not None and due >= task.expires_at:
        # One last try just before the end is worth more than none.
        last = task.expires_at - 5 * SECOND
        if last <= now:
            return AttemptEnd(
                task.id, task.attempt, claim, State.EXPIRED, now, f"{words} It expired before it could be sent."
            )
        due = last
    elif due - begun > policy.within.total_seconds() * SECOND:
        return AttemptEnd(
            task.id,
            task.attempt,
            claim,
            State.FAILED,
            now,
            f"{words} Given up after {policy.within.total_seconds() / 3600:g} hours.",
        )
    return AttemptEnd(task.id, task.attempt, claim, State.RETRYING, now, words, due_at=due)


def _held(fates: Sequence[DeliveryOutcome]) -> str:
    most = max(fate.ends for fate in fates)
    times, copies = ("", "A copy") if most == 1 else (f" {most} times", f"Up to {most} copies")
    return HOLD.format(to=", ".join(fate.to for fate in fates), times=times, copies=copies)


def _summary(fates: Sequence[DeliveryOutcome], all_of: int) -> str:
    first = fates[0]
    if all_of == 1:
        return first.words
    return f"{len(fates)} of {all_of} letters not sent. {first.to}: {first.words}"
