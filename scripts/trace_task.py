"""Counts what one e-mail, and one report, pass on their way: functions, modules, threads, and turns back.

One worker (`steward work`) runs in this process and sends to an SMTP server of its own (Postfix's smtp-sink). A task is
handed over to it again and again, each time when it is at rest: with `TaskService.enqueue`, or with `--http` as a
request to the web application. What is counted lies between that call and the moment when the worker is at rest again,
and is seen on more than half of the ways. A heartbeat that happens to beat just then is not the task's.

functions   functions of `steward` that are entered, nested ones and lambdas too, but no comprehensions or class bodies
modules     where they stand
threads     on which they run; those of one name and another number are one
turns back  pairs of functions of which the first calls the second, whose module stands on a higher layer of the
            checkout's `.importlinter`: a callback. It may call through code that is not ours: whoever of ours is
            nearest among those that are still running on that thread is the one that calls
entries     functions entered while none of ours runs on that thread: a thread's own, and what an event loop calls
            (a coroutine that goes on is entered at its outermost function)
children    functions entered in child processes, in which a handler runs and a document is laid out
"""

from __future__ import annotations

import argparse
import asyncio
import configparser
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import httpx

ROOT = Path(__file__).resolve().parent.parent
SOURCE = f"{ROOT / 'src' / 'steward'}{os.sep}"
FOLDER = "TRACE_TASK_FOLDER"
WAYS = 9
REST = 0.15
"""Seconds without a call of ours after which the worker is at rest."""
BEATING = ("heartbeat", "housekeeping", "clockwork", "watchdog")
"""Threads that do something each second, whether there is a task or not; what they call is not the task's."""
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "e-mail": ("welcome_email", {"name": "Ada", "email": "ada@example.org"}),
    "report": ("small_report", {}),
}
OFTEN = 0.02
"""Seconds for which a child does not say again that it has entered a function."""
_NUMBER = re.compile(r"[-_ ]*\d.*")
PLUGIN = '''
"""A report that is laid out in no time: what WeasyPrint does within itself is not counted, and slow while watched."""

from pydantic import BaseModel

from steward import Column, Handler, Report, Table, handler, hookimpl


class Wanted(BaseModel):
    """Nothing in particular."""


@handler(example=Wanted(), lane="reports", scope="reports")
def small_report(wanted: Wanted) -> Report:
    """Draw one page up, with a table."""
    table = Table("lines", [Column("n", "No.", "integer")], [(1,), (2,)])
    return Report(template="small_report", name="small", title="Small", tables=[table], formats=("pdf", "xlsx"))


@hookimpl
def register_handlers() -> list[Handler]:
    return [small_report]
'''
TEMPLATE = (
    "<!DOCTYPE html><html lang='en'><head><title>{{ title }}</title></head><body><p>{{ title }}</p></body></html>"
)
NOT_FUNCTIONS = ("<module>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")


class Step(NamedTuple):
    """A function that was entered: on which thread, by which, and which; each "module:function"."""

    thread: str
    caller: str
    called: str


class Recorder:
    """Sees each call of a function of ours, and hands it to `tell`."""

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self._tell = tell
        self._known: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """See a call; Python calls this with each."""
        if event != "call" or not (called := self._name(frame.f_code)):
            return
        caller = ""
        back = frame.f_back
        while back is not None and not (caller := self._name(back.f_code)):
            back = back.f_back
        self._tell(Step(_NUMBER.sub("", threading.current_thread().name), caller, called))

    def _name(self, code: CodeType) -> str:
        name = self._known.get(code)
        if name is None:
            name = self._known[code] = _name(code)
        return name


def _name(code: CodeType) -> str:
    """Return "module:function" of a function of ours, else an empty text. 2 is CO_NEWLOCALS: a class body lacks it."""
    if not code.co_filename.startswith(SOURCE) or code.co_name in NOT_FUNCTIONS or not code.co_flags & 2:
        return ""
    module = code.co_filename[len(SOURCE) :].removesuffix(".py").removesuffix("__init__").rstrip(os.sep)
    return f"{module.replace(os.sep, '.')}:{code.co_qualname}"


def in_child() -> None:
    """See the calls in this child process, which `sitecustomize` below has brought here."""
    file = os.open(Path(os.environ[FOLDER]) / f"{os.getpid()}.child", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    last: dict[str, float] = {}

    def write(step: Step) -> None:
        moment = time.monotonic()
        if moment - last.get(step.called, 0.0) > OFTEN:
            last[step.called] = moment
            os.write(file, f"{moment} {step.called}\n".encode())

    recorder = Recorder(write)
    threading.setprofile(recorder)
    sys.setprofile(recorder)


class Layers:
    """The layers of `.importlinter`: how high a module stands beside another."""

    def __init__(self, text: str) -> None:
        parser = configparser.ConfigParser()
        parser.read_string(text)
        self._ranks: list[dict[str, int]] = []
        for section in parser.sections():
            if parser.get(section, "type", fallback="") == "layers":
                containers = parser.get(section, "containers", fallback="").split() or [""]
                lines = [line for line in parser.get(section, "layers").splitlines() if line.strip(" #")]
                for container in containers:
                    self._ranks.append(
                        {
                            ".".join(filter(None, (container, name))).removeprefix("steward."): -number
                            for number, line in enumerate(lines)
                            for name in re.findall(r"[\w.]+", line)
                        }
                    )

    def goes_up(self, caller: str, called: str) -> bool:
        """Return whether the module `called` stands on a higher layer than the module `caller`."""
        for ranks in self._ranks:
            one, other = _rank(ranks, caller), _rank(ranks, called)
            if one is not None and other is not None and one != other:
                return other > one
        return False


def _rank(ranks: dict[str, int], module: str) -> int | None:
    while module:
        if module in ranks:
            return ranks[module]
        module = module.rpartition(".")[0]
    return None


class Count(NamedTuple):
    """What one kind of task passes, each in the order in which it comes first."""

    functions: list[str]
    modules: list[str]
    threads: list[str]
    turns: list[str]
    entries: list[str]
    children: list[str]


def counted(ways: Sequence[Sequence[Step]], children: Sequence[Sequence[str]], layers: Layers) -> Count:
    """Return what more than half of `ways` have in common."""
    steps = _in_most(ways)
    functions = _once(step.called for step in steps)
    turns = _once(
        f"{step.caller} -> {step.called}"
        for step in steps
        if step.caller and layers.goes_up(_module(step.caller), _module(step.called))
    )
    return Count(
        functions,
        _once(map(_module, functions)),
        _once(step.thread for step in steps),
        turns,
        _once(step.called for step in steps if not step.caller),
        _in_most(children),
    )


def _in_most(ways: Sequence[Sequence[Any]]) -> list[Any]:
    """Return what stands in more than half of `ways`, in the order of the way that has most of it."""
    seen = Counter(each for way in ways for each in set(way))
    common = {each for each, times in seen.items() if times * 2 > len(ways)}
    longest_first = sorted(ways, key=lambda way: -len(common.intersection(way)))
    return _once(each for way in longest_first for each in way if each in common)


def _once(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _module(name: str) -> str:
    return name.partition(":")[0]


class Caller:
    """Whoever hands tasks over: an application in the worker's process, and its look at the ledger from outside."""

    def __init__(self, folder: Path, *, http: bool) -> None:
        self._folder, self._http = folder, http
        settings = _home("steward.installation.settings", "steward.settings").load()
        self._steward = _home("steward.installation.container", "steward.app").Steward(settings)
        self._service = self._steward.service
        if http:
            command = [
                sys.executable,
                "-m",
                "steward",
                "key",
                "create",
                "trace",
                "--scope",
                "send",
                "--scope",
                "reports",
            ]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603  # our own command
            self._key = next(iter(re.findall(r"stw_\S+", said.stdout)))
            self._app = importlib.import_module("steward.web.app").create(self._steward)

    def hand_over(self, name: str, payload: dict[str, Any]) -> str:
        """Hand a task over and return its id."""
        if self._http:
            return asyncio.run(self._post(name, payload))
        return str(self._service.enqueue(name, payload))

    async def _post(self, name: str, payload: dict[str, Any]) -> str:
        transport, headers = httpx.ASGITransport(self._app), {"Authorization": f"Bearer {self._key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            answer = await client.post(f"/v1/tasks/{name}", json=payload)
            answer.raise_for_status()
            return str(answer.json()["id"])

    def ask(self, question: str, *values: object) -> Any:
        """Return the first value that the ledger has for `question`, read without a function of ours."""
        try:
            with contextlib.closing(sqlite3.connect(self._folder / "data" / "ledger.sqlite3")) as ledger:
                return (ledger.execute(question, values).fetchone() or (None,))[0]
        except sqlite3.OperationalError:
            return None  # it is not there yet


def _home(*modules: str) -> Any:
    """Return the first of `modules` that there is."""
    for name in modules:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise ModuleNotFoundError(f"there is none of {', '.join(modules)}")


def follow(folder: Path, steps: list[Step], recorder: Recorder, *, http: bool) -> dict[str, Count]:
    """Hand each kind of task over several times and return what they pass."""
    caller, layers = Caller(folder, http=http), Layers((ROOT / ".importlinter").read_text())
    _wait(lambda: caller.ask("SELECT count(*) FROM workers"), "a worker")
    found = {}
    for kind, (name, payload) in TASKS.items():
        ways, children = [], []
        for number in range(WAYS + 2):
            _rest(steps)
            begin, started = len(steps), time.monotonic()
            sys.setprofile(recorder)
            task_id = caller.hand_over(name, payload)
            sys.setprofile(None)
            question = "SELECT state FROM tasks WHERE id = ? AND finished_at IS NOT NULL"
            if (state := _wait(partial(caller.ask, question, task_id), f"the {kind}")) != "succeeded":
                raise RuntimeError(f"the {kind} has {state}")
            ended = time.monotonic()
            _rest(steps)
            if number >= 2:  # the first have opened what is kept open
                ways.append(_own(steps, begin))
                children.append(_in_children(folder, started, ended))
        found[kind] = counted(ways, children, layers)
    return found


def _own(steps: Sequence[Step], begin: int) -> list[Step]:
    """Return what was passed since `begin`, but for what beats: its threads, and what those have handed to others."""
    beating = {_module(step.called) for step in steps if step.thread in BEATING and not step.caller}
    return [
        each
        for each in steps[begin:]
        if each.thread not in BEATING and not beating.intersection((_module(each.caller), _module(each.called)))
    ]


def _in_children(folder: Path, started: float, ended: float) -> list[str]:
    """Return the functions that children have entered between two moments, which one clock has for all processes."""
    lines = [line.split(" ", 1) for file in sorted(folder.glob("*.child")) for line in file.read_text().splitlines()]
    return [name for at, name in sorted(lines) if started <= float(at) <= ended]


def _rest(steps: Sequence[Step]) -> None:
    """Return when nothing of ours has been called for a while."""
    seen = len(steps)
    time.sleep(REST)

    def rests() -> bool:
        nonlocal seen
        new, seen = steps[seen:], len(steps)
        time.sleep(REST)
        return all(each.thread in BEATING for each in new)

    _wait(rests, "a moment's rest")


def _wait(condition: Callable[[], Any], what: str) -> Any:
    """Return what `condition` returns once that is something.

    Raises:
        TimeoutError: it is nothing for a minute.
    """
    end = time.monotonic() + 60
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} has not come within a minute")
        time.sleep(0.005)
    return value


def shown(found: dict[str, Count], *, path: bool) -> str:
    """Return the figures as lines for a reader, with `path` all that was passed."""
    words = dict(
        zip(Count._fields, ("functions", "modules", "threads", "turns back", "entries", "in children"), strict=True)
    )
    lines = []
    for kind, count in found.items():
        lines.append(f"{kind}: " + ", ".join(f"{len(v)} {words[k]}" for k, v in count._asdict().items()))
        if path:
            lines += [f"    {words[k]}: {each}" for k, v in count._asdict().items() for each in v]
    return "\n".join(lines)


def prepare(folder: Path) -> subprocess.Popen[bytes]:
    """Start an SMTP server, and make the environment of the worker and of its children, which are seen as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    plugins = folder / "plugins"
    template = plugins / "templates" / "small_report" / "report.html.j2"
    template.parent.mkdir(parents=True)
    template.write_text(TEMPLATE)
    (plugins / "small_report.py").write_text(PLUGIN)
    (folder / "sitecustomize.py").write_text("import trace_task\ntrace_task.in_child()\n")
    os.environ |= {
        FOLDER: str(folder),
        "PYTHONPATH": os.pathsep.join((str(folder), str(Path(__file__).parent))),
        "STEWARD_ENV": "production",
        "STEWARD_DATA_DIR": str(folder / "data"),
        "STEWARD_PLUGINS_DIR": str(plugins),
        "STEWARD_SMTP_URL": f"smtp+plain://127.0.0.1:{port}",
        "STEWARD_MAIL_FROM": "Local 214 <office@example.org>",
        "STEWARD_LOG_LEVEL": "warning",
    }
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return subprocess.Popen([program, *user, f"127.0.0.1:{port}", "100"])  # noqa: S603  # smtp-sink, found on PATH


def main() -> int:
    """Trace and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with --list of names")
    parser.add_argument("--list", action="store_true", help="print the path in order too")
    parser.add_argument("--http", action="store_true", help="begin with the HTTP request")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trace-task-"))
    server = prepare(folder)
    steps: list[Step] = []
    recorder = Recorder(steps.append)

    def drive() -> None:
        sys.setprofile(None)
        code = 1
        try:
            found = follow(folder, steps, recorder, http=options.http)
            names = {kind: count._asdict() for kind, count in found.items()}
            numbers = {kind: {k: len(v) for k, v in each.items()} for kind, each in names.items()}
            print(json.dumps(names if options.list else numbers) if options.json else shown(found, path=options.list))
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
        if code:
            os._exit(code)
        os.kill(os.getpid(), signal.SIGTERM)  # the worker leaves, and ends the process

    threading.Thread(target=drive, name="caller", daemon=True).start()
    threading.setprofile(recorder)
    return int(importlib.import_module("steward.cli").run(["work"]))


if __name__ == "__main__":
    sys.exit(main())
