"""One bad guest at the web door: what it costs has a bound, and honest clients are served beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.journeys.installation import Installation, Program

MEGABYTES = 52
MOST_GROWTH = 200 * 1024
"""KB that a body of 52 MB may add: itself, and a small part of what it would be as Python's objects (1.2 GB)."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Program, dict[str, str]]]:
    with Installation(tmp_path_factory.mktemp("guests")) as installed:
        web = installed.serve()
        key = installed.run("key", "create", "guest", "--scope", "send", "--scope", "read").stdout.split()[-1]
        yield installed, web, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


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
