"""Tell operators what needs a look through Apprise: a webhook, a chat, a pager."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field, model_validator

from steward import Handler, Note, Rejected, RetryPolicy, handler, hookimpl
from steward.installation.maintenance import Operations


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
    """Return the handler of this plugin."""
    return [alert_webhook]
