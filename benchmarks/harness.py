"""What every benchmark needs: an environment for the peers, processes that are measured, and the table at the end."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Row:
    """One line of the table: `rate` per second of wall time on one core, `cpu_s` per 1,000."""

    name: str
    rate: float
    unit: str
    cpu_s: float
    peak_mb: float


@dataclass
class Table:
    """Rows, ratios and whether the promises were met."""

    rows: list[Row] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    wanted: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every ratio is at least what is wanted, and every limit kept."""
        return all(self.ratios.get(k, 0) >= v for k, v in self.wanted.items()) and all(
            self.ratios.get(k, 1e9) <= v for k, v in self.most.items()
        )

    def show(self, *, as_json: bool) -> int:
        """Print the table and, as the last line, one JSON object; return the exit code."""
        if not as_json:
            width = max(len(r.name) for r in self.rows)
            for row in self.rows:
                cost = f"{row.cpu_s:>8.2f} CPU s/1,000  {row.peak_mb:>6.0f} MB"
                print(f"{row.name:<{width}}  {row.rate:>10,.1f} {row.unit:<10} {cost}")
            print()
            for name, ratio in self.ratios.items():
                bound = f"(at least {self.wanted[name]:g})" if name in self.wanted else ""
                bound = f"(at most {self.most[name]:g})" if name in self.most else bound
                print(f"{name:<40} {ratio:>8.2f} {bound}")
        print(json.dumps({"rows": [asdict(r) for r in self.rows], "ratios": self.ratios, "met": self.met}))
        return 0 if self.met else 1


def arguments(description: str, quick: str) -> argparse.ArgumentParser:
    """Return the parser that every benchmark shares."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    return parser


def peers(*requirements: str) -> Path:
    """Return the Python of an environment that holds `requirements`, made once and kept in `.bench/`."""
    name = hashlib.sha256("\n".join([sys.version, *sorted(requirements)]).encode()).hexdigest()[:12]
    folder = ROOT / ".bench" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True, stderr=subprocess.DEVNULL)
        (folder / "ready").touch()
    return python


ONE_CORE = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
"""Before a command: it and all its children share one core, so that a rate is a rate per core."""


def stay_aside() -> None:
    """Keep this process, and what it starts without `ONE_CORE`, off the core that is measured, if there is another."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})


def free_port() -> int:
    """Return a loopback port that is free at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | os.PathLike[str]], port: int | None = None, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` while the block lasts; waits until `port` answers; stops the whole process group."""
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )  # type: ignore[call-overload]  # the options are Popen's own
    try:
        if port is not None:
            wait_for(lambda: answers(port), 20, f"{command[0]} on port {port}")
        yield process
    finally:
        for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue


def answers(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until `condition` is true.

    Raises:
        TimeoutError: it was not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready within {seconds} s")
        time.sleep(0.01)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process and everything below it, finished children included."""
    return sum(own_cpu(member) for member in family(pid))


def own_cpu(pid: int) -> float:
    """Return the CPU seconds of one process and its finished children; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICKS


def peak_mb(pid: int) -> float:
    """Return the resident memory of a process and everything below it at present, in MB."""
    total = 0
    for member in family(pid):
        try:
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def family(pid: int) -> list[int]:
    """Return `pid` and its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, edge = [pid], [pid]
    while edge:
        edge = [c for p in edge for c in children.get(p, [])]
        found += edge
    return found


@contextmanager
def sink(folder: Path | None = None) -> Iterator[int]:
    """Run Postfix's smtp-sink, which takes every mail and forgets it, and give its port."""
    port = free_port()
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with running([program, *user, "-c", f"127.0.0.1:{port}", "1000"], port):
        yield port


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """Run a Redis of its own, keeping nothing on disk, on the measured core; give its URL and process id."""
    port = free_port()
    settings = f"--port {port} --bind 127.0.0.1 --appendonly no --save".split()
    with (
        tempfile.TemporaryDirectory(prefix="steward-bench-") as folder,
        running([*ONE_CORE, "redis-server", *settings, "", "--dir", folder], port) as server,
    ):
        yield f"redis://127.0.0.1:{port}/0", server.pid


class Sender:
    """A process that says "ready", waits for a line, works, and prints what it used as its last line."""

    def __init__(self, command: Sequence[str | os.PathLike[str]], **options: object) -> None:
        self._process = subprocess.Popen(
            [*ONE_CORE, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )  # type: ignore[call-overload]  # the options are Popen's own
        self.pid = self._process.pid
        self._expect("ready")

    def go(self) -> list[float]:
        """Let it work, and return the numbers on its last line."""
        out, _ = self._process.communicate("go\n")
        if self._process.returncode:
            raise RuntimeError(f"a sender failed: {out}")
        return [float(number) for number in out.split()]

    def _expect(self, word: str) -> None:
        if self._process.stdout.readline().strip() != word:
            raise RuntimeError("a sender did not start")


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return median(values)
