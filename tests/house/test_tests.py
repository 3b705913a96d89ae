"""The tests themselves: none sleeps, none is skipped, none pretends."""

from __future__ import annotations

import ast

from tests.house.repository import imports, modules, name, tree

NEVER = {"skip", "skipif", "importorskip", "xfail"}


def test_none_sleeps_instead_of_waiting_for_something() -> None:
    sleeping = [
        f"{name(path)}:{node.lineno}"
        for path in modules("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}
    ]
    assert not sleeping


def test_none_is_skipped() -> None:
    skipped = [
        f"{name(path)}:{node.lineno}"
        for path in modules("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in NEVER and ast.unparse(node).startswith("pytest.")
    ]
    assert not skipped


def test_none_pretends() -> None:
    assert not [name(path) for path in modules("tests") for module, _ in imports(path) if "mock" in module.split(".")]
