"""Send the link with which a member chooses a new password."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from steward import Email, EmailAddress, Handler, Private, RetryPolicy, Secret, handler, hookimpl


def web_address(link: Secret) -> Secret:
    """Return `link` if it is an address that a browser opens and that travels encrypted, or stays on this machine."""
    text = link.reveal()
    if not text.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        raise ValueError("must begin with https://")
    if any(c.isspace() or not c.isprintable() for c in text) or len(text) > 2000:
        raise ValueError("must be one address without spaces, of at most 2,000 characters")
    return link


class Reset(BaseModel):
    """Who asked, and their link."""

    name: Private = Field(min_length=1, max_length=200, title="Name")
    email: EmailAddress = Field(title="E-mail address")
    link: Annotated[Secret, AfterValidator(web_address)] = Field(
        title="Link", description="Kept encrypted, and erased when the letter has been sent."
    )
    valid_minutes: int = Field(60, ge=5, le=60, title="Valid for (minutes)")


@handler(
    example=Reset(name="Ada Lovelace", email="ada@example.org", link=Secret("https://members.example.org/reset/4f9c")),
    lane="urgent",
    priority=100,
    expires_after=timedelta(hours=1),
    at_most=((1, 60), (5, 3600)),
    retry=RetryPolicy(delays=(5, 15, 30, 60, 120), then=300),
)
def password_reset(reset: Reset) -> Email:
    """Send a one-hour link to choose a new password; nothing is sent after that hour."""
    return Email(to=reset.email, template="password_reset", context=reset)


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the one letter."""
    return [password_reset]
