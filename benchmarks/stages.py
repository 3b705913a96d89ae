"""Where the time of a letter goes: CPU microseconds by stage, from the threads of a worker and the steps of its child.

Run as a program it is the worker itself, which writes what each of its threads has used when it is asked to.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import ONE_CORE, ROOT, TICKS, Sender, family, own_cpu, wait_for
from benchmarks.installation import Installation, installation
from benchmarks.sender import payload
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.mail.message import letter
from steward.plugins import run
from steward.plugins.run_result import HandlerRequest
from steward.system.clock import new_id, now

THREADS = {
    "dispatcher": "dispatcher",
    "ledger writer": "ledger commits",
    "smtp": "attempts and SMTP",
    "heartbeat": "heartbeat and housekeeping",
    "housekeeping": "heartbeat and housekeeping",
}


def shares(sink: int, count: int) -> dict[str, float]:
    """Return CPU microseconds per letter by stage, the most costly first."""
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        told = Path(folder) / "threads.json"
        with installation(smtp_url=f"smtp+plain://127.0.0.1:{sink}") as house:
            command = [*ONE_CORE, sys.executable, "-m", "benchmarks.stages", str(told)]
            with house.worker(*command) as worker:
                _send(house, 50, 51)
                before, child = _threads(worker, told), _children(worker.pid)
                sending = _send(house, count, 51 + count)
                after, child = _threads(worker, told), _children(worker.pid) - child
            parts = _steps(house.open(), min(count, 1000))
    found: dict[str, float] = {"accepting": sending}
    for name, used in after.items():
        stage = next((s for start, s in THREADS.items() if name.startswith(start)), "the rest of the worker")
        found[stage] = found.get(stage, 0.0) + used - before.get(name, 0.0)
    whole = sum(parts.values())
    for name, used in parts.items():
        found[f"handler child: {name}"] = child * used / whole
    return dict(sorted(((k, v / count * 1e6) for k, v in found.items()), key=lambda pair: -pair[1]))


def described(found: dict[str, float]) -> str:
    """Return `shares` as lines for a reader."""
    total = sum(found.values())
    lines = [f"  {used / total:>6.1%}  {used:>7.0f} us  {name}" for name, used in found.items()]
    return "\n".join([f"CPU per letter by stage, {total:.0f} us in all:", *lines, ""])


def _send(house: Installation, count: int, until: int) -> float:
    command = [sys.executable, "-m", "benchmarks.sender", "welcome_email", str(count), "together"]
    (used,) = Sender(command, env=house.environment, cwd=ROOT).go()
    wait_for(lambda: house.count("succeeded") >= until, 300, "the letters")
    return used


def _threads(worker: Any, told: Path) -> dict[str, float]:
    told.unlink(missing_ok=True)
    worker.send_signal(signal.SIGUSR1)
    wait_for(told.exists, 10, "the worker's account")
    found: dict[str, float] = json.loads(told.read_text())
    return found


def _children(pid: int) -> float:
    return sum(own_cpu(child) for child in family(pid) if child != pid)


def _steps(steward: Steward, count: int) -> dict[str, float]:
    """Return the CPU seconds of each step of preparing `count` letters, measured in this process."""
    used: dict[str, float] = {}
    steward.templates.render = _timed(used, "templates", steward.templates.render)  # type: ignore[method-assign]  # timed in place
    letter.inlined = _timed(used, "styles written into the HTML", letter.inlined)  # type: ignore[assignment]  # timed in place
    run.compose = _timed(used, "composing the message", run.compose)  # type: ignore[assignment]  # timed in place
    preparer = steward.preparer()
    model = steward.registry.get("welcome_email").payload
    requests = [
        HandlerRequest(new_id(), "welcome_email", model(**payload("welcome_email", n)).model_dump_json(), [], now())
        for n in range(count)
    ]
    for request in requests[:20]:
        preparer.prepare(request)
    used.clear()
    started = time.process_time()
    for request in requests:
        preparer.prepare(request)
    whole = time.process_time() - started
    used["payload, handler, addresses"] = whole - sum(used.values())
    return used


def _timed(used: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            used[name] = used.get(name, 0.0) + time.process_time() - started

    return timed


def main(told: Path) -> None:
    """Work like `steward work`, and write each thread's CPU seconds to `told` at SIGUSR1."""

    def tell(*_: object) -> None:
        used: dict[str, float] = {}
        for thread in threading.enumerate():
            fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
            used[thread.name] = used.get(thread.name, 0.0) + (int(fields[11]) + int(fields[12])) / TICKS
        draft = told.with_suffix(".part")
        draft.write_text(json.dumps(used))
        draft.rename(told)

    signal.signal(signal.SIGUSR1, tell)
    steward = Steward(load())
    steward.engine.work(steward)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
