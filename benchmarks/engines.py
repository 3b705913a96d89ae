"""Empty tasks, their ledger included: the durable engine by itself, and Celery behind Steward beside plain Celery.

All processes of a system share one core, the broker among them. A task counts from its hand-over to its record.
"""

from __future__ import annotations

import sys
import time

from benchmarks import harness
from benchmarks.celery_peer import drain
from benchmarks.harness import ONE_CORE, ROOT, Row, Sender, Table, cpu_of, peak_mb, wait_for
from benchmarks.installation import Installation, installation

CELERY = ("celery[redis]~=5.7.0",)

Run = tuple[float, float, float]
"""Tasks per second, CPU seconds per 1,000, memory in MB."""


def through(house: Installation, count: int, also: int | None = None) -> Run:
    """Run `steward work` of an installation and drain `count` empty tasks; `also` is the broker's process."""
    with house.worker(*ONE_CORE, sys.executable, "-m", "steward", "work") as worker:

        def sender(many: int) -> Sender:
            command = [sys.executable, "-m", "benchmarks.sender", "nothing", str(many), "together"]
            return Sender(command, env=house.environment, cwd=ROOT)

        def used() -> float:
            return cpu_of(worker.pid) + (cpu_of(also) if also else 0.0)

        sender(100).go()
        wait_for(lambda: house.count("succeeded") >= 101, 60, "the first tasks")
        measured = sender(count)
        cpu, started = used(), time.perf_counter()
        (sending,) = measured.go()
        wait_for(lambda: house.count("succeeded") >= 101 + count, 300, "the tasks")
        took = time.perf_counter() - started
        return count / took, (used() - cpu + sending) / count * 1000, peak_mb(worker.pid)


def durable(count: int) -> Run:
    """Drain empty tasks with the default engine."""
    with installation() as house:
        return through(house, count)


def behind(count: int) -> Run:
    """Drain empty tasks with Celery on Redis behind the same interface."""
    with (
        harness.redis_server() as (broker, redis),
        installation(engine="celery", broker_url=broker) as house,
    ):
        return through(house, count, redis)


def plain(count: int) -> Run:
    """Drain empty tasks with Celery alone."""
    return drain("plain_celery", CELERY, count, {})


def main() -> int:
    """Run each in turn, several times."""
    options = harness.arguments(__doc__ or "", "two rounds of fewer tasks").parse_args()
    rounds, many = (2, 1) if options.quick else (5, 4)
    harness.peers(*CELERY)
    harness.stay_aside()
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        runs.setdefault("durable", []).append(durable(5000 * many))
        runs.setdefault("plain celery", []).append(plain(1500 * many))
        runs.setdefault("celery behind steward", []).append(behind(1500 * many))
    table = Table()
    middle = {name: [harness.middle([r[i] for r in found]) for i in (0, 1)] for name, found in runs.items()}
    for name, (rate, cost) in middle.items():
        table.rows.append(Row(name, rate, "tasks/s", cost, max(r[2] for r in runs[name])))
    table.ratios = {
        "durable, tasks per CPU second": 1000 / middle["durable"][1],
        "durable, tasks per second": middle["durable"][0],
        "time per task, celery behind steward/plain": middle["celery behind steward"][1] / middle["plain celery"][1],
        "by the clock": middle["plain celery"][0] / middle["celery behind steward"][0],
    }
    table.wanted = {"durable, tasks per CPU second": 2500.0}
    table.most = {"time per task, celery behind steward/plain": 2.0}
    return table.show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
