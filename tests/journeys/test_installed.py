"""What is installed from the built package works from an empty folder: plugins, templates and migrations came along."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tests.house.repository import ROOT
from tests.servers.ports import free_port


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of a new virtual environment that holds the built package."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", "-q", "--no-index", "--no-build-isolation", "--no-deps", "-w", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    environment = folder / "venv"
    venv.create(environment, with_pip=False)
    site = next(environment.glob("lib/python*/site-packages"))
    # The packages it depends on are those of this environment; a .pth file inside that folder is not read again, so
    # that the checkout itself, which is installed there as editable, stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    # Unpacked by hand, which for a wheel of pure Python is all there is to it: pip would first remove the checkout from
    # the environment that it runs in.
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return environment / "bin"


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STEWARD_", "PYTHON"))}
    command = [str(installed / "python"), "-m", "steward", *words]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=90)


def test_the_package_is_the_installed_one(installed, tmp_path):
    program = "import steward; print(steward.__file__)"
    told = subprocess.run(
        [installed / "python", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(installed.parent) in told.stdout


def test_it_finds_its_plugins_from_an_empty_folder(installed, tmp_path):
    told = run(installed, tmp_path, "plugins", "--json")
    assert told.returncode == 0, told.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(told.stdout)["plugins"]}
    for name in ("welcome_email", "password_reset", "grant_report", "membership_summary"):
        assert plugins[name]["error"] is None
        assert plugins[name]["handlers"] == [name]


def test_it_renders_a_letter_with_its_own_templates(installed, tmp_path):
    told = run(installed, tmp_path, "preview", "welcome_email", "--out", "out")
    assert told.returncode == 0, told.stderr
    written = "".join(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "Ada Lovelace" in written


def test_the_first_minutes_of_the_readme_go_as_they_are_written(installed, tmp_path):
    """All of it as one would type it, at one go; only the installing itself is done by the fixture."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start = readme.index("**Application code.**")
    install, *typed = re.search(r"((?:    .*\n)+)", readme[start:])[1].splitlines()
    assert "pip install" in install
    program = re.search(r"```python\n(from steward.client.*?)```", readme[start:], re.DOTALL)[1]
    send = re.search(r"`(steward send [^`]*--wait)`", readme[start:])[1]
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "steward"
    script.write_text(f'#!/bin/sh\nexec {installed / "python"} -m steward "$@"\n')
    script.chmod(0o755)
    port = str(free_port())
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STEWARD_", "PYTHON"))}
    clean |= {"PATH": f"{tmp_path / 'bin'}:{installed}:{os.environ['PATH']}", "STEWARD_PORT": port}
    lines = [
        "set -e",
        *(line.strip() for line in typed),
        "echo",
        "python - <<END",
        program.replace('"stw_…"', '"$KEY"') + "print(client.wait(task_id).state)",
        "END",
        send,
    ]
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(lines).replace("8480", port)],
        cwd=tmp_path,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # The service goes on in the background and keeps its output open: read what the lines themselves print.
        assert shell.wait(90) == 0, shell.stderr.read()
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        printed, errors = shell.communicate(timeout=60)
    accepted = re.search(r'^\{"id":"[0-9a-f-]{36}","name":"welcome_email".*$', printed, re.MULTILINE)
    assert accepted, printed + errors
    assert json.loads(accepted[0])["state"] == "queued"
    assert re.search(r"^succeeded$", printed, re.MULTILINE), printed + errors
    assert printed.count("succeeded") == 2, printed + errors
