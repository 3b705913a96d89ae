"""Nothing in the repository depends on, or names, the machine that it was written on."""

from __future__ import annotations

import re
import tomllib

from tests.house.repository import ROOT, files, name

# The brackets keep this file from finding itself.
PLACES = re.compile(
    "|".join(
        (
            r"(?<![\w.}])/wor[k]/",
            r"(?<![\w.}])/roo[t]/",
            r"/opt/whee[l]s",
            r"/home/[a-z]+[/]",
            r"pypi[.]org",
            r"pythonhoste[d]",
            r"npmjs[.](org|com)",
            r"deb[.]debian",
        )
    )
)


def test_no_file_names_a_place_on_a_machine_or_a_registry() -> None:
    found = []
    for path in files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name(path)}:{number}: {line[:120]}" for number, line in enumerate(lines, 1) if PLACES.search(line)]
    assert not found


def pinned() -> set[str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {normal(line.partition("==")[0]) for line in lines if re.match(r"[a-z0-9].*==", line)}


def normal(requirement: str) -> str:
    """Return the package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=~!;]", requirement, maxsplit=1)[0]).lower()


def test_the_lock_holds_every_package_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"], *(p for e in extras for p in e)]
    missing = {normal(requirement) for requirement in asked} - pinned()
    assert not missing, "type: make lock"


def test_every_locked_package_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert not [entry for entry in entries if "--hash=sha256:" not in entry]
    assert "://" not in lock
    assert " @ " not in lock
