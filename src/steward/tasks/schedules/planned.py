"""A task that a setting makes again and again: what may be written, checked where it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from steward.errors import InvalidOption
from steward.model.cron import Missed
from steward.model.cron import check as check_cron


class PlannedSchedule(BaseModel):
    """A task that a setting makes again and again; see `steward.Schedule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    cron: str
    zone: str = ""
    missed: Missed = "once"
    payload: dict[str, Any] = {}
    period: str = ""

    @model_validator(mode="before")
    @classmethod
    def _usable(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("cron"), str):
            zone, period = given.get("zone") or "UTC", str(given.get("period") or "")
            given = given | {"cron": as_value_error(lambda: check_cron(given["cron"], zone, "once", period))}
        return given


def as_value_error(check: Callable[[], Any]) -> Any:
    """Return what `check` returns.

    Raises:
        ValueError: it refuses; for pydantic, which tells it with the setting's name.
    """
    try:
        return check()
    except InvalidOption as error:
        raise ValueError(str(error)) from error
