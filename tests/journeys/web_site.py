"""An installation with a few small plugins behind a real web server, for journeys through the web door."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, EmailStr, Field

from steward import Email, Note, Options, Rejected, Report, Secret, Source, handler, hookimpl
from steward.errors import UnknownKey
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.model.caller import SCOPES, Caller
from steward.plugins.registry import load as load_plugins
from steward.storage import access
from steward.storage.database.schema.tables import artifacts, deliveries, tasks
from steward.system.clock import now
from steward.web.app import create
from steward.web.server import WebServer


class Joined(BaseModel):
    name: str
    email: EmailStr


class Reset(BaseModel):
    email: EmailStr
    link: Secret


class Period(StrEnum):
    quarter = "one_quarter"
    year = "one_year"


class Grant(BaseModel):
    grant: str = Field(
        title="Grant",
        description="The grant to report on.",
        json_schema_extra={"choices_query": "SELECT number AS value, name AS label FROM grants ORDER BY number"},
    )
    since: date
    period: Period = Period.quarter
    recipients: list[EmailStr] = Field(default_factory=list, title="Send it to")
    least: Decimal | None = Field(Decimal(0), ge=0)
    formats: list[Literal["pdf", "csv"]] = ["pdf"]
    roster: bool = False
    words: str = Field("", max_length=2000)


class Nothing(BaseModel):
    pass


@handler(example=Joined(name="Ada", email="ada@example.org"))
def welcome_email(joined: Joined) -> Email:
    """Greet a member on the day the account is verified.

    The letter says where to find the calendar.
    """
    return Email(to=joined.email, template="welcome_email", context=joined)


@handler(example=Reset(email="ada@example.org", link=Secret("https://example.org/r")), lane="urgent")
def password_reset(reset: Reset) -> Email:
    """Send the link that sets a new password."""
    return Email(to=reset.email, template="password_reset", context=reset)


def _look(grant: Grant, source: Source) -> None:
    if source.one("SELECT 1 FROM grants WHERE number = :n", n=grant.grant) is None:
        raise Rejected("There is no such grant", f"'{grant.grant}' is in no list", "Choose one that exists")


@handler(example=Grant(grant="DOL-1", since=date(2026, 1, 1)), staff=True, lane="reports", check=_look)
def grant_report(grant: Grant) -> Report:
    """Account for a grant to its funder."""
    return Report(template="grant_report", context=grant)


@handler(example=Nothing(), lane="jobs")
def tidy(nothing: Nothing) -> Note:
    """Tidy up."""
    return Note("Tidied.")


@hookimpl
def register_handlers() -> list[Any]:
    return [welcome_email, password_reset, grant_report, tidy]


PLUGIN = types.ModuleType("small")
PLUGIN.register_handlers = register_handlers  # type: ignore[attr-defined]

BROKEN = '"""Writes about dues."""\n\nimport a_module_that_is_not_there\n'


def install(folder: Path, **settings: Any) -> Steward:
    """Return an installation in `folder`: small plugins, a broken one, and a source with two grants."""
    plugins = folder / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "dues_letter.py").write_text(BROKEN)
    database = sqlite3.connect(folder / "source.sqlite3")
    database.execute("CREATE TABLE grants (number TEXT, name TEXT)")
    database.executemany("INSERT INTO grants VALUES (?, ?)", [("DOL-1", "Apprentices"), ("NECA-7", "Tools <for> all")])
    database.commit()
    database.close()
    given = {
        "data_dir": folder / "data",
        "plugins_dir": plugins,
        "source_url": f"sqlite:///{folder / 'source.sqlite3'}",
        "free_space_mb": 0,
    }
    steward = Steward(load(**(given | settings)))
    # Without the shipped plugins: these small ones bear the same names.
    steward.registry = load_plugins([plugins], entry_points=False, extra=(PLUGIN,))
    return steward


def key(steward: Steward, name: str, *scopes: str, only: tuple[str, ...] = ()) -> str:
    """Make a key and return its token; an earlier one of this name is ended, since a name is one key's."""
    with contextlib.suppress(UnknownKey):
        steward.ledger.apply(lambda c: access.revoke_key(c, name))
    return steward.ledger.apply(lambda c: access.create_key(c, name, list(scopes), only))[1]


def holder(steward: Steward, name: str) -> Caller:
    """Return who holds the key of this name, or a stranger of this name."""
    with steward.ledger.read() as connection:
        found = [k for k in access.list_keys(connection) if k.name == name and k.revoked_at is None]
        known = access.standing(connection, found[0].id) if found else None
    return known or Caller(f"stranger {name}", name, frozenset(SCOPES))


def add_file(steward: Steward, task_id: str, n: int, name: str, content: bytes, media_type: str = "text/csv") -> None:
    """Keep a file for a task as a worker would."""
    stored = steward.archive.store(task_id, name, BytesIO(content))
    row = {"task_id": task_id, "n": n, "name": name, "media_type": media_type, "created_at": now()}
    facts = {"size": stored.size, "sha256": stored.sha256, "location": stored.location}
    steward.ledger.apply(lambda c: c.execute(artifacts.insert().values(**row, **facts)))


def set_task(steward: Steward, task_id: str, **values: Any) -> None:
    """Put a task where a test needs it."""
    steward.ledger.apply(lambda c: c.execute(tasks.update().where(tasks.c.id == task_id).values(**values)))


def add_delivery(steward: Steward, task_id: str, n: int, to: str, outcome: str, code: int | None, reply: str) -> None:
    """Record what became of one copy as a worker would."""
    row = {"task_id": task_id, "n": n, "recipient": to, "outcome": outcome, "code": code, "reply": reply}
    rest = {"message_id": f"<{n}@x>", "subject": "A subject", "possible_duplicate": False, "attempt": 1, "at": now()}
    steward.ledger.apply(lambda c: c.execute(deliveries.insert().values(**row, **rest)))


def hand_over(steward: Steward, name: str, payload: dict[str, Any], by: str) -> str:
    """Accept a task that belongs to the key of this name, whatever that may ask for, and return its id."""
    owner = replace(holder(steward, by), scopes=frozenset(SCOPES))
    return steward.service.submit(name, payload, Options(caller=owner)).id


@contextmanager
def serving(steward: Steward, app: FastAPI | None = None) -> Iterator[str]:
    """Serve an installation on a free port, in an application of its own or in `app`, and give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = WebServer(app or create(steward), steward.settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        paused = threading.Event()
        for _ in range(1000):
            if server.started:
                break
            paused.wait(0.01)
        assert server.started, "the server did not start within ten seconds"
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            steward.close()
