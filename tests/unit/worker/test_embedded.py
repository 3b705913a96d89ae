"""DBOS as it is used here: what a killed process left is taken over by its slot's name, and run by the relay alone."""

import base64
import contextlib
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from steward.system.clock import new_id
from steward.worker.engines.embedded import DurableEngine, system_store

pytestmark = pytest.mark.slow

CHILD = """
import sys, threading
from pathlib import Path
from steward.worker.engines.embedded import DurableEngine, system_store

def perform(ids):
    print("begun", flush=True)
    threading.Event().wait()

engine = DurableEngine(system_store(f"sqlite:///{sys.argv[1]}/ledger.sqlite3", Path(sys.argv[1])), "slot-a", perform)
engine.hand_over(sys.argv[2:], lambda: None)
threading.Event().wait()
"""


@pytest.fixture
def make(tmp_path):
    """Makes the one engine that a process may have."""
    engines = []

    def make(slot, perform):
        engines.append(DurableEngine(system_store(f"sqlite:///{tmp_path}/ledger.sqlite3", tmp_path), slot, perform))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close(5)


def statuses(folder):
    with closing(sqlite3.connect(folder / "engine.sqlite3")) as store:
        return sorted(row[0] for row in store.execute("SELECT status FROM workflow_status"))


def until(true, seconds=20):
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("not within the time")


class Bomb:
    """What runs a command when it is unpickled."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return os.system, (f"touch {self.sentinel}",)


def pickled(sentinel):
    return base64.b64encode(pickle.dumps(Bomb(sentinel))).decode()


def test_no_pickle_in_any_of_its_tables_is_ever_read(make, tmp_path, caplog):
    """Each column that DBOS may read, forged in a row that it comes to read; it knows its rows by what they say."""
    sentinel, done = tmp_path / "forged", threading.Event()
    killed_in_the_middle(tmp_path)
    bomb = pickled(sentinel)
    with closing(sqlite3.connect(tmp_path / "engine.sqlite3")) as store:
        store.execute("UPDATE workflow_status SET inputs = ?, serialization = 'py_pickle'", (bomb,))
        (name,) = store.execute("SELECT name FROM workflow_status").fetchone()
        store.execute(
            "INSERT INTO workflow_status (workflow_uuid, status, name, output, error, inputs, serialization) "
            "VALUES ('forged-output', 'SUCCESS', ?, ?, NULL, ?, 'py_pickle'), "
            "('forged-error', 'ERROR', ?, NULL, ?, ?, 'py_pickle')",
            (name, bomb, bomb, name, bomb, bomb),
        )
        store.execute(
            "INSERT INTO operation_outputs "
            "(workflow_uuid, function_id, function_name, output, serialization) "
            "VALUES ('forged-output', 0, 'step', ?, 'py_pickle')",
            (bomb,),
        )
        store.execute(
            "INSERT INTO workflow_events (workflow_uuid, key, value, serialization) "
            "VALUES ('forged-output', 'event', ?, 'py_pickle')",
            (bomb,),
        )
        store.commit()
    engine = make("slot-a", lambda ids: None)
    until(lambda: statuses(tmp_path) == ["ERROR", "ERROR", "SUCCESS"])
    for read in (
        lambda: engine._dbos.retrieve_workflow("forged-output").get_result(),
        lambda: engine._dbos.retrieve_workflow("forged-error").get_result(),
        lambda: engine._dbos.get_event("forged-output", "event", 1),
        lambda: engine._dbos.list_workflow_steps("forged-output"),
    ):
        with contextlib.suppress(Exception):  # it may refuse as it likes
            read()
    engine.hand_over([new_id()], done.set)
    assert done.wait(20), "its own work goes on beside"
    assert engine.prune() >= 3
    assert not sentinel.exists()
    assert "pickled value in the engine's store was refused" in caplog.text


def killed_in_the_middle(folder):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), new_id()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout.readline() == b"begun\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert statuses(folder) == ["PENDING"]


def test_a_batch_is_performed_and_said_to_be_done(make, tmp_path):
    performed, done = [], threading.Event()
    engine = make("slot-a", performed.append)
    ids = [new_id(), new_id()]
    engine.hand_over(ids, done.set)
    assert done.wait(20)
    assert performed == [ids]
    until(lambda: statuses(tmp_path) == ["SUCCESS"])
    assert engine.prune() == 1
    assert statuses(tmp_path) == []


def test_a_batch_that_fails_is_said_to_be_done_too(make):
    done = threading.Event()

    def perform(ids):
        raise RuntimeError("the store failed")

    make("slot-a", perform).hand_over([new_id()], done.set)
    assert done.wait(20)


def test_what_dbos_has_to_say_goes_through_our_log(make, caplog, capfd):
    failed = threading.Event()

    def perform(ids):
        raise RuntimeError("no luck")

    make("slot-a", perform).hand_over([new_id()], failed.set)
    assert failed.wait(10)
    until(lambda: any(record.name == "dbos" and record.exc_info for record in caplog.records))
    assert "Traceback" not in capfd.readouterr().err


def test_what_a_killed_process_left_is_closed_by_whoever_adopts_its_slot_and_not_run_twice(make, tmp_path):
    killed_in_the_middle(tmp_path)
    performed = []
    engine = make("slot-b", performed.append)
    assert statuses(tmp_path) == ["PENDING"], "another slot's work is left alone"
    engine.adopt(["slot-a"])
    until(lambda: statuses(tmp_path) == ["SUCCESS"])
    assert performed == [], "the relay hands its tasks over, one suspect at a time"


def test_what_a_killed_process_left_is_closed_when_its_slot_is_taken_again(make, tmp_path):
    killed_in_the_middle(tmp_path)
    performed = []
    make("slot-a", performed.append)
    until(lambda: statuses(tmp_path) == ["SUCCESS"])
    assert performed == []
