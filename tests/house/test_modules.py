"""Every module: one noun, one duty said in its first line, not too long, and no name that hides what is in it."""

from __future__ import annotations

import ast
import configparser
import re

from tests.house.repository import ROOT, files, modules, name, tree

LONGEST = 300
TOO_LONG_WITH_REASON: set[str] = set()
MOST_ENTRIES = 12
# What users import or type by these names, beside the chapters.
FRONT_DOOR = {"app.py", "client", "contracts", "errors", "py.typed", "services", "testing.py"}
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)(_|$)", re.IGNORECASE)
# The brackets keep this file from finding itself.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")


def test_every_module_says_its_duty_in_its_first_line() -> None:
    silent = [
        name(path)
        for path in modules()
        if path.stat().st_size
        and not re.match(r"\S.*[.:?]\Z", (ast.get_docstring(tree(path)) or "").partition("\n")[0])
    ]
    assert not silent, "these begin without a docstring of one full sentence"


def test_no_module_is_too_long() -> None:
    long = {
        name(path): lines
        for path in modules("src", "plugins")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert set(long) == TOO_LONG_WITH_REASON, long


def test_no_name_hides_what_it_holds() -> None:
    hiding = [name(path) for path in files() if any(map(SAYS_NOTHING.search, (path.stem, *path.parent.parts[-3:])))]
    for path in modules("src", "plugins"):
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name)
                if SAYS_NOTHING.search(words):
                    hiding.append(f"{name(path)}:{node.lineno} {node.name}")
    assert not hiding


def test_the_floors_in_contributing_are_those_that_are_proved() -> None:
    proved = configparser.ConfigParser()
    proved.read(ROOT / ".importlinter")
    layers = proved["importlinter:contract:floors"]["layers"].strip().splitlines()
    floors = [set(re.findall(r"\w+", layer)) for layer in layers]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [set(re.findall(r"`(\w+)/?`", row)) for row in re.findall(r"^\| \d+ \|([^|]*)\|", page, re.MULTILINE)]
    for row in rows:
        told: set[str] = set()
        while floors and told < row:
            told |= floors.pop(0)
        assert told == row, f"a row of CONTRIBUTING and the layers of .importlinter differ in {sorted(told ^ row)}"
    assert not floors, f"CONTRIBUTING does not tell of {floors}"


def test_no_folder_is_crowded() -> None:
    source = ROOT / "src" / "steward"
    seen: dict[str, set[str]] = {}
    for path in modules("src"):
        inner = path.relative_to(source).parts
        for depth, part in enumerate(inner):
            if not part.startswith("__"):
                seen.setdefault("/".join(inner[:depth]), set()).add(part)
    # The versions of the tables grow by one with each change of them; they are read one by one, and never as a whole.
    seen = {folder: found for folder, found in seen.items() if not folder.endswith("migrations/versions")}
    crowded = {folder: sorted(found) for folder, found in seen.items() if len(found - FRONT_DOOR) > MOST_ENTRIES}
    assert not crowded, "part them: at most twelve modules and folders on each level"


def test_a_unit_test_is_named_for_a_module_or_folder_of_its_chapter() -> None:
    source, units = ROOT / "src" / "steward", ROOT / "tests" / "unit"
    homeless = []
    for path in modules("tests"):
        if path.parent.parent == units and path.name.startswith("test_"):
            chapter, about = path.parent.name, path.stem.removeprefix("test_")
            rooms = {chapter, *(each.stem for each in (source / chapter).rglob("*") if each.name != "__pycache__")}
            if about not in rooms:
                homeless.append(name(path))
        elif path.parent == units and path.name.startswith("test_"):
            homeless.append(name(path))
    assert not homeless, "a test of one chapter stands in its folder, under the name of what it is about"


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{name(path)}:{number}"
        for path in files()
        if path.suffix in {".py", ".md", ".sh", ".toml", ".j2", ".css", ".js"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found
