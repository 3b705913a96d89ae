"""The command as people and programs use it: it stays up, stops cleanly, and says in words what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.house.repository import ROOT
from tests.journeys.installation import SCOPES, Installation, Program
from tests.servers.ports import wait_until

from steward.cli import scaffold
from steward.client import Client
from steward.errors import StateConflict, UnknownHandler


def processes_of(installation: Installation, program: Program) -> dict[str, int]:
    """Return the ids of the web server and of the worker."""
    (web,), (worker,) = (installation.children_of(program, f"steward {word}") for word in ("serve", "work"))
    return {"web": web, "worker": worker}


def runs(pid: int) -> bool:
    """Whether a process lives; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def below(pid: int) -> list[int]:
    """Return the ids of every process below one."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            found += map(int, path.read_text().split())
    return found + [each for child in found for each in below(child)]


def test_a_killed_worker_is_started_again_while_the_door_stays_open(install):
    one = install()
    up = one.up()
    before = one.workers()
    os.kill(processes_of(one, up)["worker"], signal.SIGKILL)
    task_id = one.post("letter", {"to": "ada@example.org"}).json()["id"]  # accepted while nobody works
    one.wait_until(lambda: bool(one.workers() - before), "another worker is there", 20)
    assert one.wait_for(task_id).state == "succeeded"
    assert "the worker was killed (SIGKILL)" in up.log.read_text()


def test_a_killed_web_server_is_started_again_and_turns_nobody_away(install):
    one = install()
    up = one.up()
    killed = processes_of(one, up)
    os.kill(killed["web"], signal.SIGKILL)
    # The supervisor holds the port: who comes in between waits a moment and is answered.
    answer = httpx.get(f"{one.url}/livez", timeout=20)
    assert answer.status_code == 200
    now = processes_of(one, up)
    assert killed["worker"] in now.values()
    assert killed["web"] not in now.values()


def whole(installation: Installation, program: Program) -> list[int]:
    """Return the ids of every process below one, once the worker has children of its own."""
    installation.wait_until(lambda: len(below(program.pid)) > 2, "the worker has its children")
    return below(program.pid)


def test_sigterm_ends_everything_within_half_a_minute(install):
    one = install()
    up = one.up()
    everything = whole(one, up)
    assert up.terminate() < 30
    assert up.await_end() == 0
    assert not [pid for pid in everything if runs(pid)]


@pytest.mark.long
def test_sigterm_ends_even_a_frozen_worker_within_half_a_minute(install):
    one = install()
    up = one.up()
    everything = whole(one, up)
    os.kill(processes_of(one, up)["worker"], signal.SIGSTOP)
    assert up.terminate() < 30.5
    assert not [pid for pid in everything if runs(pid)]
    assert "the worker has not left and is killed" in up.log.read_text()


def test_a_task_in_hand_is_finished_before_the_worker_leaves(install):
    one = install()
    up = one.up()
    file, until = one.folder / "runs", one.folder / "until"
    task_id = one.post("wait", {"file": str(file), "until": str(until)}).json()["id"]
    one.wait_until(file.exists, "the task has begun")
    os.kill(up.pid, signal.SIGTERM)
    one.wait_until(lambda: "stopping: SIGTERM" in up.log.read_text(), "it stops")
    until.touch()
    assert up.await_end() == 0
    assert one.task(task_id).state == "succeeded"


def test_nothing_is_left_when_the_supervisor_itself_is_killed(install):
    one = install()
    up = one.up()
    everything = whole(one, up)
    up.kill9()
    wait_until(lambda: not any(runs(pid) for pid in everything), "all have ended", 10)


def test_a_free_port_is_chosen_and_printed(install):
    one = install(port=0)
    up = one.start("up", "--workers", "0")
    pattern = re.compile(r"Steward is at (http://127\.0\.0\.1:\d+) ")
    wait_until(lambda: bool(pattern.search(up.log.read_text())), "the address is printed", 20, lambda: up.alive)
    found = pattern.search(up.log.read_text())
    assert found is not None
    assert httpx.get(f"{found[1]}/livez", timeout=20).status_code == 200
    assert up.terminate() < 20


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_busy_port_is_said_in_words(install, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = install(port=port).run(command)
    assert done.returncode == 2
    assert f"Port {port} on 127.0.0.1 is in use by another program." in done.stderr
    assert "STEWARD_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("up",), ("serve",), ("work",), ("tasks",), ("check",)])
def test_a_folder_that_cannot_be_written_is_said_in_words(install, words):
    one = install()
    (one.folder / "file").touch()
    one.settings["data_dir"] = one.folder / "file" / "data"
    done = one.run(*words)
    assert done.returncode == 2
    assert f"The data folder {one.folder / 'file' / 'data'} cannot be written." in done.stderr
    assert "STEWARD_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_work_as_it_is_set_up_ends_and_says_why(install):
    done = install(engine="celery").run("up")
    assert done.returncode == 2
    assert "STEWARD_BROKER_URL" in done.stderr
    assert "all have left" in done.stderr


@pytest.mark.parametrize("words", [("up",), ("serve",)])
def test_no_address_is_told_before_what_cannot_work_is_refused(install, words):
    # The web server sends letters itself with this engine alone; with the others it need not know the mail server.
    done = install(env="production", engine="background").run(*words)
    assert done.returncode == 2
    assert "No mail server is set." in done.stderr
    assert "STEWARD_SMTP_URL" in done.stderr
    assert done.stdout == ""
    assert "started the" not in done.stderr


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """An installation that is up, for the commands that talk to one."""
    with Installation(tmp_path_factory.mktemp("command")) as installation:
        installation.up()
        yield installation


def read(done, code=0):
    """Return the JSON that a command has printed."""
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_task_is_sent_and_followed_to_its_end(running):
    task = read(running.run("send", "letter", "--to", "grace@example.org", "--key", "once", "--wait", "--json"))
    assert task["state"] == "succeeded"
    assert [each["to"] for each in task["deliveries"]] == ["grace@example.org"]
    again = read(running.run("send", "letter", "--to", "grace@example.org", "--key", "once", "--json"))
    assert again["id"] == task["id"]
    shown = running.run("status", task["id"])
    assert "letter to grace@example.org: captured" in shown.stdout


def test_a_task_that_fails_is_exit_code_one_and_can_be_tried_again(running):
    mended = running.folder / "mended"
    done = running.run("send", "fail", "--until", str(mended), "--wait", "--json")
    task = read(done, 1)
    assert "it cannot be done" in task["error"]
    mended.touch()
    assert running.run("retry", task["id"]).returncode == 0
    assert read(running.run("status", task["id"], "--wait", "--json"))["state"] == "succeeded"


def test_a_service_elsewhere_is_reached_with_a_key(running):
    made = read(running.run("key", "create", "elsewhere", "--scope", "send", "--scope", "read", "--json"))
    away = ("--url", running.url, "--api-key", made["key"])
    task = read(running.run("send", "bulk_letter", "--to", "a@example.org", "--wait", "--json", *away))
    assert task["state"] == "succeeded"
    wrong = running.run("send", "bulk_letter", "--too", "a@example.org", *away)
    assert wrong.returncode == 2
    assert "did you mean 'to'?" in wrong.stderr
    ended = running.run("cancel", task["id"], *away)
    assert ended.returncode == 2
    assert "The task is succeeded and cannot be cancelled." in ended.stderr
    theirs = running.run("cancel", read(running.run("send", "letter", "--to", "b@example.org", "--json"))["id"], *away)
    assert theirs.returncode == 3
    assert "There is no task" in theirs.stderr
    assert running.run("key", "revoke", made["id"]).returncode == 0
    # A revoked key works for two more seconds at most.
    running.wait_until(lambda: running.run("status", task["id"], *away).returncode == 2, "the key has ended", 10)
    nobody = running.run("tasks", "--url", "http://127.0.0.1:1", "--api-key", "x")
    assert nobody.returncode == 4


@pytest.fixture
def letters_only(tmp_path):
    """A folder of plugins that holds one letter."""
    folder = tmp_path / "letters"
    scaffold.write(folder, "town_crier", "letter", "")
    return folder


def test_check_says_of_each_thing_whether_it_is_right(install, letters_only):
    one = install(plugins=letters_only)
    one.work()
    done = read(one.run("check", "--json"))
    levels = {check["name"]: check["level"] for check in reversed(done["checks"])}
    assert done["ok"]
    for name in ("settings", "data folder", "ledger", "files", "workers", "plugins", "layout", "mail"):
        assert levels[name] == "ok", done["checks"]


def test_check_finds_what_is_wrong_and_names_the_remedy(install, letters_only):
    one = install(plugins=letters_only, smtp_url="smtp+plain://127.0.0.1:1", source_url="sqlite:////nowhere/at/all")
    (one.plugins_dir / "broken.py").write_text('"""Broken."""\n\nimport nothing_of_this_name\n')
    (one.plugins_dir / "templates" / "town_crier" / "body.txt.j2").write_text("Dear {{ nobody }},")
    done = one.run("check")
    assert done.returncode == 1
    failed = {line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith("FAIL")}
    assert failed >= {"plugins", "templates", "mail", "source"}
    assert "FAIL  mail: 127.0.0.1:1 cannot be reached: Connection refused" in done.stdout
    assert "broken.py:3" in done.stdout
    assert "'nobody' is undefined" in done.stdout
    assert "warn  workers" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_reader_that_has_heard_enough_is_no_error(running):
    program = f"{sys.executable} -m steward key --help | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=running.environment, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert not done.stderr


def test_a_program_hands_over_waits_and_downloads_through_the_client(running, tmp_path):
    key = read(running.run("key", "create", "program", *(f"--scope={s}" for s in SCOPES), "--json"))["key"]
    with Client(running.url, key) as client:
        assert "letter" in {handler["name"] for handler in client.handlers()}
        report = client.wait(client.enqueue("statement", rows=3, formats=["csv"], key="statement"))
        assert report.state == "succeeded"
        file = client.download(report.id, report.artifacts[0].n, tmp_path)
        assert "Item 2" in file.read_text()
        ids = client.enqueue_many("letter", [{"to": f"{n}@example.org"} for n in range(3)])
        assert {client.wait(each).state for each in ids} == {"succeeded"}
        assert ids[0] in {task.id for task in client.find(name="letter", recipient="0@example.org")}
        later = client.enqueue("letter", to="later@example.org", run_at=datetime.now(UTC) + timedelta(hours=1))
        assert client.cancel(later).state == "cancelled"
        with pytest.raises(StateConflict):
            client.retry(later)
        with pytest.raises(UnknownHandler, match="Did you mean 'letter'"):
            client.enqueue("leter", to="ada@example.org")


def test_the_page_about_the_client_tells_the_truth(running):
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    beside, program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    key = running.run("key", "create", "page", "--scope=send", "--scope=read").stdout.strip()
    program = program.replace("http://127.0.0.1:8480", running.url).replace("stw_…", key)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "succeeded [('ada@example.org', <Outcome.CAPTURED: 'captured'>)]\n"
    done = subprocess.run(
        [sys.executable, "-c", beside + "print(steward.service.get_status(task_id).name)"],
        env=running.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "welcome_email\n"
    methods = {name for name in vars(Client) if not name.startswith("_")}
    assert methods - {"close"} <= set(re.findall(r"`(\w+)\(", page))
