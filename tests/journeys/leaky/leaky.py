"""A handler that does with its secret what it should not: raises it, prints it, puts it into words."""

from __future__ import annotations

from pydantic import BaseModel, EmailStr

from steward import NO_RETRY, Email, Handler, Note, Rejected, Secret, handler, hookimpl


class Leak(BaseModel):
    """A secret, and what to do with it."""

    name: str = "Ada"
    email: EmailStr
    link: Secret
    way: str = "raise"


@handler(example=Leak(email="ada@example.org", link=Secret("https://example.org/r")), retry=NO_RETRY)
def leak(leak: Leak) -> Email | Note:
    """Tell a secret."""
    link = leak.link.reveal()
    if leak.way == "raise":
        raise ValueError(f"invalid address: {link!r}")
    if leak.way == "reject":
        raise Rejected("The link cannot be used", link)
    if leak.way == "note":
        return Note(f"Used {link}.", {"link": link, link: 1})
    return Email(to=leak.email, template="leak", context={"link": link})


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the one."""
    return [leak]
