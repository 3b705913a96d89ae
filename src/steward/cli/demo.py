"""Shows the whole service at work: sample data, the real processes, four tasks over HTTP, and where each one is."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steward.cli import sample
from steward.client import Client
from steward.errors import ConfigurationError, StewardError, UnknownKey
from steward.installation import settings
from steward.installation.container import Steward
from steward.installation.settings import Settings
from steward.model.results import TaskResult
from steward.model.states import FINISHED
from steward.storage import access
from steward.system import private_files

FOLDER = Path("steward-demo")
READY_WITHIN = 60.0
"""Seconds for web and worker to start; a slow machine needs about ten."""
DONE_WITHIN = 300.0
LOOK = 0.3
"""Seconds between two looks at a task."""

TASKS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    (
        "welcome_email",
        "A welcome letter",
        {"name": "Ada Lovelace", "email": "ada.lovelace@example.org", "member_number": "IB-20417"},
    ),
    (
        "password_reset",
        "A password reset",
        {
            "name": "Grace Hopper",
            "email": "grace.hopper@example.org",
            "link": "https://members.example.org/reset/7d1f0c9ab64e",
        },
    ),
    ("grant_report", "A grant report", sample.GRANT_REPORT),
    ("membership_summary", "A membership summary", sample.MEMBERSHIP_SUMMARY),
)


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task of the demo: its id, and what it is in words."""

    id: str
    words: str


def run(*, once: bool = False, say: Callable[[str], None] = print) -> int:
    """Run the demo and return the exit code: 0 only if all four tasks succeeded.

    With `once` it ends when they have, and its last line is one JSON object; otherwise it stays up until Ctrl-C.

    Raises:
        StewardError: the demo cannot be set up here; the words say why.
    """
    chosen = prepare(say)
    steward = Steward(chosen)
    try:
        key, link = _ways_in(steward)
        with _up(chosen) as service:
            client = Client(chosen.public_url, key)
            _await_ready(chosen, service, say)
            say("")
            shown = [DemoTask(client.enqueue(name, payload), words) for name, words, payload in tasks()]
            results = _watch(client, shown, say)
            ended = 0 if all(task.state == "succeeded" for task in results) else 1
            _tell(steward, results, say)
            if not once:
                _tell_ways(chosen, key, link, say)
                _stay(service)
    finally:
        steward.close()
    if once:
        say(json.dumps({"tasks": [task.as_json() for task in results], "data_dir": str(chosen.data_dir)}))
    return ended


def tasks() -> list[tuple[str, str, dict[str, Any]]]:
    """Return each task's name, what it is in words, and its fields.

    The reset has a new address every time: one address gets one a minute, and a demo may be started again at once.
    """
    fresh = {"password_reset": {"email": f"grace.hopper+{secrets.token_hex(3)}@example.org"}}
    return [(name, words, {**payload, **fresh.get(name, {})}) for name, words, payload in TASKS]


def prepare(say: Callable[[str], None] = print) -> Settings:
    """Return the demo's settings, with the sample database in place. What is set in the environment is kept.

    Raises:
        ConfigurationError: the folder cannot be written, or a setting cannot be used.
    """
    given: dict[str, Any] = {}
    if not os.environ.get("STEWARD_DATA_DIR"):
        given["data_dir"] = FOLDER
    first = settings.load(**given)
    if not os.environ.get("STEWARD_SOURCE_URL"):
        database = first.data_dir / "members.sqlite3"
        try:
            private_files.make_folder(first.data_dir)
            if not database.exists():
                say("Making a sample database: 4,000 members, six grants …")
                sample.make(database)
        except OSError as error:
            raise ConfigurationError(
                f"The demo's folder {first.data_dir} cannot be written",
                error.strerror or str(error),
                "Start it in a folder where you may write, or set STEWARD_DATA_DIR",
            ) from error
        given["source_url"] = f"sqlite:///{database}"
    given["port"] = _port(first)
    if given["port"] != first.port and first.port:
        say(f"Port {first.port} is in use; the demo takes {given['port']}.")
    return settings.load(**given)


def _port(chosen: Settings) -> int:
    for wanted in (chosen.port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((chosen.host, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError(
        f"Nothing can listen on {chosen.host}", remedy="Set STEWARD_HOST to an address of this machine"
    )


def _ways_in(steward: Steward) -> tuple[str, str]:
    """Return a key for the demo's own requests and a one-time sign-in link for whoever looks at the pages."""

    def make(connection: Any) -> tuple[str, str]:
        with contextlib.suppress(UnknownKey):  # that of an earlier run, whose token nobody has any more
            access.revoke_key(connection, "demo")
        key = access.create_key(connection, "demo", ["send", "read", "reports", "operate"])[1]
        return key, access.create_link(connection, "demo", ["send", "read", "reports", "operate"])

    return steward.ledger.apply(make)


@contextmanager
def _up(chosen: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run `steward up` while the block lasts, in a group of its own so that Ctrl-C reaches it through us alone."""
    environment = {
        **os.environ,
        "STEWARD_DATA_DIR": str(chosen.data_dir),
        "STEWARD_SOURCE_URL": chosen.source_url,
        "STEWARD_PORT": str(chosen.port),
    }
    log = (chosen.data_dir / "demo.log").open("ab")
    process = subprocess.Popen(  # noqa: S603  # our own program with our own words
        [sys.executable, "-m", "steward", "up", "--parent", str(os.getpid())],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        log.close()


def _await_ready(chosen: Settings, service: subprocess.Popen[bytes], say: Callable[[str], None]) -> None:
    import httpx

    say("Starting the web server and a worker …")
    pause = threading.Event()
    for _ in range(int(READY_WITHIN / LOOK)):
        if service.poll() is not None:
            break
        try:
            if httpx.get(f"{chosen.public_url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        pause.wait(LOOK)
    words = (chosen.data_dir / "demo.log").read_text(errors="replace").splitlines()[-12:]
    raise ConfigurationError("The service did not start", "; ".join(words[-3:]), f"See {chosen.data_dir / 'demo.log'}")


def _watch(client: Client, shown: list[DemoTask], say: Callable[[str], None]) -> list[TaskResult]:
    """Say where each task stands whenever that changes, and return them once all have ended."""
    said: dict[str, str] = {}
    pause = threading.Event()
    results: list[TaskResult] = []
    for _ in range(int(DONE_WITHIN / LOOK)):
        results = [client.get(each.id) for each in shown]
        for each, task in zip(shown, results, strict=True):
            words = _standing(task)
            if said.get(each.id) != words:
                said[each.id] = words
                say(f"  {each.words:<24} {words}")
        if all(task.state in FINISHED for task in results):
            break
        pause.wait(LOOK)
    return results


def _standing(task: TaskResult) -> str:
    if task.state == "running" and task.progress is not None:
        return f"running    {task.progress:>4.0%}  {task.progress_text}".rstrip()
    return f"{task.state:<10} {task.error or ''}".rstrip()


def _tell(steward: Steward, results: list[TaskResult], say: Callable[[str], None]) -> None:
    """Say what came out: where each letter and each file lies."""
    outbox = steward.outbox_folder
    say("")
    for task in results:
        say(f"{task.name}: {task.state}")
        for delivery in task.deliveries:
            where = delivery.reply.removeprefix("captured as ")
            captured = delivery.outcome == "captured"
            say(f"    letter to {delivery.to}: {outbox / where if captured else f'{delivery.outcome} {where}'}")
        with steward.ledger.read() as connection:
            from steward.storage.tasks import artifacts

            for file in artifacts.stored(connection, task.id):
                say(f"    {file.name}: {steward.settings.data_dir / 'archive' / file.location}")


def _tell_ways(chosen: Settings, key: str, link: str, say: Callable[[str], None]) -> None:
    address = chosen.public_url
    say("")
    say(f"Look at it:     {address}/sign-in/{link}   (works once, for 15 minutes)")
    say(f"Later:          {address}/sign-in   with the key {key}")
    say(f"Its interface:  {address}/openapi.json")
    say("")
    say("It stays up until you press Ctrl-C.")


def _stay(service: subprocess.Popen[bytes]) -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(1.0):
        if service.poll() is not None:
            raise StewardError("The service has stopped by itself", f"Its exit code is {service.returncode}")
