"""What is private is made so from the first moment, and narrowed where it was not."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from steward.storage.database import Ledger
from steward.system import private_files


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_every_missing_folder_is_made_for_this_user_alone_and_no_other_is_touched(tmp_path):
    tmp_path.chmod(0o755)
    made = private_files.make_folder(tmp_path / "a" / "b" / "c")
    assert [mode(each) for each in (made, made.parent, made.parent.parent)] == ["0o700"] * 3
    assert mode(tmp_path) == "0o755"
    (tmp_path / "a").chmod(0o755)
    assert mode(private_files.own_folder(tmp_path / "a")) == "0o700"


@pytest.mark.parametrize(("there", "left"), [(0o644, "0o600"), (0o666, "0o600"), (0o640, "0o600"), (0o400, "0o400")])
def test_a_file_that_is_there_is_narrowed_and_keeps_its_content(tmp_path, there, left):
    path = tmp_path / "file"
    path.write_text("kept")
    path.chmod(there)
    private_files.make_file(path)
    assert (mode(path), path.read_text()) == (left, "kept")
    assert mode(private_files.make_file(tmp_path / "new")) == "0o600"


def test_a_ledger_is_private_from_its_first_connection_and_what_lies_beside_it_too(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.open()
    with ledger.write() as connection:
        connection.execute(sa.text("DELETE FROM tasks"))
        found = {each.name: mode(each) for each in tmp_path.iterdir()}
    assert found == {f"ledger.sqlite3{end}": "0o600" for end in ("", "-wal", "-shm")}
    for each in tmp_path.iterdir():
        each.chmod(0o644)
    again = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    again.open()
    assert {mode(each) for each in tmp_path.iterdir()} == {"0o600"}
    again.close()
    ledger.close()


def test_what_cannot_be_narrowed_is_named_in_the_log(caplog):
    foreign = Path("/proc/self/mounts")  # nobody can change its mode
    with caplog.at_level(logging.WARNING):
        private_files.narrow(foreign)
    assert "others may read mounts, and that cannot be changed" in caplog.text


def test_what_a_command_is_asked_to_write_has_its_users_own_mode(tmp_path):
    program = f"""
import pathlib
from steward.system import private_files
private_files.begin()
private_files.begin()
here = pathlib.Path({str(tmp_path)!r})
(here / "ours").touch()
with private_files.as_usual():
    (here / "theirs").touch()
(here / "again").touch()
"""
    subprocess.run([sys.executable, "-c", program], check=True, umask=0o027)
    assert {each.name: mode(each) for each in tmp_path.iterdir()} == {
        "ours": "0o600",
        "theirs": "0o640",
        "again": "0o600",
    }


def test_outside_our_own_processes_nothing_about_the_umask_changes(tmp_path):
    with private_files.as_usual():
        (tmp_path / "file").touch()
    assert mode(tmp_path / "file") == "0o644"
