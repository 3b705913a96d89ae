"""What people do with schedules: make one, see when it is next due, pause it, resume it, run it now."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from steward import schedules as calendar
from steward.clock import moment, new_id, now
from steward.clockwork import due_after, latest, require_no_secret, task_of
from steward.errors import InvalidOption, StateConflict, Unsupported
from steward.ledger import Ledger, acceptance
from steward.ledger import schedules as rows
from steward.ledger.schedules import Entry, Firing
from steward.plugins import Registry
from steward.service import HandlerLike, Options
from steward.services.ledgered import LedgerTaskService


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule as it stands: its row, its next three times in its own zone, and the latest of its firings."""

    entry: Entry
    next: tuple[datetime, ...]
    last: Firing | None

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

    def as_json(self) -> dict[str, Any]:
        """Return it as the HTTP interface and `--json` show it."""
        shown = asdict(self.entry)
        shown["payload"] = self.payload
        for name in ("created_at", "paused_at", "next_at"):
            shown[name] = moment(shown[name])
        last = self.last
        return {
            **shown,
            "words": self.words,
            "next": [each.isoformat() for each in self.next],
            "last": None
            if last is None
            else {"due_at": moment(last.due_at), "outcome": last.outcome, "task_id": last.task_id},
        }


class Timetable:
    """The schedules of one installation. `zone` is that of schedules which name none."""

    def __init__(self, ledger: Ledger, registry: Registry, service: LedgerTaskService, zone: str) -> None:
        self._ledger, self._registry, self._service, self._zone = ledger, registry, service, zone

    def make(
        self,
        func: HandlerLike,
        payload: Any,
        cron: str,
        zone: str = "",
        *,
        missed: str = "once",
        owner: str = "",
        key: str = "",
    ) -> Standing:
        """Keep a schedule for somebody and return it; twice with one `key` makes one.

        Raises:
            InvalidPayload, InvalidRequest: a task with this payload would not be accepted.
            InvalidOption: the expression, zone or policy cannot be used.
            Unsupported: the engine cannot schedule.
        """
        self._require_able()
        handler = self._registry.resolve(func)
        zone = zone or self._zone
        cron = calendar.check(cron, zone, missed)
        accepted = self._service.prepare(handler, payload, Options(requested_by=owner))
        require_no_secret(accepted)
        at = now()
        made = Entry(
            id=rows.stable_id("person", owner, key, handler.name, cron, zone, accepted.payload) if key else new_id(),
            name=handler.name,
            origin="person",
            cron=cron,
            zone=zone,
            missed=missed,
            payload=accepted.payload,
            owner=owner[:80],
            created_at=at,
            next_at=None,
        )
        made = due_after(made, at)
        self._ledger.apply(lambda c: rows.add(c, made))
        return self.get(made.id)

    def find(self, owner: str | None = None) -> list[Standing]:
        """Return every schedule, or one person's, in the order of their names."""
        with self._ledger.read() as connection:
            return self._standings(connection, rows.every(connection, owner))

    def get(self, schedule_id: str) -> Standing:
        """Return one schedule. Raises `UnknownTask` if there is none of this id."""
        with self._ledger.read() as connection:
            return self._standings(connection, [rows.get(connection, schedule_id)])[0]

    def named(self, id_or_name: str) -> Standing:
        """Return the schedule of this id, or the only one that makes tasks of this name.

        Raises:
            UnknownTask: there is none.
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

    def pause(self, schedule_id: str, by: str = "") -> Standing:
        """Let it rest until it is resumed; what falls into the rest is not missed. Raises as `get`."""
        entry = self.get(schedule_id).entry
        self._ledger.apply(lambda c: rows.pause(c, entry.id, by, now()))
        return self.get(schedule_id)

    def resume(self, schedule_id: str) -> Standing:
        """Let it go on from now. Raises as `get`."""
        entry = due_after(self.get(schedule_id).entry, now())
        self._ledger.apply(lambda c: rows.resume(c, entry.id, entry.next_at))
        return self.get(schedule_id)

    def run(self, schedule_id: str, by: str = "") -> str:
        """Make its task now, beside its times, and return the task's id; also while it is paused.

        Raises:
            UnknownTask, UnknownHandler: there is no such schedule, or no plugin offers its task.
            Unsupported: the engine cannot schedule.
        """
        self._require_able()
        entry, at = self.get(schedule_id).entry, now()
        task = task_of(entry, self._registry.get(entry.name), latest(entry, at), at, by or entry.owner)

        def change(connection: sa.Connection) -> None:
            acceptance.accept(connection, [task])
            rows.record(connection, entry.id, at, "by hand", at, task.id)

        self._ledger.apply(change)
        self._service.announce([task.id])
        return task.id

    def remove(self, schedule_id: str) -> None:
        """Delete it; the tasks that it has made stay.

        Raises:
            UnknownTask: there is none of this id.
            StateConflict: a plugin or a setting declares it.
        """
        entry = self.get(schedule_id).entry
        if entry.origin != "person":
            raise StateConflict(
                "This schedule cannot be deleted", f"A {entry.origin} declares it, and would do so again", "Pause it"
            )
        self._ledger.apply(lambda c: rows.remove(c, [entry.id]))

    def _require_able(self) -> None:
        abilities = self._service.abilities
        if not abilities.schedules:
            raise Unsupported("This engine has no schedules", abilities.why, "Set STEWARD_ENGINE=durable")

    def _standings(self, connection: sa.Connection, entries: list[Entry]) -> list[Standing]:
        latest = rows.latest(connection, [entry.id for entry in entries])
        at = moment(now())
        return [Standing(entry, _next(entry, at), latest.get(entry.id)) for entry in entries]


def _next(entry: Entry, at: datetime) -> tuple[datetime, ...]:
    if entry.paused_at is not None:
        return ()
    try:
        return tuple(calendar.upcoming(entry.cron, entry.zone, at))
    except InvalidOption:  # its zone is not known on this machine: shown as never due again
        return ()
