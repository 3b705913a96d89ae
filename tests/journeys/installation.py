"""An installation as an operator runs it: real processes in a folder of their own, killed and frozen on demand."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.journeys.held import retry_held
from tests.servers.ports import LOOPBACK, free_port, listens, wait_until
from tests.servers.process import ServerProcess

from steward.installation.container import Steward
from steward.installation.settings import load
from steward.model.results import TaskResult
from steward.model.service import Query
from steward.model.states import FINISHED, State
from steward.storage import access
from steward.storage.fleet import workers
from steward.storage.maintenance import retention
from steward.storage.tasks import search
from steward.system.clock import now
from steward.system.processes import born

PLUGINS = Path(__file__).parent / "plugins"
SCOPES = ["send", "read", "reports", "operate"]


class Program(ServerProcess):
    """One `steward` process. Signals go to it alone, as the kernel's or an operator's do."""

    def kill9(self) -> None:
        """End it at once, as the kernel does when memory is short; its children go with it by themselves."""
        os.kill(self.pid, signal.SIGKILL)
        self.await_end(10)

    def freeze(self) -> None:
        """Stop its clock (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def await_end(self, seconds: float = 35) -> int:
        """Return its exit code once it has ended by itself; negative for a signal."""
        assert self._process is not None
        return self._process.wait(seconds)

    def terminate(self, seconds: float = 35) -> float:
        """Ask it to leave (SIGTERM) and return how many seconds that took."""
        started = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        self.await_end(seconds)
        return time.monotonic() - started


class Installation:
    """Use it with `with`: whatever still runs at the end is killed, and its logs are shown if the test failed.

    `settings` are those of `docs/settings.md` in lower case. `plugins` is a folder that is copied, so that a test may
    change it while tasks are in flight.
    """

    def __init__(self, folder: Path, plugins: Path = PLUGINS, **settings: Any) -> None:
        self.folder = folder
        self.plugins_dir = folder / "plugins"
        shutil.copytree(plugins, self.plugins_dir, ignore=shutil.ignore_patterns("__pycache__"))
        self.settings: dict[str, Any] = {
            "data_dir": folder / "data",
            "plugins_dir": self.plugins_dir,
            "host": LOOPBACK,
            "port": free_port(),
            "free_space_mb": 0,
            **settings,
        }
        self.programs: list[Program] = []
        self._steward: Steward | None = None
        self._client: httpx.Client | None = None

    # Processes

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: this one's without any STEWARD_*, and the settings."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("STEWARD_")}
        return given | {f"STEWARD_{name.upper()}": _text(value) for name, value in self.settings.items()}

    @property
    def url(self) -> str:
        """The address of the web server."""
        return f"http://{self.settings['host']}:{self.settings['port']}"

    def start(self, *words: str, environment: Mapping[str, str] | None = None) -> Program:
        """Start `steward WORDS` and return at once."""
        log = self.folder / f"{'-'.join(words)}.log"
        command = [sys.executable, "-m", "steward", *words]
        program = Program(command, log, env=self.environment | dict(environment or {}), cwd=self.folder)
        program.start()
        self.programs.append(program)
        return program

    def serve(self) -> Program:
        """Start the web server and return when it answers."""
        program = self.start("serve")
        self._await("the web server answers", self.answers, program)
        return program

    def work(self) -> Program:
        """Start a worker and return when it is ready for tasks."""
        before = self.workers()
        program = self.start("work")
        self._await("a worker is ready", lambda: bool(self.workers() - before), program)
        return program

    def up(self, workers: int = 1) -> Program:
        """Start web server and workers under supervision and return when both are ready."""
        program = self.start("up", "--workers", str(workers))
        self._await("the web server answers", self.answers, program)
        self._await("the workers are ready", lambda: len(self.workers()) >= workers, program)
        return program

    def run(self, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `steward WORDS` to its end and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "steward", *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def answers(self) -> bool:
        """Whether the web server answers."""
        if not listens(self.settings["port"]):
            return False
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/livez", timeout=5).status_code == 200
        return False

    def children_of(self, program: Program, words: str = "") -> list[int]:
        """Return the ids of a program's own children, the oldest first; only those with `words` in their command."""
        found = [
            int(pid)
            for path in Path(f"/proc/{program.pid}/task").glob("*/children")
            for pid in path.read_text().split()
        ]
        there = [(since, pid) for pid in found if (since := born(pid)) is not None]  # numbers begin anew some day
        return [pid for _, pid in sorted(there) if words in _command(pid)]

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to one process of this installation."""
        os.kill(pid, number)

    def _await(self, what: str, true: Callable[[], bool], program: Program, seconds: float = 40) -> None:
        try:
            wait_until(true, what, seconds, lambda: program.alive)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{program.words()}") from error

    # What is handed over

    @property
    def client(self) -> httpx.Client:
        """A client with a key that may do everything."""
        if self._client is None:
            key = self.steward.ledger.apply(lambda c: access.create_key(c, "journey", SCOPES))[1]
            headers = {"Authorization": f"Bearer {key}"}
            self._client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        return self._client

    def post(self, name: str, payload: Mapping[str, Any], *, key: str = "", **options: Any) -> httpx.Response:
        """Hand one task over by HTTP and return the answer; options are `priority`, `run_at`, `expires_at`."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(f"/v1/tasks/{name}", json=dict(payload), headers=headers, params=options)

    def bulk(self, name: str, payloads: Iterable[Mapping[str, Any]]) -> list[str]:
        """Hand many tasks over by HTTP in one commit and return their ids."""
        answer = self.client.post(f"/v1/tasks/{name}/bulk", json=[dict(payload) for payload in payloads])
        assert answer.status_code == 202, answer.text
        ids: list[str] = answer.json()["ids"]
        return ids

    def enqueue(self, name: str, **payload: Any) -> str:
        """Hand one task over in this process, as an application would, and return its id."""
        return self.steward.service.enqueue(name, payload)

    def enqueue_many(self, name: str, payloads: Iterable[Mapping[str, Any]]) -> list[str]:
        """Hand many tasks over in this process in one commit and return their ids."""
        return self.steward.service.enqueue_many(name, payloads)

    # What the ledger says

    @property
    def steward(self) -> Steward:
        """The installation opened in this process: its service and its ledger."""
        if self._steward is None:
            self._steward = Steward(load(**self.settings))
        return self._steward

    def task(self, task_id: str) -> TaskResult:
        """Return a task as it stands."""
        return self.steward.service.get_status(task_id)

    def tasks(self) -> list[TaskResult]:
        """Return every task with its deliveries, the oldest first."""
        found: list[TaskResult] = []
        cursor = None
        while True:
            page = self.steward.service.find(Query(limit=search.MOST, cursor=cursor))
            found += page.tasks
            cursor = page.next_cursor
            if cursor is None:
                return found[::-1]

    def counts(self) -> dict[str, int]:
        """Return how many tasks there are in each state; states without any are left out."""
        with self.steward.ledger.read() as connection:
            return {state: n for state, n in search.counts(connection).items() if n}

    def open(self) -> int:
        """Return how many tasks are not finished."""
        return sum(n for state, n in self.counts().items() if State(state) not in FINISHED)

    def workers(self) -> set[str]:
        """Return the ids of the workers whose lease runs."""
        with self.steward.ledger.read() as connection:
            return {worker.id for worker in workers.living(connection, now())}

    def holding(self) -> dict[str, int]:
        """Return how many tasks each living worker has in hand."""
        with self.steward.ledger.read() as connection:
            return {worker.id: worker.holding for worker in workers.living(connection, now())}

    def at_work(self) -> set[int]:
        """Return the process ids of the living workers that have tasks in hand."""
        with self.steward.ledger.read() as connection:
            return {worker.pid for worker in workers.living(connection, now()) if worker.holding}

    def broken_rules(self) -> list[str]:
        """Return every rule of the ledger that is broken; none in a sound one."""
        with self.steward.ledger.read() as connection:
            return [f"{breach.count}x {breach.rule}" for breach in retention.breaches(connection)]

    def wait_for(self, task_id: str, *states: str, seconds: float = 30) -> TaskResult:
        """Return the task once it is in one of `states` (by default: once it has ended)."""
        wanted = set(states) or {state.value for state in FINISHED}
        self.wait_until(
            lambda: self.task(task_id).state in wanted, f"the task is {' or '.join(sorted(wanted))}", seconds
        )
        return self.task(task_id)

    def wait_settled(self, seconds: float = 60) -> dict[str, int]:
        """Return the counts once no task is open."""
        self.wait_until(lambda: not self.open(), "every task has ended", seconds)
        return self.counts()

    def settle_held(self) -> None:
        """Try again, as a person, the letters that are held, until none is."""
        while retry_held(self.steward.service):
            self.wait_settled()

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Return when `true()` holds, asked every 50 ms; else say where the tasks stand and what the logs end with."""
        end = time.monotonic() + seconds
        pause = threading.Event()
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {seconds:g} s; {self.counts()}\n{self.words()}")
            pause.wait(0.05)

    def words(self) -> str:
        """Return the end of every log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:]) for log in logs
        )

    def close(self) -> None:
        """Kill what runs and free what was opened."""
        for program in self.programs:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                program.wake()
            program.kill()
        if self._client is not None:
            self._client.close()
        if self._steward is not None:
            self._steward.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.words())
        self.close()


@contextlib.contextmanager
def stopped_clock(program: Program) -> Iterator[None]:
    """Freeze a program while the block lasts."""
    program.freeze()
    try:
        yield
    finally:
        program.wake()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _command(pid: int) -> str:
    """Return the command line of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
