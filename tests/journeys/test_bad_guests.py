"""One bad guest at the web door: what it costs has a bound, and honest clients are served beside it."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.journeys.installation import Installation, Program

FILES = 1024
GUESTS = 2000
HEAD = b"POST /v1/tasks/letter HTTP/1.1\r\nHost: x\r\nX-Slow: "

MEGABYTES = 52
MOST_GROWTH = 200 * 1024
"""KB that a body of 52 MB may add: itself, and a small part of what it would be as Python's objects (1.2 GB)."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Program, dict[str, str]]]:
    with Installation(tmp_path_factory.mktemp("guests")) as installed:
        with few_files():
            web = installed.serve()
        key = installed.run("key", "create", "guest", "--scope", "send", "--scope", "read").stdout.split()[-1]
        yield installed, web, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


@contextmanager
def few_files() -> Iterator[None]:
    """Let a process that is started meanwhile have as many files as is usual, while this one may have more."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= GUESTS + 500, f"this machine lets a process have {hard} files; raise the limit for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, GUESTS + 500), hard))


@contextmanager
def trickling(address: tuple[str, int], first: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Hold `count` connections that send `first` and then a byte each second; one that is closed is opened anew."""
    ended = threading.Event()
    with ExitStack() as kept:
        guests: list[socket.socket] = []

        def come() -> socket.socket:
            guest = kept.enter_context(socket.create_connection(address, 10))
            guest.setblocking(False)
            guest.send(first)
            return guest

        def trickle() -> None:
            while not ended.wait(1.0):
                for n, guest in enumerate(guests):
                    try:
                        guest.send(b"a")
                    except OSError:
                        guest.close()
                        guests[n] = come()

        guests += [come() for _ in range(count)]
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield guests
        finally:
            ended.set()
            thread.join()


def peak(program: Program) -> int:
    """Return the most memory that a process has had, in KB."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def array(element: str) -> bytes:
    return f"[{','.join([element] * (MEGABYTES * 1_000_000 // (len(element) + 1)))}]".encode()


STRANGE = json.dumps({f"field_{n}_x": "v" for n in range(300)})
BODIES = {
    "300 unknown fields an object": lambda: array(STRANGE),
    "empty objects": lambda: array("{}"),
    "one value of nothing but lists": lambda: b'[{"to": ' + array("[]") + b"}]",
    "lists within one another": lambda: b"[" * (MEGABYTES * 1_000_000),
    "one number": lambda: b"[" + b"9" * (MEGABYTES * 1_000_000) + b"]",
    "one word": lambda: b'["' + b"a" * (MEGABYTES * 1_000_000) + b'"]',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_bulk_of_52_mb_of_nonsense_is_refused_in_seconds_and_little_more_than_its_own_size(house, body):
    installed, web, headers = house
    Path(f"/proc/{web.pid}/clear_refs").write_text("5")  # the peak counts from here (proc(5))
    before, began = peak(web), time.monotonic()
    answer = httpx.post(f"{installed.url}/v1/tasks/letter/bulk", content=body(), headers=headers, timeout=60)
    assert answer.status_code in (400, 413, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 50_000
    assert len(answer.json().get("errors", ())) <= 100
    assert time.monotonic() - began < 30
    assert peak(web) - before < MOST_GROWTH
    alone = httpx.post(f"{installed.url}/v1/tasks/letter", json={"to": "ada@example.org"}, headers=headers)
    assert alone.status_code == 202


def test_two_thousand_slow_guests_leave_room_for_an_honest_one(house):
    installed, web, headers = house
    address = ("127.0.0.1", installed.settings["port"])
    with trickling(address, HEAD, GUESTS), httpx.Client(base_url=installed.url, headers=headers, timeout=10) as honest:
        waits: list[float] = []
        until = time.monotonic() + 10
        while time.monotonic() < until:
            began = time.monotonic()
            assert honest.get("/livez").status_code == 200
            answer = honest.post(
                "/v1/tasks/letter", json={"to": f"ada{len(waits)}@example.org"}, headers={"Connection": "close"}
            )
            assert answer.status_code == 202
            waits.append(time.monotonic() - began)
        assert sorted(waits)[len(waits) * 9 // 10] < 2
    assert web.alive
    lines = [line for line in web.log.read_text().splitlines() if "closed" in line and "connections" in line]
    assert len(lines) == 1
    assert "gave way" in lines[0]
    assert "Traceback" not in web.log.read_text()


@pytest.mark.parametrize(
    "order", [("Content-Length: 4", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 4")]
)
def test_a_body_framed_in_two_ways_is_refused_and_the_connection_closed(house, order):
    installed, _, headers = house
    lines = ["POST /v1/tasks/letter HTTP/1.1", "Host: x", f"Authorization: {headers['Authorization']}", *order]
    with socket.create_connection(("127.0.0.1", installed.settings["port"]), 10) as guest:
        guest.sendall("\r\n".join([*lines, "", "0", "", "GET /livez HTTP/1.1", "Host: x", "", ""]).encode())
        answers = b""
        while part := guest.recv(65536):
            answers += part
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1
