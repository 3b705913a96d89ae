"""Tell operators what needs a look, by letter and through Apprise."""

from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, Field

from steward import Email, EmailAddress, Handler, Note, Rejected, RetryPolicy, Secret, handler, hookimpl


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
    """What an Apprise URL is told."""

    url: Secret
    title: str = Field(max_length=200)
    body: str = Field(max_length=20_000)


EXAMPLE = Told(
    what="Welcome email failed 500 times",
    reason="550 5.1.1 No such user here",
    since=datetime.fromisoformat("2026-11-20T06:00:00Z"),
    link="https://steward.example.org/tasks/019ab0c2-5289-7ad3-8e66-13b1efff8f58",
    all="https://steward.example.org/?show=failed&name=welcome_email",
)


@handler(example=Alert(to=["operator@example.org"], incidents=[EXAMPLE]), priority=90)
def alert(told: Alert) -> Email:
    """Tell operators what failed for good, what stands still, and which schedules were missed."""
    return Email(to=told.to, template="alert", context=told)


SOON = RetryPolicy(delays=(10.0, 30.0, 120.0), then=600.0, attempts=12, within=timedelta(hours=6))


@handler(
    example=AlertWebhook(url=Secret("json://localhost"), title="Steward: a task failed", body="Backup failed"),
    lane="jobs",
    time_limit=60,
    retry=SOON,
)
def alert_webhook(told: AlertWebhook) -> Note:
    """Tell an Apprise URL (a webhook, a chat, a pager) the same."""
    try:
        import apprise
    except ImportError as error:
        raise Rejected(
            "Apprise is not installed", "STEWARD_ALERT_URLS needs it", "pip install 'steward-tasks[alerts]'"
        ) from error
    carrier = apprise.Apprise()
    if not carrier.add(told.url.reveal()):
        raise Rejected(
            "An address in STEWARD_ALERT_URLS is not one that Apprise knows", "", "See Apprise's list of URLs"
        )
    kind = told.url.reveal().partition(":")[0]
    if not carrier.notify(title=told.title, body=told.body):
        raise RuntimeError(f"the {kind} address did not take the alert")
    return Note(f"Told through {kind}.")


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the two ways to tell."""
    return [alert, alert_webhook]
