"""SandboxProcess processes: real ones, that answer, raise, hang, grow, die, and outlive nobody."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from steward import errors
from steward.sandbox import (
    LOOK,
    SandboxCancelled,
    SandboxDied,
    SandboxLimits,
    SandboxOutOfMemory,
    SandboxPool,
    SandboxRaised,
    SandboxTimedOut,
    pickled,
    send,
)

pytestmark = pytest.mark.slow

KID = '''
import ctypes, mmap, os, signal, socket, subprocess, sys, threading, time
from steward.sandbox import send, stand_at
from steward.errors import ConfigurationError, FieldProblem, InvalidPayload, RateLimited, Rejected

class Own(Rejected):
    """A plugin's own error."""
    def __init__(self, number):
        super().__init__(f"number {number}")

def broken(argument):
    raise ConfigurationError("It lacks a thing", "It is not there", "Install it")

def typo(argument):
    return undefined_name

def count_up(n):
    for i in range(n):
        send({"step": i})
    return "done"

def raise_and_end():
    send(os.getpid())
    threading.Timer(0.15, os._exit, [1]).start()
    return 1 / 0

def grandchild():
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    send(process.pid)
    signal.pause()

def grow(step):
    held = []
    while True:
        held.append(os.urandom(step))
        time.sleep(0.0005)

kept = []

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()

def share(size):
    shared = mmap.mmap(-1, size)
    while True:
        for at in range(0, size, 4096):
            shared[at] = 1

def raise_(error):
    raise error

def connect(address):
    socket.create_connection(address, timeout=2).close()
    return "connected"

def connect_below(address):
    return subprocess.run([sys.executable, "-c", f"import socket; socket.create_connection({address!r}, timeout=2)"],
                          capture_output=True).returncode

def last_words(text, code):
    print(text, file=sys.stderr)
    os._exit(code)

def parts(count, seconds):
    done = []
    for part in range(count):
        if not stand_at(part):
            break
        time.sleep(seconds)
        done.append(part)
    return done

def deaf():
    for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass

def shout(descriptor):
    os.set_blocking(descriptor, True)
    while True:
        os.write(descriptor, b"x" * 1000 + b"\\n")

def chatter():
    while True:
        send("x" * 1000)

def orphan_shouts():
    code = "import os\\nwhile True: os.write(2, b'x' * 60000)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    send(process.pid)
    signal.pause()

def main(argument):
    warmed = time.monotonic()
    actions = {
        "echo": lambda *a: list(a), "argument": lambda: argument, "pid": os.getpid, "warmed": lambda: warmed,
        "count": count_up, "grandchild": grandchild, "eat": lambda n: len(bytearray(n)), "grow": grow, "share": share,
        "nap": lambda s: time.sleep(s), "pause": lambda: (send("here"), signal.pause()),
        "spin": lambda: any(iter(int, 1)), "burn": burn, "keep": lambda n: kept.append(os.urandom(n)),
        "parts": parts, "invalid": lambda: raise_(InvalidPayload("No", [FieldProblem("to", "is missing")], "Add it")),
        "limited": lambda: raise_(RateLimited("Slow", "down", retry_after=7)),
        "own": lambda: raise_(Own(5)), "zero": lambda: 1 / 0, "exit": lambda: sys.exit(3),
        "unpicklable": lambda: (lambda: None), "bytes": lambda: b"raw", "die": lambda n: os.kill(os.getpid(), n),
        "die at": lambda place: (stand_at(place), os._exit(3)), "fail at": lambda place: (stand_at(place), 1 / 0),
        "last words": last_words, "connect": connect, "connect below": connect_below,
        "raw socket": lambda: (ctypes.CDLL(None).socket(2, 1, 0)), "pair": lambda: socket.socketpair() and "pair",
        "raise and end": raise_and_end, "deaf": deaf, "shout": lambda: shout(2), "chatter": chatter,
        "regex": lambda: __import__("re").match("(a+)+$", "a" * 64 + "b"), "orphan shouts": orphan_shouts,
        "files": lambda: sorted(os.listdir("/proc/self/fd")), "environment": lambda: dict(os.environ),
    }
    return lambda request: actions[request[0]](*request[1:])
'''
LIMITS = SandboxLimits(seconds=20, cpu_seconds=20, memory_mb=300)
MB = 1 << 20


@pytest.fixture(autouse=True)
def kid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kid.py").write_text(KID)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def pool():
    with SandboxPool("kid:main", argument={"a": 1}, limits=LIMITS, name="kid") as children:
        yield children


def wait_for_end(pid: int, seconds: float = 5) -> bool:
    """Return whether the process `pid` ended in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def test_answers_and_stays_warm(pool: SandboxPool) -> None:
    assert pool.call(["echo", 1, "é", b"\0"]) == [1, "é", b"\0"]
    assert pool.call(["argument"]) == {"a": 1}
    first = pool.call(["pid"]), pool.call(["warmed"])
    assert (pool.call(["pid"]), pool.call(["warmed"])) == first
    assert pool.pids() == [first[0]]


def test_large_requests_and_replies_pass(pool: SandboxPool) -> None:
    big = os.urandom(8 * MB)
    assert pool.call(["echo", big]) == [big]


def test_several_threads_share_the_pool() -> None:
    with (
        SandboxPool("kid:main", size=2, limits=LIMITS, name="kid") as pool,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(lambda n: (pool.call(["echo", n]), pool.call(["pid"])), range(60)))
        assert [a for a, _ in answers] == [[n] for n in range(60)]
        assert {pid for _, pid in answers} <= set(pool.pids())
        assert len(pool.pids()) == 2


def test_messages_arrive_in_order_before_the_reply(pool: SandboxPool) -> None:
    heard: list[object] = []
    assert pool.call(["count", 500], on_message=heard.append) == "done"
    assert heard == [{"step": n} for n in range(500)]


def test_sending_is_for_children_only() -> None:
    with pytest.raises(RuntimeError, match="only a child"):
        send("hello")


def test_errors_in_words_come_back_whole(pool: SandboxPool) -> None:
    with pytest.raises(errors.InvalidPayload) as invalid:
        pool.call(["invalid"])
    assert str(invalid.value) == "No. to: is missing. Add it."
    assert invalid.value.problems == (errors.FieldProblem("to", "is missing"),)
    with pytest.raises(errors.RateLimited) as limited:
        pool.call(["limited"])
    assert limited.value.retry_after == 7


def test_an_error_class_that_only_the_child_knows_comes_back_as_its_nearest(pool: SandboxPool) -> None:
    with pytest.raises(errors.Rejected, match="number 5"):
        pool.call(["own"])


def test_other_exceptions_come_back_with_their_place_and_the_child_lives_on(pool: SandboxPool) -> None:
    pid = pool.call(["pid"])
    with pytest.raises(SandboxRaised) as raised:
        pool.call(["zero"])
    error = raised.value
    line = next(n for n, text in enumerate(KID.splitlines(), 1) if 'zero": lambda: 1 / 0' in text)
    assert (error.type_name, error.message) == ("ZeroDivisionError", "division by zero")
    assert error.where.endswith(f"kid.py:{line}")
    assert error.trace.startswith("Traceback") and "Traceback" not in str(error)
    for action in (["exit"], ["unpicklable"]):
        with pytest.raises(SandboxRaised):
            pool.call(action)
    assert pool.call(["pid"]) == pid


def test_a_failed_warm_up_says_why_every_time() -> None:
    with SandboxPool("kid:broken", limits=LIMITS, name="kid") as pool:
        for _ in range(2):
            with pytest.raises(errors.ConfigurationError, match="Install it"):
                pool.call(["echo"])
        assert pool.pids() == []
    with (
        SandboxPool("kid:typo", limits=LIMITS, name="kid") as pool,
        pytest.raises(SandboxRaised, match="undefined_name"),
    ):
        pool.call(["echo"])


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        (["die", signal.SIGKILL], -9, "SIGKILL"),
        (["die", signal.SIGSEGV], -11, "SIGSEGV"),
        (["last words", "so long", 3], 3, "so long"),
    ],
)
def test_a_death_is_told_and_repaired(pool: SandboxPool, action: list, code: int, words: str) -> None:
    pid = pool.call(["pid"])
    with pytest.raises(SandboxDied) as died:
        pool.call(action)
    assert died.value.code == code
    assert words in str(died.value)
    assert pool.call(["pid"]) != pid


def test_an_error_tells_where_the_child_was_at(pool: SandboxPool) -> None:
    for action, kind in (("die at", SandboxDied), ("fail at", SandboxRaised)):
        with pytest.raises(kind) as failed:
            pool.call([action, 41])
        assert failed.value.place == 41
    with pytest.raises(SandboxRaised) as failed:
        pool.call(["zero"])
    assert failed.value.place == -1  # nothing is left over from the call before


def test_one_that_died_while_idle_is_replaced_unnoticed(pool: SandboxPool) -> None:
    pid = pool.call(["pid"])
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid)
    assert pool.call(["pid"]) != pid


def test_the_clock_ends_it_and_all_that_it_started(pool: SandboxPool) -> None:
    started: list[int] = []
    pool.call(["echo"])
    begin = time.monotonic()
    with pytest.raises(SandboxTimedOut, match=r"0\.5 seconds") as error:
        pool.call(["grandchild"], seconds=0.5, on_message=started.append)
    assert 0.5 <= time.monotonic() - begin < 1.5
    assert not error.value.of_processor
    assert len(started) == 1 and wait_for_end(started[0])
    assert pool.call(["echo", 1]) == [1]


@pytest.mark.parametrize("action", ["spin", "deaf", "shout", "chatter", "regex", "orphan shouts"])
def test_the_clock_needs_no_good_will_of_the_child(pool: SandboxPool, action: str) -> None:
    pool.call(["echo"])
    heard: list[object] = []
    begin = time.monotonic()
    with pytest.raises(SandboxTimedOut, match=r"0\.5 seconds"):
        pool.call([action], seconds=0.5, on_message=heard.append)
    took = time.monotonic() - begin
    for pid in (each for each in heard if isinstance(each, int)):  # it left its parent's session; nobody else ends it
        os.kill(pid, signal.SIGKILL)
    assert 0.5 <= took < 0.5 + 5
    assert pool.call(["echo", 1]) == [1]


def test_one_that_is_deaf_to_the_kernel_is_stopped_at_its_processor_time() -> None:
    with SandboxPool("kid:main", limits=SandboxLimits(seconds=30, cpu_seconds=1, memory_mb=300), name="kid") as pool:
        begin = time.monotonic()
        with pytest.raises(SandboxTimedOut, match="1 seconds of processor time"):
            pool.call(["deaf"])
        assert time.monotonic() - begin < 25


def test_processor_time_counts_for_each_call() -> None:
    with SandboxPool("kid:main", limits=SandboxLimits(seconds=20, cpu_seconds=1, memory_mb=300), name="kid") as pool:
        assert len({pool.call(["burn", 0.4]) for _ in range(4)}) == 1  # together more than the limit
        with pytest.raises(SandboxTimedOut, match="1 seconds of processor time") as processor:
            pool.call(["spin"])
        assert processor.value.of_processor


@pytest.mark.parametrize("action", [["eat", 2048 * MB], ["grow", MB], ["share", 1024 * MB]])
def test_memory_has_an_end(pool: SandboxPool, action: list) -> None:
    pid = pool.call(["pid"])
    begin = time.monotonic()
    with pytest.raises(SandboxOutOfMemory, match="300 MB"):
        pool.call(action)
    assert time.monotonic() - begin < 15  # well before the limit of the clock, also on a busy machine
    assert wait_for_end(pid)
    assert pool.call(["eat", 50 * MB]) == 50 * MB


def test_who_keeps_much_memory_is_replaced(pool: SandboxPool) -> None:
    pid = pool.call(["pid"])
    pool.call(["keep", 50 * MB])
    assert pool.call(["pid"]) == pid
    pool.call(["keep", 150 * MB])
    assert pool.call(["pid"]) != pid


def test_who_has_served_long_is_replaced() -> None:
    with SandboxPool("kid:main", limits=LIMITS, max_uses=3, name="kid") as pool:
        pids = [pool.call(["pid"]) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]


def test_cancelling_is_prompt(pool: SandboxPool) -> None:
    wish = threading.Event()
    moments: list[float] = []

    def here(message: object) -> None:
        moments.append(time.monotonic())
        wish.set()

    pid = pool.call(["pid"])
    with pytest.raises(SandboxCancelled):
        pool.call(["pause"], cancelled=wish.is_set, on_message=here)
    assert time.monotonic() - moments[0] < 0.5
    assert wait_for_end(pid)


def test_cancelling_works_while_waiting_for_a_free_child(pool: SandboxPool) -> None:
    busy = threading.Event()
    done = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(pool.call, ["pause"], cancelled=done.is_set, on_message=lambda message: busy.set())
        assert busy.wait(5)
        begin = time.monotonic()
        with pytest.raises(SandboxCancelled, match="not begun"):
            pool.call(["echo"], cancelled=lambda: True)
        assert time.monotonic() - begin < 0.5
        done.set()
        assert isinstance(working.exception(5), SandboxCancelled)


def test_an_exception_in_the_callers_own_function_frees_the_child(pool: SandboxPool) -> None:
    def hear(message: object) -> None:
        raise KeyError(message)

    with pytest.raises(KeyError):
        pool.call(["count", 3], on_message=hear)
    assert pool.call(["echo", 1]) == [1]


def test_the_network_is_out_of_reach(pool: SandboxPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        with pytest.raises(SandboxRaised, match="PermissionError"):
            pool.call(["connect", server.getsockname()])
        assert pool.call(["connect below", server.getsockname()]) == 1
        assert pool.call(["raw socket"]) == -1
        with pytest.raises(BlockingIOError):
            server.accept()
    assert pool.call(["pair"]) == "pair"


def test_the_network_is_there_when_granted() -> None:
    limits = SandboxLimits(seconds=5, cpu_seconds=5, memory_mb=300, network=True)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        SandboxPool("kid:main", limits=limits, name="kid") as pool,
    ):
        assert pool.call(["connect", server.getsockname()]) == "connected"


def test_signals_to_everyone_are_left_to_the_parent(pool: SandboxPool) -> None:
    pid = pool.call(["pid"])
    assert os.getsid(pid) == pid  # so that Ctrl-C at the terminal does not reach it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
        assert pool.call(["pid"]) == pid


def test_descriptors_stay_where_they_belong(pool: SandboxPool, tmp_path: Path) -> None:
    pool.call(["echo"])
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(SandboxDied):
                pool.call(["die", signal.SIGKILL])
        # The standard three, the socket, the memory of its place, the listing itself.
        assert len(pool.call(["files"])) == 6
        assert len(os.listdir("/proc/self/fd")) == before


def test_json_children_are_never_unpickled_and_errors_keep_their_words() -> None:
    with SandboxPool("kid:main", limits=LIMITS, name="kid", codec="json") as pool:
        assert pool.call(["echo", {"a": 1}]) == [{"a": 1}]
        with pytest.raises(SandboxRaised, match="TypeError"):
            pool.call(["bytes"])
        with pytest.raises(errors.Rejected, match="number 5"):
            pool.call(["own"])
        with pytest.raises(errors.InvalidRequest, match="to: is missing"):
            pool.call(["invalid"])


def test_the_environment_can_be_replaced() -> None:
    with SandboxPool("kid:main", limits=LIMITS, name="kid", environment={"ONLY": "this"}) as pool:
        seen = pool.call(["environment"])
    assert seen.pop("ONLY") == "this"
    assert "PATH" not in seen


def test_warming_starts_them_ahead() -> None:
    with SandboxPool("kid:main", size=2, limits=LIMITS, name="kid") as pool:
        assert pool.pids() == []
        begin = time.monotonic()
        pool.warm()
        assert time.monotonic() - begin < 1
        pids = pool.pids()
        assert len(pids) == 2
        assert pool.call(["pid"]) in pids


def test_closing_is_quick_and_ends_what_is_under_way() -> None:
    pool = SandboxPool("kid:main", size=2, limits=LIMITS, name="kid")
    pool.warm()
    pids = pool.pids()
    busy = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(pool.call, ["pause"], on_message=lambda message: busy.set())
        assert busy.wait(5)
        begin = time.monotonic()
        pool.close()
        assert time.monotonic() - begin < 1
        assert isinstance(working.exception(1), SandboxCancelled)
    assert all(wait_for_end(pid) for pid in pids)
    with pytest.raises(SandboxCancelled):
        pool.call(["echo"])
    pool.close()


def test_a_last_message_is_heard_even_from_the_dead(pool: SandboxPool) -> None:
    # Its reply stands in the socket when it ends; the parent, busy with a message, looks later.
    def hear(pid: object) -> None:
        assert isinstance(pid, int)
        assert wait_for_end(pid)

    with pytest.raises(SandboxRaised, match="ZeroDivisionError"):
        pool.call(["raise and end"], on_message=hear)
    assert pool.call(["echo", 1]) == [1]


def test_a_parent_that_forgets_to_close_ends_at_once_and_takes_them_along(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from steward.sandbox import SandboxPool, SandboxLimits
pool = SandboxPool("kid:main", limits=SandboxLimits(60, 60, 300), name="kid")
pool.call(["echo"])
print(*pool.pids(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0
    assert wait_for_end(int(done.stdout), 2)


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    program = f"""
import sys, signal
sys.path.insert(0, {str(tmp_path)!r})
from threading import Thread
from steward.sandbox import SandboxPool, SandboxLimits
pool = SandboxPool("kid:main", size=2, limits=SandboxLimits(60, 60, 300), name="kid")
asking = Thread(target=lambda: pool.call(["echo"]))
asking.start()
asking.join()  # the thread that asked has ended; the child must not end with it
Thread(target=lambda: pool.call(["spin"]), daemon=True).start()
pool.warm()
assert pool.call(["echo", 1]) == [1]
print(*pool.pids(), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    assert all(wait_for_end(pid, 2) for pid in pids)


@pytest.fixture
def roomy():
    with SandboxPool("kid:main", limits=LIMITS, name="kid", size=1, spare=1, beside=2) as children:
        children.warm()
        children.await_warm()
        yield children


def test_a_call_that_is_set_aside_gives_its_turn_to_others(roomy: SandboxPool) -> None:
    """Both processes are taken by calls that last; a third call is answered once one of them has been set aside."""
    ended, aside = threading.Event(), threading.Event()

    def last() -> None:
        with pytest.raises(SandboxCancelled), roomy.lend() as call:
            for news in call.talk(pickled(["nap", 20])):
                aside.set()
                if news is LOOK and (not call.set_aside() or ended.is_set()):
                    call.give_up()

    threads = [threading.Thread(target=last) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert aside.wait(20)
    assert roomy.call(["echo", 1]) == [1]
    assert all(thread.is_alive() for thread in threads)
    ended.set()
    for thread in threads:
        thread.join(20)


def test_calls_made_aside_leave_the_warm_ones_to_others(roomy: SandboxPool) -> None:
    before, ended = set(roomy.pids()), threading.Event()

    def last() -> None:
        with pytest.raises(SandboxCancelled), roomy.lend(ended.is_set, aside=True) as call:
            for _ in call.talk(pickled(["nap", 20])):
                if ended.is_set():
                    call.give_up()

    threads = [threading.Thread(target=last) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        with roomy.lend(single=False) as call:
            assert set(call.talk(pickled(["pid"]))) <= {LOOK}
            assert call.reply in before
    ended.set()
    for thread in threads:
        thread.join(20)
    assert len(roomy.pids()) <= 4


def test_a_child_goes_no_further_than_the_part_at_which_it_was_set_aside(roomy: SandboxPool) -> None:
    assert roomy.call(["parts", 3, 0.0]) == [0, 1, 2]
    with roomy.lend() as call:
        for news in call.talk(pickled(["parts", 500, 0.2])):
            if news is LOOK and call.place >= 0 and not call.set_aside():
                call.give_up()
        assert call.reply in ([0], [0, 1])
