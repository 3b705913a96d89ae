"""The command is described as it is, asks for little, and is quick to help."""

from __future__ import annotations

import subprocess
import sys

from tests.house.repository import ROOT


def test_the_page_of_commands_is_made_from_the_commands() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "document_commands.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy() -> None:
    """What it costs in seconds is measured by benchmarks/idle.py; what makes it cheap is seen here on any machine."""
    program = "import sys; from steward.cli import run; run(sys.argv[1].split()); print(*sys.modules, file=sys.stderr)"
    heavy = {
        "fastapi",
        "sqlalchemy",
        "jinja2",
        "weasyprint",
        "celery",
        "httpx",
        "uvicorn",
        "alembic",
    }
    for words in ("--help", "send --help", "plugin new --help"):
        done = subprocess.run([sys.executable, "-c", program, words], capture_output=True, text=True, check=True)
        assert "Usage: steward" in done.stdout
        assert not heavy & set(done.stderr.split()), words


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
