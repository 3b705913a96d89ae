"""Greet a new member."""

from pydantic import AnyHttpUrl, BaseModel, Field

from steward import Email, EmailAddress, Handler, handler, hookimpl


class Joined(BaseModel):
    """Who has joined."""

    name: str = Field(min_length=1, max_length=200, title="Name", description="As the letter should greet them.")
    email: EmailAddress = Field(title="E-mail address")
    member_number: str | None = Field(None, max_length=40, title="Member number")
    sign_in_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://members.example.org/"), title="Address of the account", description="Where to sign in."
    )


@handler(example=Joined(name="Ada Lovelace", email="ada@example.org", member_number="IB-20417"))
def welcome_email(joined: Joined) -> Email:
    """Greet a member on the day the account is verified."""
    return Email(to=joined.email, template="welcome_email", context=joined)


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the one letter."""
    return [welcome_email]
