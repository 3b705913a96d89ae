"""What a schedule asks for when it is due: its days moved along, cut to what there is, and looked at as at any door."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from steward.errors import FieldProblem, InvalidPayload, InvalidRequest, StewardError
from steward.model import cron as calendar
from steward.model.caller import shown_name
from steward.model.declaration.handler import Handler, moving_days
from steward.model.formats import day
from steward.model.payload import read
from steward.model.states import State
from steward.storage.schedules import StoredSchedule
from steward.storage.tasks.acceptance import NewTask as Task
from steward.system.clock import SECOND, moment, new_id
from steward.tasks.acceptance import LedgerTaskService

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds for which a schedule that is due waits for the application's database to say what may be asked for."""

Days = tuple[date | None, date | None]
ANY: Final[Days] = (None, None)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time at which a schedule is due. `payload` is what its task gets, None when there is nothing left to ask for.

    `refusal` are the words with which the door does not take it. `ends` says why nothing can be asked for after it,
    and is empty while there is more to come.
    """

    days: Days
    payload: str | None
    refusal: str = ""
    ends: str = ""


OVER: Final = Occurrence(ANY, None)
"""What comes after the last."""


def moves_along(handler: Handler) -> bool:
    """Whether the payload has days that move along with a schedule (`json_schema_extra={"schedule_period": ...}`)."""
    return bool(moving_days(handler.payload))


def days_of(entry: StoredSchedule, handler: Handler, due: int, fiscal_month: int) -> Days:
    """Return the first and the last day that the firing at `due` is about; nothing if its days do not move along."""
    names, payload = moving_days(handler.payload), _object(entry.payload)
    if not names or not payload:
        return ANY
    given = {which: _day(payload.get(name)) for name, which in names.items()}
    return calendar.days_of(
        entry.cron, entry.zone, moment(due), entry.period, fiscal_month, (given.get("first"), given.get("last"))
    )


def cut(days: Days, span: Days) -> Days | None:
    """Return `days` without what lies outside `span`; None if they begin after it.

    Days that end before it are returned as they are: the door says of them that it is too early.
    """
    (first, last), (begin, end) = days, span
    if first is not None and end is not None and first > end:
        return None
    if last is not None and begin is not None and last < begin:
        return days
    if first is not None and begin is not None:
        first = max(first, begin)
    return first, (min(last, end) if last is not None and end is not None else last)


class OccurrenceFinder:
    """Looks at what schedules ask for, with the handlers' own `check` and `span`, and never waits long for either."""

    def __init__(self, service: LedgerTaskService) -> None:
        self._service = service
        self._looking: Future[Any] | None = None

    @property
    def fiscal_month(self) -> int:
        """The month in which a fiscal year begins."""
        return self._service.calendar.fiscal_month

    def occurrence(self, entry: StoredSchedule, handler: Handler, due: int) -> Occurrence:
        """Return what `entry` asks for at `due`. Raises nothing: what cannot be asked for says why."""
        try:
            return self._found(entry, handler, due)
        except StewardError as error:
            return Occurrence(ANY, entry.payload, refusal=str(error))
        except Exception as error:
            # A faulty check must not hold up other schedules.
            log.exception("the check of %s failed", handler.name)
            return Occurrence(ANY, entry.payload, refusal=f"The check of {handler.name} failed: {error!r}.")

    def days(self, entry: StoredSchedule, handler: Handler, due: int) -> Days:
        """Return the days that the firing at `due` will be about, (None, None) if they do not move along.

        Raises:
            InvalidOption: the schedule's zone is not known here.
        """
        days = days_of(entry, handler, due, self.fiscal_month)
        if days == ANY or entry.period == "as_given":
            return days
        try:
            return cut(days, self._span(handler, _read(handler, entry.payload))) or days
        except InvalidRequest:
            return days

    def _found(self, entry: StoredSchedule, handler: Handler, due: int) -> Occurrence:
        days, text, ends = days_of(entry, handler, due, self.fiscal_month), entry.payload, ""
        if days != ANY and entry.period != "as_given":
            span = self._span(handler, _read(handler, text))
            if span[1] is not None and days[1] is not None and days[1] >= span[1]:
                ends = f"There is nothing to ask for after {day(span[1])}."
            inside = cut(days, span)
            if inside is None:
                return Occurrence(days, None, ends=ends)
            days = inside
        which = {"first": days[0], "last": days[1]}
        names = moving_days(handler.payload)
        moved = {name: found.isoformat() for name, each in names.items() if (found := which[each]) is not None}
        text = json.dumps(_object(text) | moved, ensure_ascii=False) if moved else text
        try:
            model = _read(handler, text)
            self._bounded(lambda: self._service.look(handler, model), None)
        except InvalidRequest as error:
            return Occurrence(days, text, str(error), ends)
        return Occurrence(days, text, ends=ends)

    def _span(self, handler: Handler, model: BaseModel) -> Days:
        found: Days = ANY if handler.span is None else self._bounded(lambda: self._service.span(handler, model), ANY)
        return found

    def _bounded(self, look: Callable[[], Any], otherwise: Any) -> Any:
        """Return what `look()` returns, or `otherwise` if the database behind it gives no answer in time."""
        if self._looking is not None and not self._looking.done():
            return otherwise
        self._looking = looking = Future[Any]()

        def run() -> None:
            try:
                looking.set_result(look())
            except BaseException as error:
                looking.set_exception(error)

        threading.Thread(target=run, name="door", daemon=True).start()
        try:
            return looking.result(PATIENCE)
        except TooLate:
            log.warning("the application's database gives no answer; a schedule goes on without asking it")
            return otherwise


def task_of(
    entry: StoredSchedule, handler: Handler, payload: str, at: int, by: str, state: State = State.QUEUED
) -> Task:
    """Return the task that a schedule makes at `at`."""
    expires = None if handler.expires_after is None else at + int(handler.expires_after.total_seconds() * SECOND)
    return Task(
        id=new_id(),
        name=handler.name,
        state=state,
        lane=handler.lane,
        priority=handler.priority,
        payload=payload,
        sealed=None,
        recipient=None,
        requested_by=shown_name(by),
        owner_id=entry.owner_id,
        created_at=at,
        due_at=at,
        expires_at=expires,
    )


def _read(handler: Handler, text: str) -> BaseModel:
    try:
        return read(handler.payload, text, [])
    except ValidationError as error:
        problems = [
            FieldProblem(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))
            for e in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidPayload(f"The payload of {handler.name} is not valid", problems) from error


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:  # a row that cannot be read; its task will say so
        return {}
    return found if isinstance(found, dict) else {}


def _day(given: Any) -> date | None:
    try:
        return date.fromisoformat(given[:10]) if isinstance(given, str) else None
    except ValueError:
        return None
