"""What people do with schedules: make one, see when it is next due, pause it, resume it, run it now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from steward.errors import InvalidOption, InvalidRequest, StateConflict, Unsupported
from steward.model import cron as calendar
from steward.model import periods
from steward.model.caller import PROCESS, Caller, shown_name
from steward.model.declaration.handler import Handler
from steward.model.service import HandlerLike, Options
from steward.plugins.registry import Registry
from steward.storage import access
from steward.storage import schedules as rows
from steward.storage.database import Connection, Ledger
from steward.storage.schedules import Firing, StoredSchedule
from steward.storage.tasks import acceptance
from steward.system.clock import micros, moment, new_id, now
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.schedules.occurrences import OccurrenceFinder, moves_along, task_of
from steward.tasks.schedules.scheduler import due_after, latest, period_of, require_no_secret


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """A schedule as it stands: its row, its next three times in its own zone, and the latest of its firings.

    `days` are the first and the last day that the next of its tasks is about; None if they do not move along.
    """

    entry: StoredSchedule
    next: tuple[datetime, ...]
    last: Firing | None
    days: tuple[date, date] | None = None
    fiscal_month: int = 1

    @property
    def words(self) -> str:
        """When it is due, as one would say it."""
        try:
            return calendar.in_words(self.entry.cron, self.entry.zone)
        except InvalidOption:  # a row that another version wrote, or a hand
            return f"{self.entry.cron} (this is no schedule that can be read)"

    @property
    def payload(self) -> dict[str, Any]:
        """What each task is given; nothing if the row cannot be read, which takes no list down."""
        try:
            found = json.loads(self.entry.payload)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def about(self) -> str:
        """Which days its tasks are about, as one would say it; empty if their days do not move along."""
        return periods.in_words(self.entry.period, self.fiscal_month) if self.entry.period else ""

    def as_json(self) -> dict[str, Any]:
        """Return it as the HTTP interface and `--json` show it."""
        shown = asdict(self.entry)
        del shown["owner_id"]
        shown["payload"] = self.payload
        for name in ("created_at", "paused_at", "next_at", "ended_at"):
            shown[name] = moment(shown[name])
        last = self.last
        return {
            **shown,
            "words": self.words,
            "about": self.about,
            "next": [each.isoformat() for each in self.next],
            "next_days": None if self.days is None else {"first": self.days[0], "last": self.days[1]},
            "last": None
            if last is None
            else {"due_at": moment(last.due_at), "outcome": last.outcome, "task_id": last.task_id},
        }


class Schedules:
    """The schedules of one installation. `zone` is that of those which name none; an owner has `most` at most."""

    def __init__(self, ledger: Ledger, registry: Registry, service: LedgerTaskService, zone: str, most: int) -> None:
        self._ledger, self._registry, self._service, self._zone = ledger, registry, service, zone
        self._occurrences, self._most = OccurrenceFinder(service), most

    def make(
        self,
        func: HandlerLike,
        payload: Any,
        cron: str,
        zone: str = "",
        *,
        missed: str = "once",
        period: str = "",
        owner: str = "",
        key: str | None = None,
        caller: Caller = PROCESS,
    ) -> ScheduleStatus:
        """Keep a schedule of `caller` and return it; under a `key` a repeat returns the one that was made.

        `owner` is the name to show, if not the caller's; `period` is one of `steward.model.periods`, or empty.

        Raises:
            NotPermitted: the caller may not ask for such a task.
            InvalidPayload, InvalidRequest: a task with this payload would not be accepted, or there would never be one.
            InvalidOption: the expression, zone, policy or period cannot be used.
            Unsupported: the engine cannot schedule. StateConflict: the caller has as many as one may have.
            KeyConflict: the key stands for another request, or for what was deleted.
        """
        self._require_able()
        handler = self._registry.resolve(func)
        zone = zone or self._zone
        cron = calendar.check(cron, zone, missed, period)
        period = period_of(handler, cron, period)
        accepted = self._service.prepare(handler, payload, Options(caller=caller))
        require_no_secret(accepted)
        at = now()
        made = StoredSchedule(
            id=new_id(),
            name=handler.name,
            origin="person",
            cron=cron,
            zone=zone,
            missed=missed,
            payload=accepted.payload,
            owner=shown_name(owner or caller.name),
            created_at=at,
            next_at=None,
            owner_id=caller.id,
            period=period,
        )
        made = due_after(made, at)
        self._require_days(made, handler)
        said = ("schedule", cron, zone, period, missed, accepted.payload)
        once = self._service.key_of(handler, said, Options(caller=caller, key=key))
        return self.get(self._ledger.apply(lambda c: rows.add_once(c, made, self._most, once)))

    def find(self, caller: Caller = PROCESS) -> list[ScheduleStatus]:
        """Return the schedules that are `caller`'s to see, in the order of their names."""

        def read(connection: Connection) -> list[StoredSchedule]:
            found = rows.every(connection, None if caller.operates else caller.id)
            return [each for each in found if caller.knows(each.name)]

        return self._standings(read)

    def get(self, schedule_id: str, caller: Caller = PROCESS) -> ScheduleStatus:
        """Return one schedule.

        Raises:
            UnknownSchedule: there is none of this id, or it is not `caller`'s to see: the words are the same.
        """

        def read(connection: Connection) -> list[StoredSchedule]:
            entry = rows.get(connection, schedule_id)
            if not caller.sees(entry.name, entry.owner_id):
                raise rows.unknown(schedule_id)
            return [entry]

        return self._standings(read)[0]

    def named(self, id_or_name: str) -> ScheduleStatus:
        """Return the schedule of this id, or the only one that makes tasks of this name.

        Raises:
            UnknownSchedule: there is none.
            InvalidOption: several make tasks of this name.
        """
        found = [each for each in self.find() if each.entry.name == id_or_name]
        if len(found) > 1:
            raise InvalidOption(
                f"There are {len(found)} schedules of {id_or_name}", remedy="Give the id; see: steward schedule list"
            )
        return found[0] if found else self.get(id_or_name)

    def history(self, schedule_id: str) -> list[Firing]:
        """Return its newest firings, newest first."""
        with self._ledger.read() as connection:
            return rows.history(connection, schedule_id)

    def pause(self, schedule_id: str, by: str = "", *, caller: Caller = PROCESS) -> ScheduleStatus:
        """Let it rest until it is resumed; what falls into the rest is not missed. Raises as `get`."""
        entry = self.get(schedule_id, caller).entry
        self._ledger.apply(lambda c: rows.pause(c, entry.id, by or caller.name, now()))
        return self.get(schedule_id)

    def resume(self, schedule_id: str, *, caller: Caller = PROCESS) -> ScheduleStatus:
        """Let it go on from now. It becomes `caller`'s if its owner may not ask for such a task any more.

        Raises:
            UnknownSchedule: as `get`.
            NotPermitted: neither its owner nor `caller` may ask for such a task. StateConflict: `caller` has the most.
        """
        entry = due_after(self.get(schedule_id, caller).entry, now())
        handler = self._registry.handlers.get(entry.name)
        self._require_again(entry, caller)

        def change(connection: Connection) -> None:
            if handler is not None and entry.origin == "person":
                owner = access.standing(connection, entry.owner_id)
                if owner is None or not owner.may_ask(handler.name, handler.scope):
                    caller.require_ask(handler.name, handler.scope)
                    rows.take_over(connection, entry.id, caller, self._most)
            rows.resume(connection, entry.id, entry.next_at)

        self._ledger.apply(change)
        return self.get(schedule_id)

    def run(self, schedule_id: str, by: str = "", *, caller: Caller = PROCESS) -> str:
        """Make its task now, beside its times, and return the task's id; also while it is paused.

        Raises:
            UnknownSchedule, UnknownHandler: there is no such schedule, or no plugin offers its task.
            NotPermitted: `caller` may not ask for such a task any more.
            InvalidRequest: what it asks for would not be accepted today.
            Unsupported: the engine cannot schedule.
        """
        self._require_able()
        entry, at = self.get(schedule_id, caller).entry, now()
        handler = self._registry.get(entry.name)
        self._require_again(entry, caller)
        # A part of the calendar is the last that is over today; the time since the run before ends with the last run.
        kind = entry.period or calendar.suggested(entry.cron)
        asked = self._occurrences.occurrence(entry, handler, latest(entry, at) if kind == "since_last" else at)
        if asked.refusal or asked.payload is None:
            raise InvalidRequest(
                asked.refusal or f"The schedule of {handler.title} has nothing left to ask for", "", asked.ends
            )
        task = task_of(entry, handler, asked.payload, at, by or caller.name or entry.owner)

        def change(connection: Connection) -> None:
            acceptance.accept(connection, [task])
            rows.record(connection, entry.id, at, "by hand", at, task.id)

        self._ledger.apply(change)
        self._service.announce([task.id], handler.name)
        return task.id

    def remove(self, schedule_id: str, *, caller: Caller = PROCESS) -> None:
        """Delete it; the tasks that it has made stay.

        Raises:
            UnknownSchedule: there is none of this id.
            StateConflict: a plugin or a setting declares it.
        """
        entry = self.get(schedule_id, caller).entry
        if entry.origin != "person":
            raise StateConflict(
                "This schedule cannot be deleted", f"A {entry.origin} declares it, and would do so again", "Pause it"
            )
        self._ledger.apply(lambda c: rows.remove(c, [entry.id]))

    def _require_again(self, entry: StoredSchedule, caller: Caller) -> None:
        handler = self._registry.handlers.get(entry.name)
        if handler is not None:
            caller.require_again(handler.name, handler.scope)

    def _require_days(self, entry: StoredSchedule, handler: Handler) -> None:
        asked = None if entry.next_at is None else self._occurrences.occurrence(entry, handler, entry.next_at)
        if asked is not None and asked.payload is None:
            raise InvalidRequest(
                f"The schedule of {handler.title} would never have anything to do",
                asked.ends,
                "Choose another period, or ask for it once",
            )

    def _require_able(self) -> None:
        if not self._service.abilities.schedules:
            raise Unsupported("This engine has no schedules", self._service.abilities.why, "Set STEWARD_ENGINE=durable")

    def _standings(self, read: Callable[[Connection], list[StoredSchedule]]) -> list[ScheduleStatus]:
        with self._ledger.read() as connection:
            entries = read(connection)
            latest = rows.latest(connection, [entry.id for entry in entries])
        return [self._standing(entry, _next(entry, moment(now())), latest.get(entry.id)) for entry in entries]

    def _standing(self, entry: StoredSchedule, coming: tuple[datetime, ...], last: Firing | None) -> ScheduleStatus:
        handler, days = self._registry.handlers.get(entry.name), None
        if handler is not None and moves_along(handler):
            entry = replace(entry, period=entry.period or calendar.suggested(entry.cron))
            if coming:
                first, until = self._occurrences.days(entry, handler, micros(coming[0]))
                days = (first, until) if first is not None and until is not None else None
        return ScheduleStatus(entry, coming, last, days, self._occurrences.fiscal_month)


def _next(entry: StoredSchedule, at: datetime) -> tuple[datetime, ...]:
    if entry.paused_at is not None or entry.ended_at is not None:
        return ()
    try:
        return tuple(calendar.upcoming(entry.cron, entry.zone, at))
    except InvalidOption:  # its zone is not known on this machine: shown as never due again
        return ()
