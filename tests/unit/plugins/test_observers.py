"""Observers are told after the commit, in their own time; nothing is read or begun for them if there are none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from steward.model.results import TaskResult
from steward.model.states import State
from steward.plugins import observers
from steward.plugins.observers import Observer, Observers
from steward.storage.database import Ledger
from steward.storage.database.transitions import NOTED, Transition
from steward.storage.tasks import acceptance, attempts, claim, commands, recovery
from steward.storage.tasks.attempts import AttemptEnd
from steward.system.clock import new_id, now

SOON = 10.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    made.open()
    yield made
    made.close()


def entry(state: State = State.QUEUED, **more: object) -> acceptance.NewTask:
    moment = now()
    given: dict[str, object] = {
        "id": new_id(), "name": "letter", "state": state, "lane": "mail", "priority": 0, "payload": "{}",
        "sealed": None, "recipient": None, "requested_by": "", "created_at": moment, "due_at": moment,
        "expires_at": None,
    }  # fmt: skip
    return acceptance.NewTask(**given | more)  # type: ignore[arg-type]


class Heard:
    """Remembers what it was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, str]] = []
        self._some = threading.Condition()

    def __call__(self, task: TaskResult, was: str | None) -> None:
        with self._some:
            self.told.append((task.id, was, task.state))
            self._some.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, str | None, str]]:
        with self._some:
            assert self._some.wait_for(lambda: len(self.told) >= count, SOON), self.told
            return list(self.told)


def watching(ledger: Ledger, *functions: object) -> Observers:
    made = Observers(ledger, [Observer(f"p{n}", each, ("task", "was")) for n, each in enumerate(functions)])  # type: ignore[arg-type]
    ledger.watchers.append(made)
    return made


def test_every_way_in_which_a_task_changes_is_told(ledger: Ledger) -> None:
    told: list[Transition] = []
    ledger.watchers.append(told.extend)
    moment = now()
    tasks = {name: entry() for name in ("done", "late", "lost", "poison", "cut", "blocked", "forgotten")}
    tasks |= {"over": entry(expires_at=moment - 1), "woken": entry(State.SCHEDULED, due_at=moment - 1)}
    tasks |= {"cancelled": entry(State.SCHEDULED, due_at=moment + 10**12)}
    ids = {name: each.id for name, each in tasks.items()}
    ledger.apply(lambda c: acceptance.accept(c, list(tasks.values())))
    refused = entry(State.FAILED)
    ledger.apply(lambda c: acceptance.refuse(c, refused, "no", moment))

    def apply(change: object) -> object:
        return ledger.apply(change)  # type: ignore[arg-type]

    begun = ["done", "late", "lost", "poison", "blocked", "forgotten"]
    apply(lambda c: attempts.begin(c, [ids[name] for name in begun[:2]], "w1", "claim", moment))
    apply(lambda c: attempts.begin(c, [ids[name] for name in begun[2:4]], "w2", "claim", moment))
    apply(lambda c: attempts.begin(c, [ids[name] for name in begun[4:]], "w3", "claim", moment))

    def ended(name: str, state: State, claim: str = "claim") -> AttemptEnd:
        return AttemptEnd(ids[name], 1, claim, state, moment)

    apply(lambda c: attempts.end_each(c, [ended("done", State.SUCCEEDED), ended("late", State.SUCCEEDED, "another")]))
    apply(lambda c: attempts.end(c, ended("blocked", State.BLOCKED)))
    apply(lambda c: c.execute(sa.text("UPDATE tasks SET lost = 99 WHERE id = :id"), {"id": ids["poison"]}))
    apply(lambda c: recovery.release(c, ["w2"], moment))
    apply(lambda c: recovery.reopen(c, {(ids["forgotten"], "claim")}, moment))
    apply(lambda c: claim.unblock(c, ["letter"]))
    apply(lambda c: claim.expire(c, moment))
    apply(lambda c: claim.wake(c, moment))
    apply(lambda c: commands.cancel(c, ids["cancelled"], moment))
    apply(lambda c: commands.retry(c, ids["poison"], moment))
    apply(lambda c: recovery.interrupt(c, moment))

    names = {task_id: name for name, task_id in ids.items()} | {refused.id: "refused"}
    chains: dict[str, list[str]] = {}
    for each in told:
        chain = chains.setdefault(names[each.task_id], [])
        assert (chain[-1] if chain else None) == each.was, (each, chain)
        chain.append(each.state)
    assert chains == {
        "done": ["queued", "running", "succeeded"],
        "late": ["queued", "running", "interrupted"],
        "lost": ["queued", "running", "queued", "interrupted"],
        "poison": ["queued", "running", "failed", "queued", "interrupted"],
        "cut": ["queued", "interrupted"],
        "blocked": ["queued", "running", "blocked", "queued", "interrupted"],
        "forgotten": ["queued", "running", "queued", "interrupted"],
        "over": ["queued", "expired"],
        "woken": ["scheduled", "queued", "interrupted"],
        "cancelled": ["scheduled", "cancelled"],
        "refused": ["failed"],
    }
    with ledger.read() as connection:
        stand = dict(connection.execute(sa.text("SELECT id, state FROM tasks")).all())
    assert {names[task_id]: state for task_id, state in stand.items()} == {n: c[-1] for n, c in chains.items()}


def test_nothing_is_told_of_what_was_undone(ledger: Ledger) -> None:
    told: list[Transition] = []
    ledger.watchers.append(told.extend)
    with pytest.raises(RuntimeError), ledger.write() as connection:
        acceptance.accept(connection, [entry()])
        raise RuntimeError
    kept = ledger.keep()
    with pytest.raises(RuntimeError):
        kept.apply(_undone)
    kept.close()
    assert told == []


def _undone(connection: sa.Connection) -> None:
    acceptance.accept(connection, [entry()])
    raise RuntimeError


def test_without_observers_nothing_is_noted(ledger: Ledger) -> None:
    def look(connection: sa.Connection) -> None:
        acceptance.accept(connection, [entry()])
        assert NOTED not in connection.info

    ledger.apply(look)
    kept = ledger.keep()
    kept.apply(look)
    kept.close()


def test_an_observer_hears_the_state_that_was_reached_whatever_came_since(ledger: Ledger) -> None:
    heard, gate = Heard(), threading.Event()

    def slow(task: TaskResult, was: str | None) -> None:
        gate.wait(SOON)
        heard(task, was)

    watching(ledger, slow)
    one = entry()
    ledger.apply(lambda c: acceptance.accept(c, [one]))
    ledger.apply(lambda c: commands.cancel(c, one.id, now()))
    gate.set()
    assert heard.wait_for(2) == [(one.id, None, "queued"), (one.id, "queued", "cancelled")]


def test_one_that_hangs_keeps_no_other_waiting_and_what_waits_is_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observers, "MOST", 5)
    heard, hangs = Heard(), threading.Event()
    made = watching(ledger, lambda task, was: hangs.wait(60))
    watching(ledger, heard)
    with caplog.at_level(logging.ERROR):
        for count in range(1, 21):
            ledger.apply(lambda c: acceptance.accept(c, [entry()]))
            heard.wait_for(count)
    assert [record.message for record in caplog.records] == [
        "the plugin p0, which watches tasks, is too slow, and is not told of everything: 5 changes wait for it"
    ]
    made.close()  # in a second, though one hangs
    hangs.set()


def test_a_secret_in_what_an_observer_raises_is_masked_and_told_once(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def fails(task: TaskResult, was: str | None) -> None:
        heard(task, was)
        raise ValueError("cannot reach https://u:hidden-word@example.org/")

    made = watching(ledger, fails)
    with caplog.at_level(logging.ERROR):
        ledger.apply(lambda c: acceptance.accept(c, [entry() for _ in range(9)]))
        heard.wait_for(9)
        made.close()
    [said] = [record.message for record in caplog.records]
    assert "ValueError: cannot reach" in said
    assert "hidden-word" not in said


def test_a_task_that_joined_a_transaction_is_told_when_that_is_committed_and_never_if_it_is_undone(
    ledger: Ledger,
) -> None:
    heard = Heard()
    made = watching(ledger, heard)
    kept, undone = entry(), entry()
    made([Transition(each.id, None, "", joined=True) for each in (undone, kept)])
    application = sa.create_engine(ledger.url)
    with application.begin() as connection:
        acceptance.accept(connection, [kept])
        assert heard.told == []
    assert heard.wait_for(1) == [(kept.id, None, "queued")]
    application.dispose()
