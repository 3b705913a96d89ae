"""An option that makes no sense is refused where it is written; what can work is made to."""

from __future__ import annotations

import errno
import math
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

from steward import Column, Note, RetryPolicy, Schedule, Secret, handler
from steward.errors import PluginError, StorageFull, TaskError
from steward.installation.settings import load as load_settings
from steward.plugins.registry import load
from steward.storage.database.storage_errors import storage_error
from steward.worker.dry_run import trial


class Order(BaseModel):
    email: str = "ada@example.org"


async def later(order: Order) -> None:
    """Never awaited."""


NONSENSE: list[tuple[str, Any]] = [
    *(("lane", each) for each in ("fast", "", 1, ["mail"])),
    *(("priority", each) for each in (101, -101, 1.5, True, "high")),
    *(("time_limit", each) for each in (0, -1, math.nan, math.inf, "60", True)),
    *(("expires_after", each) for each in (timedelta(0), timedelta(-1), timedelta.max, 60)),
    *(("on_uncertain", each) for each in ("drop", None, 1)),
    *(("important", each) for each in ("no", 0)),
    *(("retry", each) for each in ("never", 3, {})),
    *(("check", each) for each in (later, "look", 1)),
    *(("schedules", each) for each in ("0 6 * * *", 1, ("nonsense",))),
    *(("at_most", each) for each in (1, ((1,),), (("a", 60),), ((1, math.nan),), ((0, 60),))),
]


@pytest.mark.parametrize(("name", "value"), NONSENSE)
def test_nonsense_is_refused_with_file_and_line(name: str, value: Any) -> None:
    with pytest.raises(PluginError, match=r"test_options\.py:\d+"):

        @handler(example=Order(), **{name: value})
        def task(order: Order) -> Note:
            return Note("Done.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("delays", each) for each in ((-1.0,), (math.nan,), ("30",), 30, (1e12,))),
        *(("then", each) for each in (-1, math.inf, None)),
        *(("attempts", each) for each in (0, -1, 1.5, True, "3")),
        *(("within", each) for each in (timedelta(0), timedelta(-1), 86400)),
        *(("jitter", each) for each in (-0.1, 1.1, math.nan)),
    ],
)
def test_a_retry_policy_of_nonsense_is_refused_with_file_and_line(name: str, value: Any) -> None:
    with pytest.raises(PluginError, match=rf"test_options\.py:\d+.*{name} is"):
        RetryPolicy(**{name: value})


class Letter(BaseModel):
    email: str = Field("ada@example.org", min_length=3)
    amount: float = 1.0
    code: Secret = Secret("4711")


@pytest.mark.parametrize(
    ("example", "field"),
    [
        (Letter.model_construct(email="a"), "email"),
        (Letter.model_construct(email=7), "email"),
        (Letter.model_construct(amount=math.nan), "amount"),
        (Letter(amount=math.inf), "amount"),
    ],
)
def test_an_example_that_could_not_be_accepted_is_refused_with_file_and_line(example: Letter, field: str) -> None:
    with pytest.raises(PluginError, match=rf"test_options\.py:\d+.*{field}"):

        @handler(example=example)
        def task(letter: Letter) -> Note:
            return Note("Done.")


@pytest.mark.parametrize("payload", [None, Letter(), {"code": "4711"}])
def test_a_schedule_with_a_secret_is_refused_with_file_and_line(payload: Any) -> None:
    with pytest.raises(PluginError, match=r"test_options\.py:\d+.*holds a secret"):

        @handler(example=Letter(), schedules=(Schedule("0 6 * * *", payload=payload),))
        def task(letter: Letter) -> Note:
            return Note("Done.")


@pytest.mark.parametrize(
    ("kind", "near"), [("monney", "money"), ("Date", "date"), ("int", ""), (None, ""), (["text"], "text")]
)
def test_a_column_of_no_kind_is_refused_with_the_nearest(kind: Any, near: str) -> None:
    with pytest.raises(TaskError, match=f"column 'sum'.*{near}.*The kinds are text, integer, decimal, money"):
        Column("sum", "Sum", kind)


HEAD = "from pydantic import BaseModel\nfrom steward import Note, handler, hookimpl\n"
HEAD += "class Order(BaseModel):\n    n: int = 1\n"
TASK = "@handler(example=Order())\n{}def task(order: Order):\n    {}\n"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("", "offers nothing"),
        ("def register_handlers():\n    return [task]\n", "offers nothing"),
        ("@hookimpl\ndef register_handlers():\n    pass\n", "returned no list"),
        ("@hookimpl\ndef register_handlers():\n    return task\n", "returned no list"),
        ("@hookimpl\ndef register_handlers():\n    return [task, task]\n", "two handlers of one name"),
    ],
)
def test_a_file_that_offers_nothing_is_told(tmp_path, ending, words):
    (tmp_path / "empty.py").write_text(HEAD + TASK.format("", 'return Note("Done.")') + ending)
    [plugin] = load([tmp_path], entry_points=False).plugins
    assert words in plugin.error


def test_an_async_handler_is_awaited(tmp_path):
    body = 'import asyncio\n    await asyncio.sleep(0)\n    return Note(f"Done {order.n}.")'
    ending = "@hookimpl\ndef register_handlers():\n    return [task]\n"
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "later.py").write_text(HEAD + TASK.format("async ", body) + ending)
    with trial(load_settings(data_dir=tmp_path / "data", plugins_dir=tmp_path / "plugins", free_space_mb=0)) as made:
        task = made.service.get_status(made.service.enqueue("task", n=7))
    assert (task.state, task.note) == ("succeeded", "Done 7.")


def _sqlite(code: int, words: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


class _Postgres(Exception):
    def __init__(self, state: str, words: str) -> None:
        super().__init__(words)
        self.sqlstate = state


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), True),
        (_sqlite(sqlite3.SQLITE_ERROR, "no such column: full_name"), False),
        (_Postgres("53100", "could not extend file"), True),
        (_Postgres("42703", 'column "full_name" does not exist'), False),
        (_Postgres("42P01", 'relation "quota" does not exist'), False),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "the full disk is broken"), False),
    ],
)
def test_no_room_is_told_by_codes_and_never_by_words(error, full):
    assert isinstance(storage_error(error), StorageFull) == full
