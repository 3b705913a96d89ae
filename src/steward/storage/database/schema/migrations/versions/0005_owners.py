"""Owners by id: who a task, a schedule and an idempotency key belong to; people and their sessions as rows.

What was kept by a name alone goes to the one key or person of that name. Where several have it, or nobody, a task is
for operators. An earlier idempotency key stands for everybody who may have given it: better a request that is found
to have been made than a letter twice.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    op.add_column("api_keys", sa.Column("only", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("owner_id", sa.String(length=36), nullable=False, server_default=""))
    op.add_column("schedules", sa.Column("owner_id", sa.String(length=36), nullable=False, server_default=""))
    _people()
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("caller_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )
    op.create_table("names_before", sa.Column("name", sa.Text()), sa.Column("id", sa.String(length=36)))
    op.execute("INSERT INTO names_before SELECT substr(name, 1, 80), id FROM api_keys")
    op.execute("INSERT INTO names_before SELECT substr(earlier, 1, 80), id FROM people_before")
    one = "SELECT min(id) FROM names_before WHERE name = {0} HAVING count(*) = 1"
    for table, name in (("tasks", "requested_by"), ("schedules", "owner")):
        op.execute(
            f"UPDATE {table} SET owner_id = coalesce(({one.format(f'{table}.{name}')}), '')"
            f" WHERE {name} IN (SELECT name FROM names_before)"
        )
    # Names that no key and no person has were those of the machine's users, at the command line.
    op.execute(
        "UPDATE schedules SET owner_id = CASE WHEN origin <> 'person' THEN 'steward'"
        " WHEN owner = '' THEN 'process' ELSE 'command line' END"
        " WHERE origin <> 'person' OR owner NOT IN (SELECT name FROM names_before)"
    )
    op.create_index("ix_tasks_owner_id", "tasks", ["owner_id", "id"], unique=False)
    _keys()
    op.drop_table("names_before")
    op.drop_table("people_before")


def _people() -> None:
    connection = op.get_bind()
    links = connection.execute(
        sa.text("SELECT hash, name, scopes, created_at, expires_at, used_at FROM sign_in_links ORDER BY created_at")
    ).all()
    op.drop_table("sign_in_links")
    people = op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("invited_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    rows = op.create_table(
        "sign_in_links",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sign_in_links")),
    )
    before = op.create_table(
        "people_before", sa.Column("earlier", sa.Text()), sa.Column("id", sa.String(length=36), primary_key=True)
    )
    found: dict[str, dict[str, object]] = {}
    taken: set[str] = set()
    for link in links:
        person = found.get(link.name)
        if person is None:
            person = {
                "id": str(uuid.uuid4()),
                "name": _free(link.name, taken),
                "created_at": link.created_at,
                "signed_in_at": None,
            }
            found[link.name] = person
        person |= {"scopes": link.scopes, "invited_at": link.created_at}
        if link.used_at is not None:
            person["signed_in_at"] = max(link.used_at, person["signed_in_at"] or 0)
    if found:
        connection.execute(people.insert(), list(found.values()))
        connection.execute(before.insert(), [{"earlier": name, "id": each["id"]} for name, each in found.items()])
        connection.execute(
            rows.insert(),
            [
                {
                    "hash": link.hash,
                    "user_id": found[link.name]["id"],
                    "created_at": link.created_at,
                    "expires_at": link.expires_at,
                    "used_at": link.used_at,
                }
                for link in links
            ],
        )


def _free(name: str, taken: set[str]) -> str:
    kept = "".join(c for c in name if c.isprintable()).strip()[:76] or "unnamed"
    number, tried = 1, kept
    while tried.casefold() in taken:
        number += 1
        tried = f"{kept} {number}"
    taken.add(tried.casefold())
    return tried


def _keys() -> None:
    op.execute("CREATE TABLE keys_before AS SELECT key, task_id, digest, created_at FROM idempotency_keys")
    op.drop_table("idempotency_keys")
    op.create_table(
        "idempotency_keys",
        sa.Column("caller_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("ids", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_index("ix_idempotency_keys_task_id", "idempotency_keys", ["task_id"], unique=False)
    insert = "INSERT INTO idempotency_keys (caller_id, key, task_id, digest, created_at) SELECT"
    rest = "b.key, b.task_id, b.digest, b.created_at FROM keys_before b"
    for caller in ("process", "command line"):
        op.execute(f"{insert} '{caller}', {rest}")
    op.execute(f"{insert} n.id, {rest} JOIN tasks t ON t.id = b.task_id JOIN names_before n ON n.name = t.requested_by")
    op.drop_table("keys_before")


def downgrade() -> None:
    """Go back. Sessions end, keys of bulks are forgotten, and of keys that several callers use one stays."""
    connection = op.get_bind()
    found = connection.execute(
        sa.text(
            "SELECT key, min(task_id) AS task_id, min(digest) AS digest, min(created_at) AS created_at"
            " FROM idempotency_keys WHERE ids IS NULL GROUP BY key HAVING count(DISTINCT task_id) = 1"
        )
    ).mappings()
    kept = [dict(row) for row in found]
    op.drop_table("idempotency_keys")
    keys = op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_index("ix_idempotency_keys_task_id", "idempotency_keys", ["task_id"], unique=False)
    if kept:
        connection.execute(keys.insert(), kept)
    joined = connection.execute(
        sa.text(
            "SELECT l.hash, u.name, u.scopes, l.created_at, l.expires_at, l.used_at"
            " FROM sign_in_links l JOIN users u ON u.id = l.user_id"
        )
    ).mappings()
    links = [dict(row) for row in joined]
    op.drop_table("sign_in_links")
    op.drop_table("users")
    op.drop_table("sessions")
    table = op.create_table(
        "sign_in_links",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sign_in_links")),
    )
    if links:
        connection.execute(table.insert(), links)
    op.drop_index("ix_tasks_owner_id", table_name="tasks")
    op.drop_column("schedules", "owner_id")
    op.drop_column("tasks", "owner_id")
    op.drop_column("api_keys", "only")
