"""Makes the tasks of schedules that are due, each once, and enters what plugins and settings declare."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from steward.errors import InvalidOption, StewardError
from steward.model import cron as calendar
from steward.model.caller import COMMAND_LINE, SERVICE
from steward.model.declaration.handler import Handler
from steward.model.payload import write
from steward.model.service import Options
from steward.model.states import State
from steward.plugins.registry import Registry
from steward.storage import access
from steward.storage import schedules as rows
from steward.storage.database import Connection, Ledger
from steward.storage.fleet import wall_clock
from steward.storage.schedules import StoredSchedule
from steward.storage.tasks import acceptance
from steward.system.clock import SECOND, micros, moment, now
from steward.tasks import task_log
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.schedules.occurrences import OVER, Occurrence, OccurrenceFinder, moves_along, task_of
from steward.tasks.schedules.planned import PlannedSchedule

log = logging.getLogger(__name__)

GRACE: Final = 60 * SECOND
"""A firing was missed when it comes later than this (microseconds), or when its successor is due already."""
CHUNK: Final = 500
"""How many firings are recorded in one transaction after a long standstill."""
HISTORY: Final = 400 * 24 * 3600 * SECOND
"""How long firings are kept, in microseconds: longer than a year, so that a yearly report shows its last one."""


class Scheduler:
    """One per process; any number of processes may call `fire` at once, and each firing happens once."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        service: LedgerTaskService,
        zone: str,
        planned: tuple[PlannedSchedule, ...],
    ) -> None:
        self._ledger, self._registry, self._service = ledger, registry, service
        self._zone, self._planned = zone, planned
        self._occurrences = OccurrenceFinder(service)

    def declare(self, at: int | None = None) -> None:
        """Enter what plugins and settings declare, take out what they no longer do, and look at every next time."""
        at = now() if at is None else at
        declared = {entry.id: entry for entry in self._declared(at)}

        def change(connection: Connection) -> None:
            for entry in declared.values():
                if not rows.add(connection, entry):
                    rows.redeclare(connection, entry)
            # A schedule whose plugin cannot be loaded just now stays, and waits like its tasks.
            gone = [
                entry.id
                for entry in rows.every(connection)
                if entry.origin != "person" and entry.id not in declared and entry.name in self._registry.handlers
            ]
            rows.remove(connection, gone)
            for entry in rows.every(connection):
                if entry.paused_at is None and entry.ended_at is None and (entry.next_at is None or entry.next_at > at):
                    with contextlib.suppress(InvalidOption):  # `fire` says so when it is due
                        _look_again(connection, entry, at)

        self._ledger.apply(change)

    def follow_clock(self, reading: wall_clock.ClockReading) -> int:
        """Let waits go on by elapsed time if the machine's clock was set; return by how many microseconds it was.

        Schedules that say "every so many minutes" are waits, and go on from the new time; those that name a time of
        the day are appointments, and keep theirs.
        """

        def change(connection: Connection) -> int:
            jump = wall_clock.follow(connection, reading)
            for entry in rows.every(connection) if jump else ():
                if entry.next_at is None or not calendar.goes_by_elapsed_time(entry.cron):
                    continue
                rows.set_aside(connection, entry.id, reading.wall)
                with contextlib.suppress(InvalidOption):
                    rows.move(connection, entry.id, entry.next_at, next(_after(entry, reading.wall), None))
            return jump

        jump = self._ledger.apply(change)
        if jump:
            log.warning("the clock was set by %+d seconds; what waits goes on by elapsed time", jump // SECOND)
        return jump

    def fire(self, at: int | None = None) -> list[str]:
        """Make the tasks of every schedule that is due; return their ids. Raises `StorageUnavailable`: tried again."""
        at = now() if at is None else at
        made: list[str] = []
        unusable: set[str] = set()
        while True:
            with self._ledger.read() as connection:
                known = [entry for entry in rows.due(connection, at) if entry.name in self._registry.handlers]
            due = [entry for entry in known if entry.id not in unusable]
            if not due:
                break
            for entry in due:
                try:
                    made += self._fire(entry, at)
                except InvalidOption as error:  # its zone is not known here; the others go on
                    unusable.add(entry.id)
                    log.error("the schedule %s of %s cannot be used: %s", entry.id, entry.name, error)
        if made:
            self._service.announce(made)
        return made

    def prune(self) -> int:
        """Forget old firings; return how many."""
        return self._ledger.apply(lambda c: rows.forget_firings(c, now() - HISTORY))

    def _declared(self, at: int) -> Iterator[StoredSchedule]:
        for handler in self._registry.handlers.values():
            for each in handler.schedules:
                zone = each.zone or self._zone
                text = write(each.payload, [])
                shared: dict[str, Any] = {
                    "missed": each.missed,
                    "payload": text,
                    "owner": "",
                    "owner_id": SERVICE.id,
                    "created_at": at,
                    "next_at": None,
                }
                made = rows.stable_id("plugin", handler.name, each.cron, zone)
                about = period_of(handler, each.cron, each.period)
                yield due_after(
                    StoredSchedule(made, handler.name, "plugin", each.cron, zone, **shared, period=about), at
                )
        for plan in self._planned:
            known = self._registry.handlers.get(plan.name)
            if known is None:
                log.error("STEWARD_SCHEDULES names '%s', which no plugin offers", plan.name)
                continue
            try:
                # A setting is an operator's: what is the service's own is not theirs to ask for.
                accepted = self._service.prepare(known, plan.payload, Options(caller=COMMAND_LINE))
                require_no_secret(accepted)
                about = period_of(known, plan.cron, plan.period)
            except StewardError as error:
                log.error("STEWARD_SCHEDULES: %s", error)
                continue
            text = accepted.payload
            zone = plan.zone or self._zone
            made = rows.stable_id("setting", plan.name, plan.cron, zone, text)
            ours: dict[str, Any] = {"owner_id": SERVICE.id, "period": about}
            entry = StoredSchedule(made, plan.name, "setting", plan.cron, zone, plan.missed, text, "", at, None, **ours)
            yield due_after(entry, at)

    def _fire(self, entry: StoredSchedule, at: int) -> list[str]:
        handler, first = self._registry.get(entry.name), entry.next_at
        if first is None:
            return []
        if not self._still_permitted(entry, handler, at):
            return []
        times, following = [first], None
        for coming in _after(entry, first):
            if coming > at or len(times) == CHUNK:
                following = coming
                break
            times.append(coming)
        newest = times[-1] if following is None or following > at else None
        in_time = newest if newest is not None and at - newest <= GRACE else None
        wanted = times if entry.missed == "all" else [newest if entry.missed == "once" else in_time]
        occurrences: dict[int, Occurrence] = {}
        ends = ""
        for due in times:
            if due in wanted or due == times[-1]:
                occurrences[due] = OVER if ends else self._occurrences.occurrence(entry, handler, due)
                ends = ends or occurrences[due].ends
        tasks = {due: _task(entry, handler, occurrences[due], at) for due in wanted if due is not None}

        def change(connection: Connection) -> list[str]:
            if not rows.move(connection, entry.id, first, following):
                return []  # another process has been here
            made = []
            for due in times:
                task = tasks.get(due)
                if due in occurrences and task is None and occurrences[due].payload is None:
                    continue  # it is over
                outcome = "fired" if due == in_time else "missed"
                if not rows.record(connection, entry.id, due, outcome, at, task.id if task else None) or not task:
                    continue
                if refusal := occurrences[due].refusal:
                    acceptance.refuse(connection, task, refusal, at)
                else:
                    acceptance.accept(connection, [task])
                    made.append(task.id)
            if ends:
                rows.end(connection, entry.id, ends, at)
            return made

        made = self._ledger.apply(change)
        task_log.accepted(entry.name, made)
        missed = len(times) - (in_time is not None)
        if missed:
            log.warning("the schedule of %s missed %d firings while nothing was running", entry.name, missed)
        if ends:
            log.info("the schedule %s of %s has ended: %s", entry.id, entry.name, ends)
        return made

    def _still_permitted(self, entry: StoredSchedule, handler: Handler, at: int) -> bool:
        """Whether who made a schedule may still ask for its task; where not, it rests until somebody who may goes on.

        Looked at each time: a key is narrowed or revoked, a person removed, a handler made for others meanwhile.
        """
        if entry.origin != "person":
            return True
        with self._ledger.read() as connection:
            owner = access.standing(connection, entry.owner_id)
        if owner is not None and owner.may_ask(handler.name, handler.scope):
            return True

        def change(connection: Connection) -> None:
            if rows.move(connection, entry.id, entry.next_at, None):
                rows.record(connection, entry.id, entry.next_at or at, "refused", at, None)
                rows.pause(connection, entry.id, "steward", at)

        self._ledger.apply(change)
        log.warning("the schedule %s of %s rests: '%s' may not ask for it any more", entry.id, entry.name, entry.owner)
        return False


def require_no_secret(accepted: acceptance.NewTask) -> None:
    """Return if a schedule can make tasks like `accepted` again and again.

    Raises:
        InvalidOption: its payload holds a secret, which a schedule does not keep.
    """
    if accepted.sealed is not None:
        raise InvalidOption(
            f"{accepted.name} cannot be scheduled", "Its payload holds a secret, which is erased when its task ends"
        )


def _look_again(connection: Connection, entry: StoredSchedule, at: int) -> None:
    """Compute the next time anew: the clock may have been set back, or the zone's rules have changed, since."""
    done = rows.fired(connection, entry.id, at)
    coming = islice(_after(entry, at), len(done) + 1)
    rows.move(connection, entry.id, entry.next_at, next((m for m in coming if m not in done), None))


def _task(entry: StoredSchedule, handler: Handler, asked: Occurrence, at: int) -> acceptance.NewTask | None:
    if asked.payload is None:
        return None
    state = State.FAILED if asked.refusal else State.QUEUED
    return task_of(entry, handler, asked.payload, at, entry.owner or "schedule", state)


def period_of(handler: Handler, cron: str, period: str) -> str:
    """Return which days a new schedule is about, `period` or what `cron` suggests; empty if its days do not move.

    Raises:
        InvalidOption: a period is named, and the handler has no days that move along.
    """
    if moves_along(handler):
        return period or calendar.suggested(cron)
    if period:
        raise InvalidOption(
            f"A schedule of {handler.name} has no period", "Its payload has no days that move along", "Name no period"
        )
    return ""


def _after(entry: StoredSchedule, at: int) -> Iterator[int]:
    return map(micros, calendar.after(entry.cron, entry.zone, moment(at)))


def due_after(entry: StoredSchedule, at: int) -> StoredSchedule:
    """Return `entry` with the first of its times after `at`."""
    values = {name: getattr(entry, name) for name in StoredSchedule.__slots__}
    return StoredSchedule(**{**values, "next_at": next(_after(entry, at), None)})


def latest(entry: StoredSchedule, at: int) -> int:
    """Return the last of a schedule's times up to `at`, or `at` if there was none."""
    return micros(calendar.last_before(entry.cron, entry.zone, moment(at)))
