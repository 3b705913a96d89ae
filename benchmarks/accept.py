"""Accepting: `POST` of one task beside a bare FastAPI route that commits one row, and 10,000 tasks in one request.

The servers have one core each in turn; the client, eight connections that are kept, is on another. At the end, how long
the server is held up by a broker that takes connections and never answers.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import ONE_CORE, ROOT, Row, Table, cpu_of, peak_mb
from benchmarks.installation import installation

FASTAPI = ("fastapi", "uvicorn")
MANY = 10_000
CONNECTIONS = 8
SILENT = "ms of the longest wait, broker silent"


@contextmanager
def bare() -> Iterator[tuple[int, int, str]]:
    """Run the bare route and give its port, its process and no key."""
    python = harness.peers(*FASTAPI)
    port = harness.free_port()
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        environment = os.environ | {"DATABASE": str(Path(folder) / "rows.sqlite3"), "PORT": str(port)}
        command = [*ONE_CORE, python, ROOT / "benchmarks" / "peers" / "bare_fastapi.py"]
        with harness.running(command, port, env=environment) as process:
            yield port, process.pid, ""


@contextmanager
def steward(**settings: object) -> Iterator[tuple[int, int, str]]:
    """Run `steward serve` and give its port, its process and a key."""
    port = harness.free_port()
    with installation(port=port, **settings) as house:
        run = [sys.executable, "-m", "steward"]
        make = [*run, "key", "create", "bench", "--scope", "send", "--json"]
        made = subprocess.run(make, env=house.environment, cwd=ROOT, check=True, capture_output=True, text=True)
        with harness.running([*ONE_CORE, *run, "serve"], port, env=house.environment, cwd=ROOT) as process:
            yield port, process.pid, json.loads(made.stdout)["key"]


def post(port: int, key: str, path: str, body: bytes, times: int) -> None:
    """Post `body` so many times over one connection.

    Raises:
        RuntimeError: the server answered anything but 202.
    """
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    for _ in range(times):
        line.request("POST", path, body, headers)
        answer = line.getresponse()
        words = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"{path} answered {answer.status}: {words[:300]!r}")
    line.close()


def singly(port: int, pid: int, key: str, count: int) -> tuple[float, float, float]:
    """Post `count` tasks over several connections; return the rate, the CPU seconds per 1,000 and the memory."""
    post(port, key, "/v1/tasks/nothing", b'{"n": 0}', 50)
    each = count // CONNECTIONS
    threads = [
        threading.Thread(target=post, args=(port, key, "/v1/tasks/nothing", b'{"n": 1}', each))
        for _ in range(CONNECTIONS)
    ]
    cpu, started = cpu_of(pid), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    return each * CONNECTIONS / took, (cpu_of(pid) - cpu) / (each * CONNECTIONS) * 1000, peak_mb(pid)


def bulk(port: int, pid: int, key: str) -> tuple[float, float, float]:
    """Post 10,000 tasks in one request; return the seconds, the CPU seconds and the memory."""
    body = json.dumps([{"n": n} for n in range(MANY)]).encode()
    cpu, started = cpu_of(pid), time.perf_counter()
    post(port, key, "/v1/tasks/nothing/bulk", body, 1)
    return time.perf_counter() - started, cpu_of(pid) - cpu, peak_mb(pid)


def longest_wait(port: int, key: str, seconds: float) -> float:
    """Return the longest time, in milliseconds, that `/livez` took while tasks were posted."""
    stop = threading.Event()

    def hand_over() -> None:
        while not stop.wait(0.05):
            post(port, key, "/v1/tasks/nothing", b'{"n": 1}', 1)

    sender = threading.Thread(target=hand_over)
    sender.start()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    longest, end = 0.0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        line.request("GET", "/livez")
        line.getresponse().read()
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.005)
    stop.set()
    sender.join()
    return longest * 1000


def beside_a_silent_broker(seconds: float) -> float:
    """Return `longest_wait` of a Steward whose broker takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        url = f"redis://127.0.0.1:{broker.getsockname()[1]}/0"
        with steward(engine="celery", broker_url=url) as (port, _, key):
            post(port, key, "/v1/tasks/nothing", b'{"n": 0}', 50)
            return longest_wait(port, key, seconds)


def main() -> int:
    """Run both in turn, several times."""
    options = harness.arguments(__doc__ or "", "two rounds of fewer requests").parse_args()
    rounds, count = (2, 800) if options.quick else (5, 4000)
    harness.peers(*FASTAPI)
    harness.stay_aside()
    ours, theirs, together = [], [], []
    for _ in range(rounds):
        with bare() as server:
            theirs.append(singly(*server, count))
        with steward() as server:
            ours.append(singly(*server, count))
            together.append(bulk(*server))
    table = Table()
    for name, found in (("steward, one task", ours), ("bare FastAPI, one row", theirs)):
        rate, cost = (harness.middle([f[i] for f in found]) for i in (0, 1))
        table.rows.append(Row(name, rate, "requests/s", cost, max(f[2] for f in found)))
    seconds, cost = (harness.middle([f[i] for f in together]) for i in (0, 1))
    table.rows.append(Row("steward, bulk", MANY / seconds, "tasks/s", cost / MANY * 1000, max(f[2] for f in together)))
    table.ratios["ours/bare FastAPI"] = table.rows[1].cpu_s / table.rows[0].cpu_s
    table.ratios["ours/bare FastAPI by the clock"] = table.rows[0].rate / table.rows[1].rate
    table.ratios["seconds for 10,000 in one request"] = seconds
    table.ratios[SILENT] = beside_a_silent_broker(5.0 if options.quick else 30.0)
    table.most[SILENT] = 100.0
    table.wanted["ours/bare FastAPI"] = 0.5
    table.most["seconds for 10,000 in one request"] = 2.0
    return table.show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
