"""Who holds the store's lock, who of them is alive, and that nobody else is ever ended."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from tests.servers.ports import wait_until

from steward.system import processes
from steward.worker import slots, watchdog
from steward.worker.watchdog import Watchdog, locked

pytestmark = pytest.mark.slow

HOLD = """
import os, sqlite3, subprocess, sys, threading
from pathlib import Path
from steward.worker import slots
folder, store, kind, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
slot = slots.take(folder, kind) if kind else None
if how == "handler":
    child = subprocess.Popen([sys.executable, __file__, sys.argv[1], store, "", "itself"], stdin=sys.stdin)
else:
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    print(os.getpid(), flush=True)
pause = threading.Event()
while True:
    if slot: slot.show_life()
    pause.wait(0.05) if how == "handler" else sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path):
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE t (a)")
        yield tmp_path / "store.sqlite3"


@pytest.fixture
def hold(tmp_path, store):
    """Start a process that takes the lock, with a slot of this kind or none; return the process that has the lock."""
    script = tmp_path / "hold.py"
    script.write_text(HOLD)
    started = []

    def start(kind, how="itself"):
        words = [sys.executable, str(script), str(tmp_path / "slots"), str(store), kind, how]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def dog(tmp_path, store, monkeypatch):
    """A watchdog whose times are a hundred times as short."""
    monkeypatch.setattr(watchdog, "LEASE", 0.3)
    monkeypatch.setattr(watchdog, "QUIET", 0.1)
    # Its own slot lies elsewhere: this process has started the others, which are not its handlers.
    slot = slots.take(tmp_path / "elsewhere")
    yield Watchdog(tmp_path / "slots", [store], slot)
    slot.release()


def looks(dog, seconds=2.0):
    """Return what a watchdog ends that looks twenty times a second."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if ended := dog.look():
            return ended
        pause.wait(0.05)
    return []


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)
    pause = threading.Event()
    while processes.spent(pid)[0] != "T":
        pause.wait(0.001)


@pytest.mark.parametrize("kind", ["slot", "web", "command", "relay"])
def test_a_frozen_holder_is_named_at_once_and_ended_whatever_it_is(dog, hold, store, tmp_path, kind):
    process, pid = hold(kind)
    freeze(pid)
    (found,) = locked(store, tmp_path / "slots")
    assert (found.pid, found.works) == (pid, False)
    assert str(found).startswith(f"{kind}-0 (process {pid}), ")
    assert looks(dog) == [pid]
    assert process.wait(5) == -signal.SIGKILL
    assert locked(store, tmp_path / "slots") == []


def test_a_frozen_process_of_a_handler_is_ended_and_its_worker_is_not(dog, hold, store, tmp_path):
    worker, pid = hold("slot", "handler")
    assert pid != worker.pid
    freeze(pid)
    (found,) = locked(store, tmp_path / "slots")
    assert str(found).startswith(f"a handler of slot-0 (process {pid})")
    assert looks(dog) == [pid]
    assert worker.poll() is None


def test_one_that_shows_life_keeps_the_lock_for_as_long_as_it_likes(dog, hold, store, tmp_path):
    process, _ = hold("slot")
    for _ in range(20):
        process.stdin.write("go on\n")
        process.stdin.flush()
        wait_until(lambda: all(found.works for found in locked(store, tmp_path / "slots")), "it shows life", 20)
        assert dog.look() == []


def test_one_that_moves_is_not_ended_though_its_sign_of_life_cannot_be_written(dog, hold, tmp_path):
    """Its disk may be full: the kernel says that it has had processor time."""
    _, pid = hold("slot")
    real = processes.spent
    ticks = iter(range(10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "spent", lambda each: ("S", next(ticks)) if each == pid else real(each))
        assert looks(dog, 1) == []
    assert looks(dog) == [pid]


def test_a_program_without_a_slot_is_named_and_never_ended(dog, hold, store, tmp_path):
    process, pid = hold("")
    freeze(pid)
    assert looks(dog, 1) == []
    (found,) = locked(store, tmp_path / "slots")
    assert str(found).startswith(f"process {pid} (")
    assert not found.works
    assert process.poll() is None


def test_the_number_of_a_dead_process_that_another_has_now_ends_nobody(dog, hold, tmp_path):
    process, pid = hold("")
    (tmp_path / "slots").mkdir()
    path = tmp_path / "slots" / "slot-7.lock"
    path.write_text(json.dumps({"pid": pid, "born": processes.born(pid) - 1, "alive_at": 0.0}))
    freeze(pid)
    assert looks(dog, 1) == []
    assert not processes.end(pid, processes.born(pid) - 1)
    assert process.poll() is None


def test_a_frozen_process_without_the_lock_is_left_to_the_lease(dog, hold, store, tmp_path):
    process, _ = hold("slot")
    other, _ = hold_nothing(tmp_path)
    freeze(other.pid)
    process.kill()
    process.wait()
    assert looks(dog, 1) == []
    assert other.poll() is None
    other.kill()
    other.wait()


def hold_nothing(tmp_path):
    script = (
        "import sys; from pathlib import Path; from steward.worker import slots\n"
        "slot = slots.take(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "slots")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    return process, process.stdout.readline()


def test_a_machine_that_has_slept_takes_nobody_for_dead(dog, hold, monkeypatch):
    """All signs of life are old then, the watcher's own too: the others are given the time to move."""
    process, pid = hold("slot")
    real, ahead = watchdog.time.monotonic, [0.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: real() + ahead[0])
    assert dog.look() == []
    ahead[0] = 3600.0
    assert dog.look() == []
    assert processes.born(pid) is not None
    assert process.poll() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "born": 1, "alive_at": 1}', "\0" * 160])
def test_a_slot_s_file_that_cannot_be_read_names_nobody(tmp_path, content):
    (tmp_path / "slot-0.lock").write_text(content)
    assert slots.holders(tmp_path) == []
