"""A store of an earlier version is brought up to date, with everything that is in it."""

import pytest
import sqlalchemy as sa

from steward.storage import access
from steward.storage.database import Ledger
from steward.storage.database.ledger import REVISIONS
from steward.storage.database.schema import migrate
from steward.storage.database.schema.tables import metadata
from steward.storage.encryption import token_hash
from steward.storage.tasks import idempotency, search
from steward.system.clock import now

from .conftest import entry, key


def test_a_first_store_keeps_its_tasks_and_gains_every_table(tmp_path, postgres_url):
    for url in (f"sqlite:///{tmp_path}/ledger.sqlite3", postgres_url):
        ledger = Ledger(url)
        migrate.upgrade(ledger.engine, REVISIONS[0])
        columns = "id, name, state, lane, priority, payload, requested_by, created_at, due_at"
        with ledger.write() as connection:
            connection.execute(
                sa.text(f"INSERT INTO tasks ({columns}) VALUES ('t', 'n', 'queued', 'mail', 0, '{{}}', '', 1, 1)")
            )
        ledger.open()
        assert ledger.revision() == REVISIONS[-1]
        with ledger.read() as connection:
            assert connection.scalar(sa.text("SELECT name FROM tasks WHERE id = 't'")) == "n"
            assert set(metadata.tables) <= set(sa.inspect(connection).get_table_names())
        ledger.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nobody_sees_a_store_between_two_steps(kind, tmp_path, request):
    """Who does would take the rest for its own to do, beside the one who has begun."""
    url = f"sqlite:///{tmp_path}/l.sqlite3" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    ledger, other = Ledger(url), Ledger(url)
    migrate.upgrade(ledger.engine, REVISIONS[0])
    seen = []

    def look(_connection, _cursor, statement, *_):
        if statement.startswith("UPDATE alembic_version"):
            seen.append(other.revision())

    sa.event.listen(ledger.engine, "after_cursor_execute", look)
    ledger.open()
    assert seen == [REVISIONS[0]] * (len(REVISIONS) - 1)
    assert other.revision() == REVISIONS[-1]
    for each in (ledger, other):
        each.close()


TOKEN = "stw_of_before"
LINK = "link of before"


@pytest.fixture(params=["sqlite", "postgresql"])
def before(request, tmp_path):
    """A store of the time when names were owners: keys, links, tasks, schedules and idempotency keys."""
    url = f"sqlite:///{tmp_path}/l.sqlite3" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    ledger = Ledger(url)
    migrate.upgrade(ledger.engine, "0004")
    soon = now() + 10**9
    api_keys = [("k1", "shop", TOKEN), ("k2", "twin", "2"), ("k3", "twin", "3"), ("k4", "Ada", "4"), ("k5", "", "5")]
    people = [("l1", "Grace", 1, 5), ("l2", "Grace", 2, None), ("l3", "Ada", 3, None), ("l4", "  ", 4, None)]
    with ledger.write() as connection:

        def put(sql, *rows):
            for row in rows:
                connection.execute(sa.text(sql), row)

        for number, name, token in api_keys:
            put(
                "INSERT INTO api_keys (id, name, hash, scopes, created_at) VALUES (:id, :name, :hash, 'send', 1)",
                {"id": number, "name": name, "hash": token_hash(token)},
            )
        for link, name, made, used in people:
            put(
                "INSERT INTO sign_in_links (hash, name, scopes, created_at, expires_at, used_at)"
                " VALUES (:hash, :name, :scopes, :made, :soon, :used)",
                {"hash": token_hash(LINK) if link == "l2" else link, "name": name, "made": made, "soon": soon,
                 "used": used, "scopes": "reports" if link == "l2" else "reports operate"},
            )  # fmt: skip
        for n, by in enumerate(("shop", "twin", "Grace", "Ada", "root", "", "x" * 80)):
            put(
                "INSERT INTO tasks (id, name, state, lane, priority, payload, requested_by, created_at, due_at)"
                " VALUES (:id, 'letter', 'queued', 'mail', 0, '{}', :by, 1, 1)",
                {"id": f"t{n} {by[:5]}", "by": by},
            )
            put(
                "INSERT INTO idempotency_keys (key, task_id, digest, created_at) VALUES (:key, :id, 'old', :at)",
                {"key": f"key of {by[:5]}", "id": f"t{n} {by[:5]}", "at": now()},
            )
        for by, origin in (("shop", "person"), ("twin", "person"), ("root", "person"), ("", "plugin")):
            put(
                "INSERT INTO schedules (id, name, origin, cron, zone, missed, payload, owner, created_at)"
                " VALUES (:id, 'letter', :origin, '0 6 * * *', 'UTC', 'once', '{}', :by, 1)",
                {"id": f"s {by}", "by": by, "origin": origin},
            )
    ledger.open()
    yield ledger
    ledger.close()


def test_what_one_key_or_person_made_stays_theirs_and_the_rest_is_for_operators(before):
    with before.read() as connection:
        owners = dict(connection.execute(sa.text("SELECT requested_by, owner_id FROM tasks")).all())
        grace = next(u for u in access.list_users(connection) if u.name == "Grace")
        schedules = dict(connection.execute(sa.text("SELECT owner, owner_id FROM schedules")).all())
    assert owners == {"shop": "k1", "twin": "", "Grace": grace.id, "Ada": "", "root": "", "": "k5", "x" * 80: ""}
    assert schedules == {"shop": "k1", "twin": "", "root": "command line", "": "steward"}


def test_people_keep_the_scopes_of_their_newest_link_and_the_link_that_is_open(before):
    with before.read() as connection:
        people = {u.name: u for u in access.list_users(connection)}
    assert set(people) == {"Grace", "Ada", "unnamed"}
    assert people["Grace"].scopes == ("reports",)
    assert people["Grace"].signed_in_at is not None
    caller = before.apply(lambda c: access.use_link(c, LINK))
    assert (caller.id, caller.name) == (people["Grace"].id, "Grace")
    with before.read() as connection:
        assert access.caller_of(connection, TOKEN)[0].name == "shop"


@pytest.mark.parametrize(
    ("by", "callers"),
    [
        ("shop", {"k1"}), ("twin", {"k2", "k3"}), ("root", set()), ("Ada", {"k4"}), ("xxxxx", set()),
    ],
)  # fmt: skip
def test_a_key_that_was_given_before_makes_no_second_task(before, by, callers):
    for caller in {"process", "command line"} | callers:
        again = key(f"key of {by}", "whole", caller, earlier="old")
        task_id, created = before.apply(lambda c, k=again: idempotency.accept_once(c, entry(), k))
        assert (task_id.partition(" ")[2], created) == (by, False)
    with before.read() as connection:
        assert sum(search.counts(connection).values()) == 7
    stranger = key(f"key of {by}", "whole", "somebody else", earlier="old")
    assert before.apply(lambda c: idempotency.accept_once(c, entry(), stranger))[1]
