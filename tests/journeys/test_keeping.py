"""Data keeping while the service runs: backups that can be restored, purging by age and by person, small histories."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

from tests.journeys.installation import Installation
from tests.journeys.sending import sending
from tests.servers.postgres import Postgres
from tests.servers.smtp_sink import SmtpSink
from tests.servers.stores import contents

from steward.storage.archive import checksum

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def test_a_backup_made_under_load_is_whole_and_can_be_restored(
    install: Install, engine: dict[str, Any], smtp_sink: Sink
) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    house.up()
    report = house.enqueue("statement", rows=50)
    assert house.wait_for(report).state == "succeeded"
    with sending(house, pace=40) as sender:
        house.wait_until(lambda: len(sender.accepted) > 30, "letters are accepted")
        made = house.run("backup", "--to", str(house.folder / "backups"))
        assert made.returncode == 0, made.stderr
        asked = len(sender.accepted)
        house.wait_until(lambda: len(sender.accepted) > asked + 5, "accepting goes on")
    folder = next((house.folder / "backups").glob("steward-*Z"))
    verified = house.run("backup", "--verify", str(folder))
    assert verified.returncode == 0, verified.stderr
    # Restored: the folder's contents become the data folder of another installation.
    other = install("other", smtp_url=smtp_sink().url, **engine)
    shutil.copytree(folder, other.settings["data_dir"])
    other.work()
    other.wait_settled()
    assert other.task(report).artifacts == house.task(report).artifacts
    assert checksum(other.steward.archive, other.task(report).artifacts[0].location)
    assert other.broken_rules() == []
    assert 30 < sum(other.counts().values()) <= len(sender.accepted) + 1


def test_a_backup_that_was_altered_is_found_out(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    house.work()
    house.wait_for(house.enqueue("statement", rows=5))
    assert house.run("backup", "--to", str(house.folder / "backups")).returncode == 0
    folder = next((house.folder / "backups").glob("steward-*Z"))
    kept = next(path for path in (folder / "archive").rglob("*") if path.is_file())
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes() + b" ")
    verified = house.run("backup", "--verify", str(folder))
    assert verified.returncode != 0
    assert "not whole" in verified.stderr
    assert "Traceback" not in verified.stderr


def test_a_person_is_erased_and_the_figures_stay(install: Install, engine: dict[str, Any], smtp_sink: Sink) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    house.work()
    gone = house.enqueue("letter", to="ada@example.org", words="Dear Ada Lovelace")
    stays = house.enqueue("letter", to="grace@example.org")
    both = house.enqueue("letter", to=["ada@example.org", "grace@example.org"])
    house.wait_settled()
    done = house.run("purge", "--person", "ada@example.org", "--yes")
    assert done.returncode == 0, done.stderr
    assert house.task(gone).state == "succeeded"
    assert [d.to for d in house.task(both).deliveries] == ["erased", "grace@example.org"]
    assert house.task(stays).payload["to"] == "grace@example.org"
    house.steward.close()
    with sqlite3.connect(house.steward.settings.data_dir / "ledger.sqlite3") as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert "ada@example.org" not in "\n".join(store.iterdump())
    assert b"Ada Lovelace" not in contents(house.steward.settings.data_dir / "ledger.sqlite3")


def test_a_person_is_erased_from_postgresql_beside_a_worker(
    install: Install, postgres: Postgres, postgres_url: str, smtp_sink: Sink
) -> None:
    house = install(smtp_url=smtp_sink().url, database_url=postgres_url)
    house.work()
    service = house.steward.service
    gone = service.enqueue("letter", to="ada@example.org", words="Dear Ada Lovelace", key="for ada@example.org")
    both = service.enqueue("letter", to=["ada@example.org", "grace@example.org"])
    house.wait_settled()
    assert postgres.rows(postgres_url).count("ada@example.org") > 4
    done = house.run("purge", "--person", "ada@example.org", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ada@example.org was removed from 2 tasks.\nCleared too: 1 idempotency key.\n"
    for word in ("ada@example.org", "Ada Lovelace"):
        assert word not in postgres.rows(postgres_url)
        assert word.encode() not in postgres.files(postgres_url)
        for path in house.steward.settings.data_dir.rglob("*"):
            assert not path.is_file() or word.encode() not in path.read_bytes(), path
    assert house.task(gone).state == "succeeded"
    assert [d.to for d in house.task(both).deliveries] == ["erased", "grace@example.org"]
    again = house.enqueue("letter", to="ada@example.org")
    assert house.wait_for(again).state == "succeeded"
    assert house.broken_rules() == []


def test_what_ended_long_ago_is_deleted_with_its_files(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    house.work()
    old = [house.enqueue("statement", rows=5), house.enqueue("nothing")]
    new = house.enqueue("statement", rows=5)
    for each in (*old, new):
        house.wait_for(each)
    day = 24 * 3600 * 1_000_000
    with house.steward.ledger.write() as connection:
        for each in old:
            connection.exec_driver_sql(f"UPDATE tasks SET finished_at = finished_at - {100 * day} WHERE id = '{each}'")
    done = house.run("purge", "--older-than", "90", "--yes")
    assert done.returncode == 0, done.stderr
    assert [task.id for task in house.tasks()] == [new]
    kept = [path for path in (house.steward.settings.data_dir / "archive").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert house.broken_rules() == []
