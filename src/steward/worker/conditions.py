"""What stands in the way right now, from one function: every page, `/readyz` and `steward check` say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from steward.errors import StewardError
from steward.installation.container import Steward
from steward.model.formats import counted
from steward.model.states import State
from steward.storage import schedules
from steward.storage.database import Connection
from steward.storage.fleet import leases, pauses, unserved, workers
from steward.storage.tasks import search
from steward.system.clock import SECOND, moment, now
from steward.worker import watchdog
from steward.worker.engines.celery.publisher import BROKER
from steward.worker.engines.celery.publisher import DUTY as RELAY

MISSED_FOR = 24 * 3600 * SECOND
"""How long (microseconds) a missed run is told of, unless its schedule has run since."""

UNSERVED_FOR = 300 * SECOND
"""How long (microseconds) what is due may lie in nobody's hand before it is told that nobody serves it."""

MAIL = "smtp"
"""The lane of the mail server, in the ledger's table of lanes."""

_MOMENT = 0.3
"""Seconds after which a lock that another program holds is told of."""

_MOST_NAMED = 3
_MINUTES = UNSERVED_FOR // SECOND // 60


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is not as it should be.

    `words` is one sentence that anybody who is signed in may read: no server's words, no path, no address. `detail`
    says why in the words of whoever refused, and `remedy` what helps; both are for operators. `blocks` tells that
    nothing is accepted, or that what is accepted is not performed: the service is not ready then.
    """

    kind: str
    words: str
    detail: str = ""
    remedy: str = ""
    since: datetime | None = None
    blocks: bool = False

    def __str__(self) -> str:
        """Return all of it, for operators."""
        return " ".join(part.rstrip(".") + "." for part in (self.words, self.detail, self.remedy) if part)


def conditions(steward: Steward, at: int | None = None) -> list[Condition]:
    """Return everything that stands in the way at the moment `at` (microseconds, default now), what blocks first.

    Asks the ledger's indexes and the disk, never a server: it may be called for every page.
    """
    at = now() if at is None else at
    found: list[Condition] = []
    try:
        found += _locked(steward)
        with steward.ledger.read() as connection:
            found += _performing(steward, connection, at)
            found += _unserved(steward, connection, at)
            found += _standing_still(connection)
            found += _missing_plugins(steward, connection)
            found += _missed(connection, at)
    except StewardError as error:
        found.append(
            Condition("store", "The record of tasks does not answer; nothing can be accepted", str(error), blocks=True)
        )
    try:
        steward.require_space()
    except (StewardError, OSError) as error:
        found.append(Condition("space", "There is no room left; nothing can be accepted", str(error), blocks=True))
    found += [
        Condition("plugin", f"The plugin {p.name} cannot be used; its tasks wait", p.error, "Mend it and start again")
        for p in steward.registry.plugins
        if p.error
    ]
    return sorted(found, key=lambda each: not each.blocks)


def _locked(steward: Steward) -> Iterator[Condition]:
    """Tell of a lock that stands: who writes and works gives it back within moments."""
    for store in steward.stores:
        holder = next((each for each in watchdog.locked(store, steward.slots_folder) if not each.works), None)
        if holder is None and not steward.ledger.lock.stands:
            continue
        if (holder is None or not holder.slot) and steward.ledger.is_writable(_MOMENT):
            continue  # another program has written, or does so just now
        yield Condition(
            "lock",
            f"The record of tasks is locked by {holder or 'a process that cannot be seen from here'};"
            " nothing can be accepted",
            f"It is the write lock of {store}",
            "A frozen process of the service is ended by the others; any other program must be ended or woken",
            blocks=True,
        )


def _performing(steward: Steward, connection: Connection, at: int) -> Iterator[Condition]:
    engine = steward.settings.engine
    alive = any(worker.engine == engine for worker in workers.living(connection, at))
    if not alive and not steward.engine.in_web:
        yield Condition(
            "workers",
            "No worker is running; what is accepted waits until one starts",
            remedy="Start one with steward up, or steward work",
            blocks=True,
        )
    if engine != "celery":
        return
    if leases.holder_of(connection, RELAY, at) is None:
        yield Condition("relay", "Nobody relays to the broker; what is accepted waits until a worker does", blocks=True)


def _unserved(steward: Steward, connection: Connection, at: int) -> Iterator[Condition]:
    """Tell of work that waits where nobody serves it."""
    strange = unserved.unknown_lanes(connection)
    if strange:
        count = sum(strange.values())
        yield Condition(
            "unserved",
            f"{counted(count, 'task waits', 'tasks wait')} in a lane that this version does not know",
            _named(sorted(strange)),
            "Install the version that accepted them, or cancel them and hand them over anew",
            blocks=True,
        )
    engine, living = steward.settings.engine, workers.living(connection, at)
    waiting = unserved.waiting(connection, at - UNSERVED_FOR)
    if not waiting or steward.engine.in_web:
        return
    ours = [worker for worker in living if worker.engine == engine]
    if not ours:
        others = sorted({worker.engine for worker in living})
        yield Condition(
            "unserved",
            f"Tasks have been due for more than {_MINUTES} minutes, and no worker takes them",
            f"Here is STEWARD_ENGINE={engine}, and workers run for {_named(others)}" if others else "",
            "Give workers and web the same STEWARD_ENGINE" if others else "Start one with steward up, or steward work",
            moment(min(waiting.values())),
            blocks=True,
        )
    # Only a stock worker of Celery can be limited to some lanes. What stands still as a whole is told elsewhere.
    elif (
        engine == "celery"
        and min(worker.started_at for worker in ours) < at - UNSERVED_FOR
        and leases.holder_of(connection, RELAY, at) is not None
        and not pauses.stopped(connection)
    ):
        lanes = sorted(unserved.idle(connection, waiting, at - UNSERVED_FOR))
        if lanes:
            yield Condition(
                "unserved",
                f"Tasks have been due for more than {_MINUTES} minutes in lanes that no worker serves",
                _named(lanes),
                "Start a worker for them: steward work, or celery worker -Q with their names",
                moment(min(waiting[lane] for lane in lanes)),
                blocks=True,
            )


def _standing_still(connection: Connection) -> Iterator[Condition]:
    for lane, (since, reason) in sorted(pauses.stopped(connection).items()):
        if lane == BROKER:
            words = "The broker cannot be reached; tasks are accepted, and wait"
            yield Condition(
                "broker", words, reason, "See that the broker runs, and check STEWARD_BROKER_URL", moment(since)
            )
        elif lane == MAIL:
            words = "Mail stands still; letters wait, and go out by themselves when the mail server takes them again"
            yield Condition(
                "mail", words, reason, "See that the mail server runs, and check STEWARD_MAIL_URL", moment(since)
            )
        else:
            yield Condition("lane", f"The lane '{lane}' stands still", reason, since=moment(since))


def _missing_plugins(steward: Steward, connection: Connection) -> Iterator[Condition]:
    blocked = search.count(connection, State.BLOCKED)
    if blocked:
        yield Condition(
            "blocked",
            f"{counted(blocked, 'task waits', 'tasks wait')} for a plugin that is not there",
            remedy="Bring the plugin back: see steward tasks --state blocked",
        )
    names = sorted({entry.name for entry in schedules.every(connection)} - set(steward.registry.handlers))
    if names:
        yield Condition(
            "schedule",
            f"{counted(len(names), 'schedule asks', 'schedules ask')} for a task whose plugin is not there",
            _named(names),
            "Bring the plugin back, or delete the schedule",
        )


def _missed(connection: Connection, at: int) -> Iterator[Condition]:
    missed = schedules.missed_since(connection, at - MISSED_FOR)
    if not missed:
        return
    made = all(made_later for _, _, made_later in missed)
    yield Condition(
        "missed",
        f"{counted(len(missed), 'planned run was', 'planned runs were')} missed while nothing was running"
        + (", and made up for afterwards" if made else ""),
        _named(sorted({name for name, _, _ in missed})),
        "" if made else "See the page of schedules; a run can be made by hand there",
        moment(missed[0][1]),
    )


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
