"""The command is described as it is, asks for little, and is quick to help."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.house.repository import ROOT


def test_the_page_of_commands_is_made_from_the_commands() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "document_commands.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_takes_less_than_a_third_of_a_second_of_the_processor() -> None:
    for words in ("--help", "send --help", "plugin new --help"):
        before = os.times()
        subprocess.run([sys.executable, "-m", "steward", *words.split()], capture_output=True, check=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        assert spent < 0.3, words


def test_the_client_imports_nothing_of_the_server() -> None:
    program = "import sys, steward.client; print(*(m for m in sys.modules if m.split('.')[0] in sys.argv[1:]))"
    heavy = ["fastapi", "starlette", "sqlalchemy", "pydantic", "jinja2", "uvicorn", "typer", "alembic"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_pytest_plugin_imports_nothing_heavy_before_it_is_used() -> None:
    program = "import sys, steward.testing; print(*(m for m in sys.modules if m.split('.')[0] in sys.argv[1:]))"
    heavy = ["fastapi", "sqlalchemy", "pydantic", "jinja2", "weasyprint", "httpx"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
