"""What one bad task costs the others: letters at a steady pace, alone and beside tasks that die, hang or eat memory."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from contextlib import closing

from benchmarks import harness
from benchmarks.harness import Row, Table, cpu_of, peak_mb, wait_for
from benchmarks.installation import Installation, installation
from benchmarks.sender import payload
from steward.errors import StateConflict
from steward.installation.container import Steward

PACE = 20.0
"""Letters a second: a service that is in use, and far from full."""
KINDS = ("alone", "dies", "hangs", "eats")
BAD = '''
"""Tasks as nobody wants them."""

import os
import threading

from pydantic import BaseModel

from steward import Handler, handler, hookimpl


class Nothing(BaseModel):
    """Nothing at all."""


@handler(example=Nothing())
def dies(nothing: Nothing) -> None:
    """End the process."""
    os._exit(1)


@handler(example=Nothing(), time_limit=5)
def hangs(nothing: Nothing) -> None:
    """Never come back."""
    threading.Event().wait()


@handler(example=Nothing(), time_limit=5)
def eats(nothing: Nothing) -> None:
    """Take two gigabytes."""
    kept = []
    for _ in range(2000):
        kept.append(bytearray(1 << 20))
    threading.Event().wait()


@hookimpl
def register_handlers() -> list[Handler]:
    return [dies, hangs, eats]
'''


def letters(steward: Steward, count: int, first: int) -> list[str]:
    """Hand over `count` letters at the pace and return their ids."""
    began = time.perf_counter()
    ids = []
    for n in range(count):
        time.sleep(max(0.0, began + n / PACE - time.perf_counter()))
        ids.append(steward.service.enqueue("welcome_email", payload("welcome_email", first + n)))
    return ids


def p95(house: Installation, ids: list[str]) -> float:
    """Return the 95th percentile of the milliseconds from acceptance to the recorded 250."""
    marks = ",".join("?" * len(ids))
    query = (
        "SELECT (d.at - t.created_at) / 1000.0 FROM deliveries d JOIN tasks t ON t.id = d.task_id"
        f" WHERE t.state = 'succeeded' AND t.id IN ({marks})"
    )

    def all_sent() -> bool:
        nonlocal found
        with closing(sqlite3.connect(house.data / "ledger.sqlite3")) as ledger:
            found = sorted(milliseconds for (milliseconds,) in ledger.execute(query, ids))
        return len(found) == len(ids)

    found: list[float] = []
    wait_for(all_sent, 60, "the letters")
    return found[int(len(found) * 0.95)]


def main() -> int:
    """Send the letters alone, then beside each kind of bad task, several times in turn."""
    options = harness.arguments(__doc__ or "", "two rounds of fewer letters").parse_args()
    rounds, count = (2, 200) if options.quick else (5, 600)
    found: dict[str, list[float]] = {}
    table = Table()
    with harness.sink() as sink, installation(smtp_url=f"smtp+plain://127.0.0.1:{sink}") as house:
        (house.data.parent / "plugins" / "bad.py").write_text(BAD)
        with house.worker() as worker:
            steward = house.open()
            letters(steward, 40, 0)
            for turn in range(rounds):
                for number, name in enumerate(KINDS):
                    bad = steward.service.enqueue(name, {}) if name != "alone" else ""
                    cpu, began = cpu_of(worker.pid), time.perf_counter()
                    ids = letters(steward, count, 1000 * (len(KINDS) * turn + number + 1))
                    found.setdefault(name, []).append(p95(house, ids))
                    used, took = cpu_of(worker.pid) - cpu, time.perf_counter() - began
                    if bad:
                        with contextlib.suppress(StateConflict):  # it may have been given up
                            steward.service.cancel(bad)
                    if turn == rounds - 1:
                        row = Row(f"beside {name}", count / took, "letters/s", used / count * 1000, peak_mb(worker.pid))
                        table.rows.append(row)
            steward.close()
    alone = harness.middle(found["alone"])
    table.ratios["p95 ms, alone"] = alone
    for name in KINDS[1:]:
        table.ratios[f"p95 beside one that {name}/alone"] = harness.middle(found[name]) / alone
        table.most[f"p95 beside one that {name}/alone"] = 2.0
    return table.show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
