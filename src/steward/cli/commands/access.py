"""The commands about who may come in: keys for programs, sign-in links for people."""

from __future__ import annotations

from typing import Annotated

import typer

from steward.cli import setup
from steward.cli.output import Json, at, note, say, say_json, say_table

SCOPES = (
    "send (hand over tasks), read (see one's own), reports (ask for and download reports), operate (see and change all)"
)
Scopes = Annotated[list[str], typer.Option("--scope", metavar="SCOPE", help=f"{SCOPES}; may be repeated.")]


def add_commands(app: typer.Typer) -> None:
    """Add `key create|list|revoke` and `user add|list|remove`."""
    keys = typer.Typer(help="Keys with which programs come in.", no_args_is_help=True, rich_markup_mode=None)
    keys.command("create")(create)
    keys.command("list")(list_)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="key")
    users = typer.Typer(help="People who use the pages.", no_args_is_help=True, rich_markup_mode=None)
    users.command("add")(add)
    users.command("list")(list_users)
    users.command("remove")(remove)
    app.add_typer(users, name="user")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it, such as members-site.")],
    scope: Scopes,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="TASK", help="Limit it to tasks of this name; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a key and print it, this once: only its hash is kept."""
    from steward.model.caller import known_names
    from steward.storage import access

    with setup.opened(context) as steward:
        names = known_names(only or (), steward.registry.handlers)
        key, token = steward.ledger.apply(lambda c: access.create_key(c, name, scope, names))
    if as_json:
        shown = {"id": key.id, "name": key.name, "scopes": list(key.scopes), "only": list(key.only), "key": token}
        say_json(shown)
    else:
        limit = f" {' and '.join(key.only)} only" if key.only else ""
        say(token)
        note(f"It may {', '.join(key.scopes)}{limit}, and is not shown again. End it with: steward key revoke {key.id}")
    return 0


def list_(context: typer.Context, as_json: Json = False) -> int:
    """List the keys, newest first.

    Not the keys themselves: those nobody has but their users.
    """
    from steward.model.results import iso
    from steward.storage import access

    with setup.opened(context) as steward, steward.ledger.read() as connection:
        keys = access.list_keys(connection)
    if as_json:
        listed = [
            {
                "id": k.id,
                "name": k.name,
                "scopes": list(k.scopes),
                "only": list(k.only),
                "created_at": iso(k.created_at),
                "used_at": iso(k.used_at),
                "revoked_at": iso(k.revoked_at),
            }
            for k in keys
        ]
        say_json({"keys": listed})
    elif not keys:
        say("There are no keys. Make one with: steward key create NAME --scope send")
    else:
        rows = [
            (
                k.id,
                k.name,
                at(k.created_at),
                at(k.used_at) or "never",
                "revoked" if k.revoked_at else " ".join(k.scopes),
                " ".join(k.only),
            )
            for k in keys
        ]
        say_table(("ID", "NAME", "MADE", "LAST USED", "SCOPES", "ONLY"), rows)
    return 0


def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="A key's id, or the name of one or more.")],
) -> int:
    """End a key, or all keys of a name. Sessions that were opened with it end as well.

    Its schedules rest when they are next due, until somebody who may resumes them.
    """
    from steward.storage import access

    with setup.opened(context) as steward:
        ended = steward.ledger.apply(lambda c: access.revoke_key(c, key))
    say("The key is revoked." if ended == 1 else f"{ended} keys are revoked.")
    return 0


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person, as the pages should show them.")],
    scope: Scopes,
    as_json: Json = False,
) -> int:
    """Make a link with which a person signs in, once.

    It lives for a quarter of an hour. For somebody who has been here before, the scopes are theirs from now on,
    in sessions that are open too.
    """
    from steward.errors import ConfigurationError
    from steward.storage import access

    with setup.opened(context) as steward:
        if not steward.settings.base_url and not steward.settings.port:
            raise ConfigurationError(
                "The address of the pages is not known",
                "STEWARD_PORT is 0, and any port may have been taken",
                "Set STEWARD_BASE_URL to the address that steward up has printed",
            )
        token = steward.ledger.apply(lambda c: access.create_link(c, name, scope))
        link = f"{steward.settings.public_url}/sign-in/{token}"
    if as_json:
        say_json({"name": name, "link": link, "seconds": access.LINK_LIFE})
    else:
        say(link)
        note(f"It signs {name} in once, within {access.LINK_LIFE // 60} minutes. Hand it over as you would a password.")
    return 0


def list_users(context: typer.Context, as_json: Json = False) -> int:
    """List the people who were given a sign-in link, by name."""
    from steward.model.results import iso
    from steward.storage import access

    with setup.opened(context) as steward, steward.ledger.read() as connection:
        users = access.list_users(connection)
    if as_json:
        listed = [
            {
                "id": u.id,
                "name": u.name,
                "scopes": list(u.scopes),
                "invited_at": iso(u.invited_at),
                "signed_in_at": iso(u.signed_in_at),
            }
            for u in users
        ]
        say_json({"users": listed})
    elif not users:
        say("There are no users. Make a sign-in link with: steward user add NAME --scope reports")
    else:
        rows = [
            (u.name, at(u.invited_at), at(u.signed_in_at) or ("not yet" if u.open else "never"), " ".join(u.scopes))
            for u in users
        ]
        say_table(("NAME", "LINK MADE", "SIGNED IN", "SCOPES"), rows)
    return 0


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person, as `user list` shows them.")],
) -> int:
    """Remove a person: their sign-in links and their sessions end at once.

    What they have asked for stays; their schedules rest when they are next due, until somebody who may resumes them.
    A key of the same name stays as well: end it with `key revoke`.
    """
    import shlex

    from steward.storage import access

    with setup.opened(context) as steward:
        steward.ledger.apply(lambda c: access.remove_user(c, name))
        with steward.ledger.read() as connection:
            has_keys = any(k.name == name and k.revoked_at is None for k in access.list_keys(connection))
    say(f"{name} is removed.")
    if has_keys:
        note(f"A key of this name is still in use. End it with: steward key revoke {shlex.quote(name)}")
    return 0
