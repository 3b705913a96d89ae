"""Idle: from accepted to the server's 250 when nothing else happens, and what waiting costs."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

from benchmarks import harness
from benchmarks.harness import ROOT, Row, Table, cpu_of, peak_mb, wait_for
from benchmarks.installation import Installation, installation
from benchmarks.sender import payload


def latencies(house: Installation, count: int) -> list[float]:
    """Return the milliseconds from acceptance to the recorded 250 of `count` letters, one at a time."""
    steward = house.open()
    for n in range(count + 10):
        task_id = steward.service.enqueue("welcome_email", payload("welcome_email", n))
        wait_for(lambda one=task_id: house.count("succeeded", one), 30, "a letter")
        time.sleep(0.02)
    steward.close()
    with closing(sqlite3.connect(house.data / "ledger.sqlite3")) as ledger:
        found = ledger.execute(
            "SELECT (d.at - t.created_at) / 1000.0 FROM deliveries d JOIN tasks t ON t.id = d.task_id ORDER BY t.id"
        ).fetchall()
    return [milliseconds for (milliseconds,) in found[10:]]  # the first meet children that are still starting


def waiting(pid: int, seconds: float) -> float:
    """Return the share of a core that a process and its children use while nothing happens."""
    cpu, started = cpu_of(pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu_of(pid) - cpu) / (time.perf_counter() - started)


def cost_of_help(times: int) -> float:
    """Return the CPU seconds of `steward --help`, the median of several."""
    found = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "steward", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return harness.middle(found)


def main() -> int:
    """Measure one worker that has nothing else to do."""
    options = harness.arguments(__doc__ or "", "fewer letters, a shorter wait").parse_args()
    count, seconds, times = (150, 10.0, 5) if options.quick else (1000, 60.0, 15)
    with (
        harness.sink() as sink,
        installation(smtp_url=f"smtp+plain://127.0.0.1:{sink}") as house,
        house.worker() as worker,
    ):
        found = sorted(latencies(house, count))
        time.sleep(2)
        idle, mb = waiting(worker.pid, seconds), peak_mb(worker.pid)
    shown = cost_of_help(times)
    table = Table()
    table.rows.append(Row("accept to 250, idle", 1000 / harness.middle(found), "letters/s", idle, mb))
    table.ratios = {
        "p50 ms": harness.middle(found),
        "p99 ms": found[int(len(found) * 0.99)],
        "share of a core, idle worker": idle,
        "CPU seconds of steward --help": shown,
    }
    table.most = {
        "p50 ms": 20.0,
        "p99 ms": 80.0,
        "share of a core, idle worker": 0.05,
        "CPU seconds of steward --help": 0.3,
    }
    return table.show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
