"""The declaration of a kind of task: one function, its payload, and how it is to be treated."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal, overload

from pydantic import BaseModel

from steward.errors import InvalidOption, InvalidPayload, PluginError
from steward.model.caller import AUDIENCES, Audience
from steward.model.cron import Schedule
from steward.model.cron import check as check_schedule
from steward.model.declaration.injection import Needs, needs_of, place_of
from steward.model.declaration.injection import needs as needs_by
from steward.model.declaration.options import require_options
from steward.model.declaration.queues import QUEUES, Queue
from steward.model.declaration.retry import RetryPolicy
from steward.model.payload import keep

ADDRESSED = ("email", "to", "recipient", "recipients")
"""The payload's fields that may hold an address; the first one that does says whom a task is for."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered kind of task. Call it like the function it was made from."""

    name: str
    function: Callable[..., Any]
    payload: type[BaseModel]
    summary: str
    description: str
    example: BaseModel
    lane: str = "mail"
    priority: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    expires_after: timedelta | None = None
    time_limit: float = 120.0
    on_uncertain: Literal["resend", "hold"] = "resend"
    important: bool = True
    needs: Needs = ()
    check: Callable[..., None] | None = None
    check_needs: Needs = ()
    span: Callable[..., tuple[date | None, date | None]] | None = None
    span_needs: Needs = ()
    schedules: tuple[Schedule, ...] = ()
    scope: Audience = "send"
    at_most: tuple[tuple[int, float], ...] = ()
    origin: str = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it had not been declared."""
        return self.function(*args, **kwargs)

    @property
    def staff(self) -> bool:
        """Whether the pages offer it under "Ask for a report"."""
        return self.scope == "reports"

    @property
    def title(self) -> str:
        """The name as a person reads it: `grant_report` is "Grant report"."""
        return self.name.replace("_", " ").capitalize()


@overload
def handler(function: Callable[..., Any], /) -> Handler: ...
@overload
def handler(
    *,
    example: BaseModel,
    name: str | None = None,
    lane: Queue = "mail",
    priority: int = 0,
    retry: RetryPolicy | None = None,
    expires_after: timedelta | None = None,
    time_limit: float = 120.0,
    on_uncertain: Literal["resend", "hold"] = "resend",
    important: bool = True,
    check: Callable[..., None] | None = None,
    span: Callable[..., tuple[date | None, date | None]] | None = None,
    schedules: tuple[str | Schedule, ...] = (),
    scope: Audience | None = None,
    staff: bool = False,
    at_most: tuple[tuple[int, float], ...] = (),
) -> Callable[[Callable[..., Any]], Handler]: ...
def handler(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a kind of task.

    The name is the function's, the payload the annotation of its first parameter (a pydantic model), the summary the
    docstring's first line. Further parameters are asked for by annotation: `source: Source`, `calendar: Calendar`,
    `progress: Progress`, `cursor: Cursor`, and the plugin's own `PluginSettings`. `example` is a valid payload: it
    feeds the preview, the form, the documentation and the snapshot test, and is public. `check(payload, ...)` looks at
    a request when it is accepted, and at what a schedule asks for when it is due, and raises `Rejected` with the words
    for the caller. `time_limit` is in seconds. `schedules` says when a task is made by itself: cron expressions, or
    `Schedule(...)` with a time zone and more. `span(payload, ...)` returns the first and the last day (None: no limit)
    of what can be asked for: the days of a schedule's period are cut to it, and a schedule ends with it.

    `scope` says who may ask for it: "send" (everybody who sends; the default, except for a handler that asks for
    `Operations` or a `Cursor`), "reports" (staff, who find it under "Ask for a report"; `staff=True` says the same),
    "operate" (operators), or "internal" (nobody from outside: only the service and the program that embeds it).

    `at_most=((1, 60), (5, 3600))` takes at most one task in 60 seconds and five in 3600 for one recipient,
    whoever asks.

    Returns the `Handler`, which is callable as the function was.

    Raises:
        PluginError: the declaration cannot be used; the words say what is missing, with file and line.
    """
    outer = sys._getframe(1).f_locals

    def declare(target: Callable[..., Any]) -> Handler:
        return _declare(target, outer, **options)

    return declare if function is None else declare(function)


def _declare(target: Callable[..., Any], outer: dict[str, Any], **options: Any) -> Handler:
    where = place_of(target)
    name = options.pop("name", None) or target.__name__
    if not NAME.fullmatch(name):
        raise PluginError(
            f"The handler at {where} cannot be named '{name}'",
            "A name is lower-case letters, digits and underscores, and starts with a letter",
            "Rename the function, or pass name=... to @handler",
        )
    parameters = list(inspect.signature(target).parameters.values())
    try:
        hints = typing.get_type_hints(target, localns=outer)
    except NameError as error:
        raise PluginError(f"The handler {name} at {where} has an annotation that is not defined", str(error)) from error
    model = hints.get(parameters[0].name) if parameters else None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(
            f"The handler {name} at {where} does not say what its payload is",
            "Its first parameter needs a pydantic model as annotation",
            f"Write: def {name}(request: MyModel) -> Email",
        )
    example = options.pop("example", None)
    if example is None:
        raise PluginError(
            f"The handler {name} at {where} has no example",
            "The example feeds the preview, the form, the tests and the documentation",
            f"Write: @handler(example={model.__name__}(...))",
        )
    if not isinstance(example, model):
        raise PluginError(f"The example of {name} at {where} is not a {model.__name__}")
    try:
        keep(name, model, example)
    except InvalidPayload as error:
        raise PluginError(
            f"The example of {name} at {where} is no payload that could be accepted",
            error.why,
            f"Make it as a caller would: {model.__name__}(...)",
        ) from error
    require_options(options, f"{name} at {where}", QUEUES, RetryPolicy)
    at_most = options.get("at_most") or ()
    if any(most < 1 or seconds <= 0 for most, seconds in at_most):
        raise PluginError(f"The handler {name} at {where} has a limit that lets nothing through", f"It is {at_most}")
    if at_most and not isinstance(
        next((getattr(example, f, None) for f in ADDRESSED if hasattr(example, f)), None), str
    ):
        raise PluginError(
            f"The handler {name} at {where} has a limit for each address, and a payload without one address",
            "at_most counts by the payload's field email, to or recipient",
            "Add such a field, or leave at_most out",
        )
    summary, _, description = (inspect.getdoc(target) or "").partition("\n")
    needs = needs_by(target, hints, parameters[1:])
    options["scope"] = _scope(options.pop("scope", None), options.pop("staff", False), needs, f"{name} at {where}")
    if "schedules" in options:
        options["schedules"] = _schedules(options["schedules"], model, f"{name} at {where}")
    options = {key: value for key, value in options.items() if value is not None}
    return Handler(
        name=name,
        function=target,
        payload=model,
        summary=summary.strip(),
        description=description.strip(),
        example=example,
        needs=needs,
        check_needs=needs_of(options.get("check"), outer),
        span_needs=needs_of(options.get("span"), outer),
        origin=where,
        **options,
    )


def _scope(scope: str | None, staff: bool, needs: Needs, whose: str) -> str:
    if scope is not None and scope not in AUDIENCES:
        raise PluginError(
            f"The handler {whose} is for nobody known", f"scope is {scope!r}", f"Write one of: {', '.join(AUDIENCES)}"
        )
    if staff and scope not in (None, "reports"):
        raise PluginError(
            f"The handler {whose} says two things about who may ask for it",
            f'staff=True means scope="reports", and scope is "{scope}"',
            "Leave staff out",
        )
    if staff or scope is not None:
        return scope or "reports"
    # What works on the installation itself, or writes into another system, is for operators unless it says otherwise.
    return "operate" if any(wanted in ("operations", "cursor") for _, wanted in needs) else "send"


def moving_days(model: type[BaseModel]) -> dict[str, str]:
    """Return the payload's days that move along with a schedule, by their fields' names: each `first` or `last`.

    A field says so in its schema: `json_schema_extra={"schedule_period": "first"}`.
    """
    found = {}
    for name, each in model.model_fields.items():
        extra = each.json_schema_extra
        which = extra.get("schedule_period") if isinstance(extra, dict) else None
        if which in ("first", "last"):
            found[name] = str(which)
    return found


def _schedules(given: tuple[str | Schedule, ...], model: type[BaseModel], whose: str) -> tuple[Schedule, ...]:
    found = []
    for each in given:
        schedule = Schedule(each) if isinstance(each, str) else each
        try:
            cron = check_schedule(schedule.cron, schedule.zone or "UTC", schedule.missed, schedule.period)
            payload = model() if schedule.payload is None else model.model_validate(schedule.payload)
            if schedule.period and not moving_days(model):
                raise InvalidOption(f"It has the period '{schedule.period}', and its payload no days that move along")
            if keep(whose, model, payload)[1]:
                raise InvalidOption("Its payload holds a secret, and a schedule keeps none")
        except (InvalidOption, ValueError) as error:
            words = str(error).replace("\n", " ")
            raise PluginError(
                f"A schedule of {whose} cannot be used", words, "Write Schedule(cron, payload=...)"
            ) from error
        found.append(Schedule(cron, schedule.zone, schedule.missed, payload, schedule.period))
    return tuple(found)
