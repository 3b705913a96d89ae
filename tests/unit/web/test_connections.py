"""Connections have an end: what a guest owes must come in time, and too many guests give way to those who ask."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from steward.installation.settings import load
from steward.web import connections
from steward.web.server import WebServer

pytestmark = pytest.mark.slow

BODY = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"
OWING = {
    "nothing at all": b"",
    "half a head": b"GET /quick HT",
    "a head without its end": b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "a body that does not come": BODY,
    "a body behind an answer": b"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{",
    "a chunk that does not come": b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n",
    "a second head": b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\nGET /quick HT",
}


def application(held: threading.Event) -> FastAPI:
    app = FastAPI()

    async def quick(request: Request) -> Response:
        return Response("quick")

    async def read(request: Request) -> Response:
        return Response(str(len(await request.body())))

    def hold(request: Request) -> Response:
        held.wait(30)
        return Response("held")

    async def large(request: Request) -> Response:
        return Response(b"a" * 1_000_000)

    for endpoint in (quick, read, hold, large):
        app.add_api_route(f"/{endpoint.__name__}", endpoint, methods=["GET", "POST"], response_class=Response)
    return app


@contextmanager
def served(folder: Path, held: threading.Event) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, folder, held) as address:
        yield address


@contextmanager
def serving(listener: socket.socket, folder: Path, held: threading.Event) -> Iterator[tuple[str, int]]:
    ready = threading.Event()
    server = WebServer(application(held), load(data_dir=folder), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield listener.getsockname()
    finally:
        held.set()
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("HEAD", 0.4), ("BODY", 0.6), ("STUCK", 0.4), ("LINGER", 0.4), ("SWEEP", 0.1)):
        monkeypatch.setattr(connections, f"{name}_SECONDS", seconds)


def all_of(guest: socket.socket) -> bytes:
    """Return what comes until the server closes; fails if it does not."""
    guest.settimeout(10)
    found = b""
    try:
        while part := guest.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("owing", OWING.values(), ids=OWING)
def test_whoever_does_not_finish_a_request_is_closed_in_time(tmp_path, owing):
    with served(tmp_path, threading.Event()) as address, socket.create_connection(address) as guest:
        guest.sendall(owing)
        all_of(guest)


@pytest.mark.usefixtures("impatient")
def test_bytes_now_and_then_lengthen_no_deadline(tmp_path):
    with served(tmp_path, threading.Event()) as address, socket.create_connection(address) as guest:
        guest.sendall(b"GET /quick HTTP/1.1\r\nX-Slow: ")
        ticks = threading.Event()
        with pytest.raises(ConnectionError):
            for _ in range(200):
                guest.sendall(b"a")
                ticks.wait(0.05)


def test_an_answer_does_not_wait_for_its_first_packet_to_be_acknowledged(tmp_path):
    with socket.socket() as listener:  # as an application may give one: its protocol is not named
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with serving(listener, tmp_path, threading.Event()) as address, socket.create_connection(address) as guest:
            guest.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
            assert guest.recv(9) == b"HTTP/1.1 "
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.usefixtures("impatient")
def test_whoever_is_late_is_told_so(tmp_path):
    with served(tmp_path, threading.Event()) as address, socket.create_connection(address) as guest:
        guest.sendall(BODY)
        assert all_of(guest).startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("times", [1, 100])
def test_whoever_takes_no_answer_is_closed_in_time(tmp_path, times):
    with served(tmp_path, threading.Event()) as address, socket.socket() as guest:
        guest.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        guest.connect(address)
        guest.settimeout(10)
        guest.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * times)
        until = time.monotonic() + 10
        with pytest.raises(ConnectionError):
            while time.monotonic() < until:
                threading.Event().wait(0.2)
                guest.sendall(b"\r\n")


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_takes_long_is_waited_for(tmp_path):
    held = threading.Event()
    with served(tmp_path, held) as address, socket.create_connection(address) as guest:
        guest.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        threading.Event().wait(1.5)
        held.set()
        assert all_of(guest).endswith(b"held")


@pytest.mark.usefixtures("impatient")
def test_a_body_that_comes_well_is_read_to_its_end_however_long_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "BODY_RATE", 10_000)
    with served(tmp_path, threading.Event()) as address, socket.create_connection(address) as guest:
        guest.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(30):
            guest.sendall(b"a" * 2000)
            threading.Event().wait(0.05)
        assert all_of(guest).endswith(b"60000")


def test_when_there_are_too_many_whoever_owes_longest_gives_way(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(connections, "most_connections", lambda: 5)
    held = threading.Event()
    with served(tmp_path, held) as address, ExitStack() as kept, caplog.at_level(logging.WARNING):

        def come(first: bytes) -> socket.socket:
            guest = kept.enter_context(socket.create_connection(address, 10))
            guest.sendall(first)
            return guest

        working = come(b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        silent = [come(b"G") for _ in range(4)]
        url = f"http://{address[0]}:{address[1]}"
        for _ in range(4):  # each takes the place of one
            assert httpx.get(f"{url}/quick").text == "quick"
            honest = kept.enter_context(httpx.Client(base_url=url))
            assert honest.post("/read", content=b"abc").text == "3"
        newcomers = [come(b"G") for _ in range(8)]
        assert all_of(silent[0]) == b""
        assert all_of(newcomers[0]) == b""
        held.set()
        assert all_of(working).endswith(b"held")


def test_when_all_are_being_answered_the_next_one_is_asked_to_come_later(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "most_connections", lambda: 2)
    held = threading.Event()
    with served(tmp_path, held) as address, ExitStack() as kept:
        working = [kept.enter_context(socket.create_connection(address, 10)) for _ in range(2)]
        for guest in working:
            guest.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        threading.Event().wait(0.5)
        with socket.create_connection(address) as late:
            assert all_of(late).startswith(b"HTTP/1.1 503 ")
        held.set()
        assert all(all_of(guest).endswith(b"held") for guest in working)


@pytest.mark.parametrize(("files", "most"), [(1024, 768), (256, 128), (20_000, 4096), (4, 2)])
def test_there_are_fewer_connections_than_files(monkeypatch, files, most):
    monkeypatch.setattr(connections.resource, "getrlimit", lambda kind: (files, files))
    assert connections.most_connections() == most
