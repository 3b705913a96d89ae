"""The files with which a new plugin begins: they work as they are written, and show where to go on."""

from __future__ import annotations

import keyword
from pathlib import Path

from steward.errors import ConfigurationError, InvalidOption
from steward.model.declaration.handler import NAME
from steward.system import private_files

LETTER = '''\
"""Send {words}."""

from pydantic import BaseModel, Field

from steward import Email, EmailAddress, Handler, handler, hookimpl


class {model}(BaseModel):
    """What the letter needs to know."""

    name: str = Field(min_length=1, max_length=200, title="Name")
    email: EmailAddress = Field(title="E-mail address")


@handler(example={model}(name="Ada Lovelace", email="ada@example.org"))
def {name}(request: {model}) -> Email:
    """Send {words} to a member."""
    return Email(to=request.email, template="{name}", context=request)


@hookimpl
def register_handlers() -> list[Handler]:
    """Return what this plugin offers."""
    return [{name}]
'''

LETTER_TEST = '''\
"""The letter says what it should, to whom it should."""

from pathlib import Path

import pytest


@pytest.fixture
def steward_plugins() -> Path:
    return Path(__file__).parent.parent


def test_the_letter_greets_its_reader(steward_service, outbox):
    steward_service.enqueue("{name}", name="Ada", email="ada@example.org")
    [letter] = outbox
    assert letter.to == "ada@example.org"
    assert "Ada" in letter.text
'''

SUBJECT = "{title} for {{{{ name }}}}\n"

BODY_TEXT = """\
Dear {{{{ name }}}},

this is the text of {words}.

{{{{ organization }}}}
"""

BODY_HTML = """\
{{% extends "layouts/email.html.j2" %}}
{{% block preheader %}}{title}.{{% endblock %}}
{{% block content %}}
<h1>Dear {{{{ name }}}}</h1>
<p>this is the text of {words}.</p>
{{% endblock %}}
"""

REPORT = '''\
"""Draw up {words}."""

from pydantic import BaseModel, Field

from steward import Column, Handler, Report, Table, handler, hookimpl

COLUMNS = (Column("town", "Town"), Column("members", "Members", "integer"))


class {model}(BaseModel):
    """What the report is asked for."""

    least: int = Field(0, ge=0, title="Least number of members")


@handler(example={model}(least=100), lane="reports", scope="reports")
def {name}(request: {model}) -> Report:
    """Draw up {words}."""
    towns = [("Riverton", 412), ("Fairview", 187), ("Cedar Falls", 64)]
    rows = [(town, members) for town, members in towns if members >= request.least]
    total = ("In all", sum(members for _, members in rows))
    table = Table("towns", COLUMNS, rows, title="Members by town", total=total)
    return Report(
        template="{name}", tables=[table], name="{name}", title="{title}", formats=["pdf", "csv", "xlsx"]
    )


@hookimpl
def register_handlers() -> list[Handler]:
    """Return what this plugin offers."""
    return [{name}]
'''

REPORT_TEST = '''\
"""The report holds what was asked for, in each of its forms."""

from pathlib import Path

import pytest


@pytest.fixture
def steward_plugins() -> Path:
    return Path(__file__).parent.parent


def test_the_report_leaves_out_small_towns(steward_service, steward_installation):
    task = steward_service.get_status(steward_service.enqueue("{name}", least=100))
    files = steward_installation.files(task)
    assert sorted(files) == ["{name}.csv", "{name}.pdf", "{name}.xlsx"]
    written = files["{name}.csv"].read_text(encoding="utf-8-sig")
    assert "Riverton" in written
    assert "Cedar Falls" not in written
'''

REPORT_HTML = """\
{{% extends "layouts/report.html.j2" %}}
{{% from "layouts/report_parts.html.j2" import heading %}}
{{% from "layouts/tables.html.j2" import table %}}
{{% set sections = {{"towns": "Members by town"}} %}}
{{% block content %}}
{{{{ heading("towns", sections) }}}}
<p>Write here what the figures mean.</p>
{{{{ table(tables.towns, caption=false) }}}}
{{% endblock %}}
"""

FILES = {
    "letter": {
        "{name}.py": LETTER,
        "templates/{name}/subject.txt.j2": SUBJECT,
        "templates/{name}/body.txt.j2": BODY_TEXT,
        "templates/{name}/body.html.j2": BODY_HTML,
        "tests/test_{name}.py": LETTER_TEST,
    },
    "report": {
        "{name}.py": REPORT,
        "templates/{name}/report.html.j2": REPORT_HTML,
        "tests/test_{name}.py": REPORT_TEST,
    },
}


def write(folder: Path, name: str, kind: str, taken: str) -> list[Path]:
    """Write the files of a new plugin below `folder` and return their paths; `taken` says who has the name already.

    Raises:
        InvalidOption: the name cannot be used.
        ConfigurationError: one of the files is there already, or cannot be written; none is changed.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidOption(
            f"A plugin cannot be named '{name[:80]}'",
            "A name is lower-case letters, digits and underscores, starts with a letter, and is no word of Python",
            "Example: steward plugin new dues_reminder",
        )
    if taken:
        raise InvalidOption(f"There is a task named '{name}' already", f"It stands in {taken}", "Choose another name")
    words = {
        "name": name,
        "words": f"the {name.replace('_', ' ')}",
        "title": name.replace("_", " ").capitalize(),
        "model": "".join(part.capitalize() for part in name.split("_")) + "Request",
    }
    files = {folder / path.format(**words): text.format(**words) for path, text in FILES[kind].items()}
    there = [path for path in files if path.exists()]
    if there:
        raise ConfigurationError(f"{there[0]} is there already", "It is not overwritten", "Choose another name")
    try:
        with private_files.as_usual():  # the service may run as another user
            for path, text in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be written",
            error.strerror or str(error),
            "Set STEWARD_PLUGINS_DIR to a folder that this user may write",
        ) from error
    return list(files)
