"""Send the link with which a member chooses a new password."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import Url

from steward import Email, EmailAddress, Handler, Private, RetryPolicy, Secret, handler, hookimpl

HERE = ("localhost", "127.0.0.1", "[::1]")


def web_address(link: Secret) -> Secret:
    """Return `link` if it is an address that a browser opens and that travels encrypted, or stays on this machine.

    It is read as browsers read it (the URL Standard of WHATWG, by pydantic's parser), and looks like what it is.
    """
    text = link.reveal()
    if any(c.isspace() or not c.isprintable() or c == "\\" for c in text) or len(text) > 2000:
        raise ValueError("must be one address without spaces or backslashes, of at most 2,000 characters")
    try:
        url = Url(text)
    except ValueError:
        raise ValueError("must be the address of a page, such as https://members.example.org/reset/…") from None
    if "@" in re.split(r"[/?#]", text.partition("//")[2])[0]:
        raise ValueError("must not have a user name before its host: it would hide where the link leads")
    host = url.host or ""
    if not re.match(r"https?://[^/]", text, re.IGNORECASE) or not host:
        raise ValueError("must begin with https:// and a host")
    if url.scheme != "https" and host not in HERE:
        raise ValueError("must begin with https://")
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
