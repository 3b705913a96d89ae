"""Tell operators what needs a look, by letter."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field

from steward import Email, EmailAddress, Handler, handler, hookimpl


class Told(BaseModel):
    """One kind of failure, with the words for it."""

    what: str = Field(max_length=300)
    reason: str = Field("", max_length=2000)
    since: AwareDatetime
    link: str = Field(max_length=500)
    all: str = Field("", max_length=500)


class Alert(BaseModel):
    """What operators are told in one letter."""

    to: list[EmailAddress] = Field(min_length=1, max_length=50)
    incidents: list[Told] = Field(min_length=1, max_length=50)
    more: int = Field(0, ge=0)


EXAMPLE = Told(
    what="Welcome email failed 500 times",
    reason="550 5.1.1 No such user here",
    since=datetime.fromisoformat("2026-11-20T06:00:00Z"),
    link="https://steward.example.org/tasks/019ab0c2-5289-7ad3-8e66-13b1efff8f58",
    all="https://steward.example.org/?show=failed&name=welcome_email",
)


@handler(example=Alert(to=["operator@example.org"], incidents=[EXAMPLE]), scope="internal", priority=90)
def alert(told: Alert) -> Email:
    """Tell operators what failed for good, what stands still, and which schedules were missed."""
    return Email(to=told.to, template="alert", context=told)


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the handler of this plugin."""
    return [alert]
