"""A row that cannot be read is shown as such, and takes neither its list nor anything else with it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from steward.errors import InvalidOption, StorageUnavailable
from steward.model.service import Query
from steward.storage.database.schema.tables import deliveries, tasks
from steward.storage.tasks import commands, search
from steward.system.clock import new_id, now

BEYOND = 253_402_387_199_000_000  # 9999-12-31T23:59:59-12:00, which an earlier version kept
ANYWHERE = {
    "a time after the calendar's end": {"due_at": BEYOND},
    "a time before its beginning": {"created_at": -(2**62)},
    "an end beyond": {"finished_at": 2**62, "expires_at": BEYOND, "started_at": -(2**62)},
    "a payload that is no JSON": {"payload": "{"},
    "a payload that is no object": {"payload": "[1]"},
    "figures that are none": {"figures": "[1]"},
    "figures that are no JSON": {"figures": "{"},
    "a payload that is too deep": {"payload": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"},
}
ON_SQLITE = {
    "a time that is text": {"due_at": "tomorrow"},
    "a number that is text": {"priority": "high", "attempt": "many"},
    "bytes for text": {"name": b"\xff\xfe"},
    "a payload of bytes": {"payload": b"\xff"},
}


@pytest.mark.parametrize("values", [*ANYWHERE.values(), *ON_SQLITE.values()], ids=[*ANYWHERE, *ON_SQLITE])
def test_it_is_said_which_part_cannot_be_read(ledger, add, values):
    if values in ON_SQLITE.values() and not ledger.is_sqlite:
        values = {"payload": "nothing"}  # PostgreSQL keeps no such value; whatever it keeps is held to the same
    good, bad = add(), add(recipient="bob@example.org")
    sets = ", ".join(f"{name} = :{name}" for name in values)
    ledger.apply(lambda c: c.execute(sa.text(f"UPDATE tasks SET {sets} WHERE id = :id"), values | {"id": bad}))
    with ledger.read() as connection:
        listed = {task.id: task for task in search.find(connection, Query()).tasks}
        shown = search.get(connection, bad)
        counted = search.counts(connection)
    assert set(listed) == {good, bad}
    assert listed[good].error is None
    for task in (listed[bad], shown):
        assert "cannot be read whole" in task.error
        assert next(iter(values)) in task.error
        task.as_json()
    assert sum(counted.values()) == 2
    ledger.apply(lambda c: commands.cancel(c, bad, now()))
    with ledger.read() as connection:
        assert search.get(connection, bad).state == "cancelled"


def test_text_that_is_no_utf_8_is_shown_with_marks(ledger, add):
    if not ledger.is_sqlite:
        add()
        with pytest.raises(StorageUnavailable):  # PostgreSQL keeps none
            ledger.apply(lambda c: c.execute(sa.text("UPDATE tasks SET error = convert_from('\\xff', 'UTF8')")))
        return
    good, bad = add(), add()
    broken = sa.text("UPDATE tasks SET error = CAST(x'6fff6b' AS TEXT), note = CAST(x'ff' AS TEXT) WHERE id = :id")
    ledger.apply(lambda c: c.execute(broken, {"id": bad}))
    with ledger.read() as connection:
        found = {task.id: task.error for task in search.find(connection, Query()).tasks}
        assert search.get(connection, bad).error == "o\ufffdk"
    assert found == {good: None, bad: "o\ufffdk"}
    with ledger.read() as connection, pytest.raises(sa.exc.OperationalError, match="UTF-8"):
        connection.execute(sa.select(tasks.c.error)).all()  # others of this connection are as strict as before


def test_a_delivery_that_cannot_be_read_is_said_too(ledger, add):
    bad = add()
    row = {
        "task_id": bad,
        "n": 0,
        "recipient": "a@example.org",
        "outcome": "perhaps",
        "message_id": "<1@x>",
        "at": 2**62,
    }
    rest = {"subject": "", "possible_duplicate": False, "attempt": 1}
    ledger.apply(lambda c: c.execute(deliveries.insert().values(**row, **rest)))
    with ledger.read() as connection:
        [task] = search.find(connection, Query()).tasks
    assert "outcome of letter 0, time of letter 0" in task.error
    assert task.deliveries[0].to == "a@example.org"


@pytest.mark.parametrize("wrong", ["\udcff", "a\ud800b"])
def test_text_that_no_row_can_have_is_refused_in_words(ledger, wrong):
    for query in (Query(name=wrong), Query(recipient=wrong), Query(text=wrong), Query(requested_by=wrong)):
        with pytest.raises(InvalidOption, match="no UTF-8"), ledger.read() as connection:
            search.find(connection, query)
    with pytest.raises(InvalidOption, match="no UTF-8"), ledger.write() as connection:
        commands.cancel(connection, wrong, now())
    with pytest.raises(InvalidOption, match="no UTF-8"), ledger.read() as connection:
        search.get(connection, f"{new_id()}{wrong}")
