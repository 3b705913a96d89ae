"""Schedules as they are answered, with what became of their times."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Self

from steward.model.cron import POLICIES
from steward.model.periods import PERIODS
from steward.storage.schedules import Firing
from steward.system.clock import moment
from steward.tasks.schedules.schedules import ScheduleStatus
from steward.web.api.models.base import AnswerModel, Time, one_of

MISSED: Final = one_of(*POLICIES)
FIRED: Final = one_of("fired", "missed", "refused", "by hand")


class FiringModel(AnswerModel):
    """What became of one time at which a schedule was due."""

    due_at: datetime
    outcome: Annotated[str, FIRED]
    task_id: str | None


class DaysModel(AnswerModel):
    """The first and the last day that a task is about."""

    first: date
    last: date


class ScheduleModel(AnswerModel):
    """A schedule as it stands."""

    id: str
    name: str
    origin: Annotated[str, one_of("plugin", "setting", "person")]
    cron: str
    zone: str
    missed: Annotated[str, MISSED]
    payload: dict[str, Any]
    owner: str
    created_at: datetime
    next_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    period: Annotated[str, one_of("", *PERIODS)]
    ended_at: datetime | None
    ended: str | None
    words: str
    about: str
    next: list[Time]
    next_days: DaysModel | None
    last: FiringModel | None

    @classmethod
    def of(cls, standing: ScheduleStatus, **more: Any) -> Self:
        """Return a schedule as it is answered."""
        shown = standing.as_json()
        for name, model in (("last", FiringModel), ("next_days", DaysModel)):
            shown[name] = None if shown[name] is None else model.model_construct(**shown[name])
        return cls.model_construct(**shown, **more)


class PastFiringModel(AnswerModel):
    """What became of one time at which a schedule was due, and when that was found."""

    due_at: datetime
    outcome: Annotated[str, FIRED]
    at: datetime
    task_id: str | None

    @classmethod
    def of(cls, firing: Firing) -> Self:
        """Return `firing` as it is answered."""
        return cls.model_construct(
            due_at=moment(firing.due_at), outcome=firing.outcome, at=moment(firing.at), task_id=firing.task_id
        )


class ScheduleHistoryModel(ScheduleModel):
    """A schedule as it stands, with its latest firings, newest first."""

    firings: list[PastFiringModel]


class SchedulesModel(AnswerModel):
    """Schedules, by name."""

    schedules: list[ScheduleModel]
