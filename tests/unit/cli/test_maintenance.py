"""Copies are made, proved and found out; what is old and who wants to be forgotten is deleted."""

from __future__ import annotations

from pathlib import Path


def test_a_backup_can_be_restored_and_an_altered_one_is_found_out(steward, tmp_path):
    steward("send", "letter", "--to", "ada@example.org")
    made = steward("backup", "--to", str(tmp_path / "copies"), "--json").json
    assert made["tasks"] == 1
    assert steward("backup", "--verify", made["folder"], "--json").json["tasks"] == 1
    with (Path(made["folder"]) / "ledger.sqlite3").open("r+b") as file:
        file.seek(5000)
        file.write(b"altered")
    refused = steward("backup", "--verify", made["folder"])
    assert refused.code == 2
    assert "is not whole" in refused.err


def test_only_so_many_copies_are_kept_where_nobody_asks_for_more(steward, tmp_path):
    old = [tmp_path / "data" / "backups" / f"steward-2020010{n}T000000Z" for n in range(9)]
    for folder in old:
        folder.mkdir(parents=True)
    assert steward("backup", "--keep", "3").code == 0
    assert [folder for folder in old if folder.exists()] == old[-2:]


def test_one_thing_is_not_called_several(steward):
    task_id = steward("send", "letter", "--to", "ada@example.org", "--json").json["id"]
    steward("cancel", task_id)
    asked = steward("purge", "--older-than", "0").err
    assert "Delete 1 task with its files: this needs a yes." in asked
    assert ": 1 task, 0 files," in steward("backup").out
    removed = steward("purge", "--person", "ada@example.org", "--yes")
    assert removed.out == (
        "ada@example.org was removed from 1 task.\n"
        "1 backup made before may hold it still; delete them, or let them run out.\n"
    )
    assert steward("purge", "--older-than", "0", "--yes").out == "1 task was deleted.\n"


def test_a_person_is_removed_and_old_tasks_are_deleted(steward):
    sent = ("send", "letter", "--to", "ada@example.org", "--words", "for her eyes only", "--json")
    task_id = steward(*sent).json["id"]
    open_ = steward("purge", "--person", "ada@example.org", "--yes")
    assert open_.code == 2
    assert "still open" in open_.err
    steward("cancel", task_id)
    assert steward("purge", "--person", "ada@example.org", "--yes", "--json").json["tasks"] == 1
    assert not steward("tasks", "--to", "ada@example.org", "--json").json["tasks"]
    assert steward("purge", "--older-than", "0", "--yes", "--json").json == {"tasks": 1}
    assert steward("status", task_id).code == 3
