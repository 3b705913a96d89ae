"""Mail per core, from accepted to the server's 250 to recorded, beside what is used today.

Each system sends the same shipped letter (`welcome_email`) to the same smtp-sink. All its processes share one core;
the sink and this program are on another. Two ratios are printed for each peer: by the clock on that core, and by the
CPU seconds of all processes of the system, its broker included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness, stages
from benchmarks.celery_peer import PEERS, drain
from benchmarks.harness import ONE_CORE, ROOT, Row, Sender, Table, cpu_of, peak_mb, wait_for
from benchmarks.installation import Installation, installation

CELERY = ("celery[redis]~=5.7.0", "jinja2")
POST_OFFICE = ("django-post-office", "jinja2")
WANTED = {"celery": 6.0, "post-office": 4.0, "post-office tuned": 1.5}


@dataclass(frozen=True)
class Run:
    """One drain: mails per second, CPU seconds per 1,000, memory at its end."""

    rate: float
    cpu_s: float
    mb: float


def steward(count: int, sink: int, how: str) -> Run:
    """Send `count` letters through `steward work`, handed over `together` or `singly`."""
    command = (*ONE_CORE, sys.executable, "-m", "steward", "work")
    with installation(smtp_url=f"smtp+plain://127.0.0.1:{sink}") as house, house.worker(*command) as worker:
        return drained(house, worker.pid, count, how)


def drained(house: Installation, pid: int, count: int, how: str) -> Run:
    """Hand over `count` letters and measure until the last is recorded as sent."""
    # What is warm is measured: the children have started, the templates are compiled, the connections are open.
    Sender(
        [sys.executable, "-m", "benchmarks.sender", "welcome_email", "50", how], env=house.environment, cwd=ROOT
    ).go()
    before = 51
    wait_for(lambda: house.count("succeeded") >= before, 30, "the first letters")
    sender = Sender(
        [sys.executable, "-m", "benchmarks.sender", "welcome_email", str(count), how], env=house.environment, cwd=ROOT
    )
    cpu, started = cpu_of(pid), time.perf_counter()
    (sending,) = sender.go()
    wait_for(lambda: house.count("succeeded") >= before + count, 300, "the letters")
    took = time.perf_counter() - started
    return Run(count / took, (cpu_of(pid) - cpu + sending) / count * 1000, peak_mb(pid))


def celery(count: int, sink: int) -> Run:
    """Send through Celery on Redis with late acknowledgement and smtplib on a kept connection."""
    return Run(*drain("celery_smtplib", CELERY, count, peer_environment(sink)))


def post_office(count: int, sink: int, *, tuned: bool) -> Run:
    """Send through django-post-office on SQLite: queued, then sent by its own command."""
    python = harness.peers(*POST_OFFICE)
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        database = {"DATABASE": str(Path(folder) / "mail.sqlite3"), "TUNED": "1" if tuned else "0"}
        environment = peer_environment(sink) | database
        subprocess.run([python, "django_post_office.py", "prepare"], env=environment, cwd=PEERS, check=True)
        sender = Sender([python, "django_post_office.py", "run", str(count)], env=environment, cwd=PEERS)
        mb = peak_mb(sender.pid)
        sent, took, used = sender.go()
        if sent != count:
            raise RuntimeError(f"django-post-office sent {sent:g} of {count} letters")
        return Run(count / took, used / count * 1000, mb)


def peer_environment(sink: int) -> dict[str, str]:
    """Return what every peer is given: the same templates, the same sink."""
    return os.environ | {"SINK": str(sink), "TEMPLATES": str(ROOT / "templates"), "PYTHONWARNINGS": "ignore"}


def table(runs: dict[str, list[Run]]) -> Table:
    """Return the medians as a table, and each peer's ratios beside Steward handed over in the same way."""
    result = Table()
    rates = {name: harness.middle([r.rate for r in found]) for name, found in runs.items()}
    costs = {name: harness.middle([r.cpu_s for r in found]) for name, found in runs.items()}
    for name, found in runs.items():
        result.rows.append(Row(name, rates[name], "mails/s", costs[name], max(r.mb for r in found)))
    for peer, least in WANTED.items():
        result.ratios[f"ours/{peer}"] = costs[peer] / costs["steward"]
        result.ratios[f"ours/{peer} by the clock"] = rates["steward"] / rates[peer]
        result.ratios[f"ours singly/{peer}"] = costs[peer] / costs["steward singly"]
        result.wanted[f"ours/{peer}"] = least
    return result


def main() -> int:
    """Run every system in turn, several times."""
    parser = harness.arguments(__doc__ or "", "two rounds of fewer letters")
    options = parser.parse_args()
    rounds, many = (2, 1.0) if options.quick else (5, 3.0)
    harness.peers(*CELERY), harness.peers(*POST_OFFICE)
    harness.stay_aside()
    runs: dict[str, list[Run]] = {}
    with harness.sink() as sink:
        systems: dict[str, Callable[[], Run]] = {
            "steward": lambda: steward(int(2000 * many), sink, "together"),
            "celery": lambda: celery(int(500 * many), sink),
            "post-office": lambda: post_office(int(400 * many), sink, tuned=False),
            "steward singly": lambda: steward(int(1000 * many), sink, "singly"),
            "post-office tuned": lambda: post_office(int(600 * many), sink, tuned=True),
        }
        for _ in range(rounds):
            for name, system in systems.items():
                runs.setdefault(name, []).append(system())
        shares = stages.shares(sink, int(1500 * many))
    if not options.json:
        print(stages.described(shares))
    return table(runs).show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
