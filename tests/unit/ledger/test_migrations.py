"""A store of an earlier version is brought up to date, with everything that is in it."""

import sqlalchemy as sa

from steward.ledger import Ledger, migrate
from steward.ledger.ledger import REVISIONS
from steward.ledger.schema import metadata


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
