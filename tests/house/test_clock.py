"""The clock on the wall is read in one place, so that a test can set it."""

from __future__ import annotations

import ast

from tests.house.repository import modules, name, tree

READING = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
READING |= {"time.localtime", "localtime"}
# A plugin that must remember over days when it sent something: the wall's clock is what two processes share.
MAY = {"src/steward/system/clock.py", "plugins/quickbooks_expenses/export.py"}


def test_the_clock_is_read_in_one_place() -> None:
    reading = [
        f"{name(path)}:{node.lineno} {ast.unparse(node)}"
        for path in modules("src", "plugins")
        if name(path) not in MAY
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in READING
    ]
    assert not reading, "ask steward.system.clock, or in a plugin for calendar: Calendar"
