"""What is installed from the built package works from an empty folder: plugins, templates and migrations came along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tests.house.repository import ROOT


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
