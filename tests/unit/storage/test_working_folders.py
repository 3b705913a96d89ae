"""What attempts lay down belongs to them alone, and goes when they are no more."""

import itertools

import pytest

from steward.storage import working_folders


def lay_down(spool, task_id, claim, name="roster.csv"):
    folder = working_folders.fresh(working_folders.of(spool, task_id, claim) / "0")
    (folder / name).write_text("Ada,ada@example.org")
    return folder


def files(spool):
    return sorted(str(p.relative_to(spool)) for p in spool.rglob("*") if p.is_file())


def test_nobody_else_may_look_into_it(tmp_path):
    folder = lay_down(tmp_path / "spool", "t1", "c1")
    assert all(each.stat().st_mode & 0o077 == 0 for each in (folder, folder.parent, folder.parent.parent))


@pytest.mark.parametrize("states", list(itertools.product(["this", "another", "none"], repeat=3)))
def test_what_runs_keeps_its_files_and_nothing_else_is_left(tmp_path, states):
    """Each of three tasks runs under the claim that laid the files down, under another, or not at all."""
    running = {}
    for n, state in enumerate(states):
        lay_down(tmp_path, f"t{n}", "c1")
        if state != "none":
            running[f"t{n}"] = "c1" if state == "this" else "c2"
    lay_down(tmp_path, "t0", "")  # a trial's, cut off
    (tmp_path / "stray").write_text("ada@example.org")
    working_folders.sweep(tmp_path, lambda ids: {i: running[i] for i in ids if i in running})
    kept = [n for n, state in enumerate(states) if state == "this"]
    assert files(tmp_path) == [f"t{n}/c1/0/roster.csv" for n in kept]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"t{n}" for n in kept]


def test_an_attempt_that_begins_during_the_sweep_keeps_its_files(tmp_path):
    lay_down(tmp_path, "t1", "c1")

    def running(ids):
        lay_down(tmp_path, "t1", "c2")
        return {"t1": "c2"}

    assert working_folders.sweep(tmp_path, running) == 1
    assert files(tmp_path) == ["t1/c2/0/roster.csv"]


def test_one_that_ends_takes_its_own_and_leaves_another_s(tmp_path):
    lay_down(tmp_path, "t1", "c1")
    lay_down(tmp_path, "t1", "c2")
    working_folders.remove(tmp_path, "t1", "c1")
    assert files(tmp_path) == ["t1/c2/0/roster.csv"]
    working_folders.remove(tmp_path, "t1", "c2")
    assert list(tmp_path.iterdir()) == []
    working_folders.remove(tmp_path, "never", "c1")


def test_an_empty_or_missing_folder_asks_nobody(tmp_path):
    assert working_folders.sweep(tmp_path / "none", lambda ids: pytest.fail("asked")) == 0
    assert working_folders.sweep(tmp_path, lambda ids: pytest.fail("asked")) == 0
