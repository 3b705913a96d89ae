"""Drains one of the Celery peers: its worker and its Redis on the measured core, its record a file that grows."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import ONE_CORE, ROOT, Sender, cpu_of, peak_mb, wait_for

PEERS = ROOT / "benchmarks" / "peers"
WARM = 50
"""Tasks that are drained before the measured ones."""


def drain(app: str, requirements: Sequence[str], count: int, more: Mapping[str, str]) -> tuple[float, float, float]:
    """Return tasks per second, CPU seconds for 1,000 and MB of memory, the broker included.

    `app` is a module in `peers/` that is both the Celery application and, as a program, the sender; its environment is
    given `more`.
    """
    python = harness.peers(*requirements)
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder, harness.redis_server() as (broker, redis):
        record = Path(folder) / "record"
        record.touch()
        environment = os.environ | {"BROKER": broker, "RECORD": str(record)} | more
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        command = [*ONE_CORE, python.parent / "celery", "-A", app, "worker", "-c", "2", *quiet]
        with harness.running(command, env=environment, cwd=PEERS) as worker:

            def sender(many: int) -> Sender:
                return Sender([python, f"{app}.py", str(many)], env=environment, cwd=PEERS)

            sender(WARM).go()
            wait_for(lambda: record.stat().st_size >= WARM, 60, "Celery")
            measured = sender(count)
            cpu, started = cpu_of(worker.pid) + cpu_of(redis), time.perf_counter()
            (sending,) = measured.go()
            wait_for(lambda: record.stat().st_size >= WARM + count, 300, "what Celery was given")
            took = time.perf_counter() - started
            used = cpu_of(worker.pid) + cpu_of(redis) - cpu + sending
            return count / took, used / count * 1000, peak_mb(worker.pid) + peak_mb(redis)
