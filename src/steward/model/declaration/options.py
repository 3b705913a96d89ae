"""What the options of a declaration may be: nonsense is refused where it is written, with file and line."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from steward.errors import PluginError

LONGEST: Final = 366 * 86400.0
"""Most seconds of a delay, and of a time limit a tenth of it: what is longer is a mistake."""


def require_retry(policy: Any) -> None:
    """Return if a `RetryPolicy` makes sense.

    Raises:
        PluginError: a figure is none, or outside of its range; the words say which, with file and line.
    """
    delays = policy.delays if isinstance(policy.delays, (tuple, list)) else (None,)
    for name, fits, wanted in (
        ("delays", all(_number(each, 0, LONGEST) for each in delays), "seconds, each from 0 to a year"),
        ("then", _number(policy.then, 0, LONGEST), "seconds, from 0 to a year"),
        ("attempts", _whole(policy.attempts, 1, sys.maxsize), "a whole number from 1"),
        ("within", _span(policy.within), "a timedelta above 0, at most 1,000 years"),
        ("jitter", _number(policy.jitter, 0, 1), "a share from 0 to 1"),
    ):
        if not fits:
            raise _nonsense(f"The RetryPolicy at {_caller()}", name, getattr(policy, name), wanted)


def require_options(options: Mapping[str, Any], whose: str, lanes: tuple[str, ...], policy: type) -> None:
    """Return if the options of `@handler` make sense.

    Raises:
        PluginError: one is of a wrong type, or outside of its range; the words name it, with file and line.
    """
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "lane": (lambda v: v in lanes, f"one of {', '.join(lanes)}: no worker serves another"),
        "priority": (lambda v: _whole(v, -100, 100), "a whole number from -100 to 100"),
        "retry": (lambda v: v is None or isinstance(v, policy), "a RetryPolicy"),
        "expires_after": (lambda v: v is None or _span(v), "a timedelta above 0, at most 1,000 years"),
        "time_limit": (lambda v: _number(v, 0, LONGEST / 10) and v > 0, "seconds above 0"),
        "on_uncertain": (lambda v: v in ("resend", "hold"), "resend or hold"),
        "important": (lambda v: isinstance(v, bool), "True or False"),
        "staff": (lambda v: isinstance(v, bool), "True or False"),
        "check": (_plain_function, "a function that is not async: nobody would await it"),
        "span": (_plain_function, "a function that is not async: nobody would await it"),
        "schedules": (lambda v: isinstance(v, (tuple, list)), "a tuple of cron expressions or Schedules"),
        "at_most": (_limits, "pairs of a whole number and seconds, such as ((1, 60),)"),
    }
    for name, (fits, wanted) in checks.items():
        if name in options and not fits(options[name]):
            raise _nonsense(f"The handler {whose}", name, options[name], wanted)


def _nonsense(whose: str, name: str, value: Any, wanted: str) -> PluginError:
    return PluginError(f"{whose} cannot be used", f"{name} is {str(value)[:60]!r}, and has to be {wanted}")


def _number(value: Any, least: float, most: float) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    ) and least <= value <= most


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _span(value: Any) -> bool:
    return isinstance(value, timedelta) and timedelta(0) < value <= timedelta(days=366_000)


def _plain_function(value: Any) -> bool:
    return value is None or (callable(value) and not inspect.iscoroutinefunction(value))


def _limits(value: Any) -> bool:
    if not isinstance(value, (tuple, list)):
        return value is None
    return all(
        isinstance(each, (tuple, list))
        and len(each) == 2
        and type(each[0]) is int
        and _number(each[1], -LONGEST, LONGEST)
        for each in value
    )


def _caller() -> str:
    """Return file and line of the nearest frame that is none of Steward's own, nor a dataclass's."""
    frame = sys._getframe(1)
    own = (
        "steward.model.declaration.options",
        "steward.model.declaration.handler",
        "steward.model.declaration.retry",
        "dataclasses",
    )
    while frame.f_back is not None and frame.f_globals.get("__name__") in own:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
