"""Tell operators what needs a look, by letter and through Apprise."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from steward import Email, EmailAddress, Handler, Note, Rejected, RetryPolicy, handler, hookimpl
from steward.installation.maintenance import Operations


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


class AlertWebhook(BaseModel):
    """What an Apprise URL is told, and which: the number that it has among those of STEWARD_ALERT_URLS, from 1."""

    number: int = Field(ge=1)
    title: str = Field(max_length=200)
    body: str = Field(max_length=20_000)

    @model_validator(mode="before")
    @classmethod
    def _without_address(cls, stored: Any) -> Any:
        """Let a task of before go on: it held an address, where now only the settings do."""
        if isinstance(stored, dict) and isinstance(stored.get("url"), dict):
            return {"number": 1, **{name: value for name, value in stored.items() if name != "url"}}
        return stored


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


SOON = RetryPolicy(delays=(10.0, 30.0, 120.0), then=600.0, attempts=12, within=timedelta(hours=6))


@handler(
    example=AlertWebhook(number=1, title="Steward: a task failed", body="Backup failed"),
    lane="jobs",
    scope="internal",
    time_limit=60,
    retry=SOON,
)
def alert_webhook(told: AlertWebhook, operations: Operations) -> Note:
    """Tell an Apprise URL (a webhook, a chat, a pager) the same."""
    try:
        import apprise
    except ImportError as error:
        raise Rejected(
            "Apprise is not installed", "STEWARD_ALERT_URLS needs it", "pip install 'steward-tasks[alerts]'"
        ) from error
    addresses = operations.alert_addresses
    if told.number > len(addresses):
        raise Rejected(f"STEWARD_ALERT_URLS names no address number {told.number}", f"It names {len(addresses)}")
    url = addresses[told.number - 1].reveal()
    carrier = apprise.Apprise()
    if not carrier.add(url):
        raise Rejected(
            "An address in STEWARD_ALERT_URLS is not one that Apprise knows", "", "See Apprise's list of URLs"
        )
    kind = url.partition(":")[0]
    try:
        taken = carrier.notify(title=told.title, body=told.body)
    except Exception as error:
        # Without its words: they may quote the address, and with it what signs us in there.
        raise RuntimeError(f"the {kind} address could not be told ({type(error).__name__})") from None
    if not taken:
        raise RuntimeError(f"the {kind} address did not take the alert")
    return Note(f"Told through {kind}.")


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the two ways to tell."""
    return [alert, alert_webhook]
