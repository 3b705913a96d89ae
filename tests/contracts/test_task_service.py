"""What every implementation of `TaskService` promises, whatever performs the tasks."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.services import ENGINES, Subject, running
from tests.servers.stores import contents

from steward import Options, Query, TaskResult, TaskService
from steward.errors import (
    InvalidOption,
    InvalidPayload,
    KeyConflict,
    MissingScope,
    NotAHandler,
    StateConflict,
    UnknownHandler,
    UnknownTask,
    Unsupported,
)
from steward.model.caller import Caller
from steward.model.results import Outcome
from steward.model.states import State
from steward.system.clock import new_id


@pytest.fixture(scope="module", params=list(ENGINES))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """One implementation, shared by the whole file: each test uses recipients and keys of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, request.getfixturevalue) as made:
        yield made


def somebody() -> str:
    return f"m{new_id()}@example.org"


def far() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


# The interface, as the decision record wrote it


def test_the_interface_is_the_decision_records(subject: Subject) -> None:
    assert isinstance(subject.service, TaskService)
    for name, wanted in {
        "enqueue": "(self, func, *args, **kwargs) -> str",
        "schedule": "(self, func, run_at: datetime, *args, **kwargs) -> str",
        "get_status": "(self, task_id) -> TaskResult",
    }.items():
        for kind in (TaskService, type(subject.service)):
            signature = inspect.signature(getattr(kind, name))
            said = (
                "(" + ", ".join(map(_parameter, signature.parameters.values())) + f") -> {signature.return_annotation}"
            )
            assert said == wanted


def _parameter(parameter: inspect.Parameter) -> str:
    star = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    return f"{star}{parameter.name}" + (": datetime" if parameter.name == "run_at" else "")


def test_a_task_is_accepted_performed_and_recorded(subject: Subject) -> None:
    to = somebody()
    task_id = subject.do(lambda service: service.enqueue("letter", to=to, number=7))
    assert re.fullmatch(r"[0-9a-f-]{36}", task_id)
    task = subject.settled(task_id)
    assert isinstance(task, TaskResult)
    assert (task.state, task.name, task.attempt, task.error) == ("succeeded", "letter", 1, None)
    assert [(d.to, d.outcome, d.possible_duplicate) for d in task.deliveries] == [(to, Outcome.CAPTURED, False)]
    assert task.created_at <= task.started_at <= task.finished_at
    assert [(a.number, a.outcome) for a in task.attempts] == [(1, "succeeded")]
    assert subject.captured().count(to) == 1


def test_what_a_note_says_in_figures_is_kept(subject: Subject) -> None:
    task = subject.settled(subject.do(lambda service: service.enqueue("nothing", number=5)))
    assert (task.note, task.figures) == ("Done.", {"number": 5, "share": "0.10", "whole": True})
    assert task.as_json()["figures"] == task.figures
    [listed] = [each for each in subject.service.find(Query(name="nothing")).tasks if each.id == task.id]
    assert listed.figures == task.figures


@pytest.mark.parametrize("form", ["name", "handler", "function"])
@pytest.mark.parametrize("given", ["model", "mapping", "keywords"])
def test_handler_and_payload_may_be_given_in_every_form(subject: Subject, form: str, given: str) -> None:
    handler = subject.steward.registry.get("nothing")
    func = {"name": "nothing", "handler": handler, "function": handler.function}[form]
    args: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "model": ((handler.payload(number=3),), {}),
        "mapping": (({"number": 3},), {}),
        "keywords": ((), {"number": 3}),
    }
    positional, named = args[given]
    task_id = subject.do(lambda service: service.enqueue(func, *positional, **named))
    task = subject.settled(task_id)
    assert (task.state, task.payload["number"]) == ("succeeded", 3)


# What is refused, in words, at the call


def _registered_nowhere(run: object) -> None:
    raise AssertionError("never called")


def _closure() -> Callable[[object], None]:
    def inner(run: object) -> None:
        raise AssertionError("never called")

    return inner


@pytest.mark.parametrize(
    ("func", "words"),
    [
        (lambda run: None, "A lambda cannot be found again by another process"),
        (_closure(), "A function defined inside another cannot be found again"),
        (_registered_nowhere, "No plugin registered it"),
        (print, "No plugin registered it"),
        (42, "not a registered handler"),
    ],
)
def test_what_is_no_handler_is_refused_in_words(subject: Subject, func: Any, words: str) -> None:
    for call in (
        lambda service: service.enqueue(func, to=somebody()),
        lambda service: service.schedule(func, far(), to=somebody()),
        lambda service: service.enqueue_many(func, [{}]),
    ):
        with pytest.raises(NotAHandler, match=words):
            subject.do(call)


def test_an_unknown_name_is_refused_and_the_nearest_offered(subject: Subject) -> None:
    with pytest.raises(UnknownHandler, match="Did you mean 'letter'"):
        subject.do(lambda service: service.enqueue("leter", to=somebody()))


@pytest.mark.parametrize(
    ("payload", "field", "words"),
    [
        ({"to": "nobody"}, "to", "not a valid email"),
        ({}, "to", "required"),
        ({"to": "a@example.org", "numbr": 1}, "numbr", "no such field"),
        ({"to": "a@example.org", "number": "many"}, "number", "integer"),
        (["a@example.org"], "", "not an object"),
        ({"to": "a@example.org", "words": "x" * 300_000}, "", "too large|at most"),
    ],
)
def test_an_invalid_payload_is_refused_field_by_field(subject: Subject, payload: Any, field: str, words: str) -> None:
    before = sum(subject.house.counts().values())
    with pytest.raises(InvalidPayload) as refused:
        subject.do(lambda service: service.enqueue("letter", payload))
    said = [p for p in refused.value.problems if p.field.split(".")[0] == field]
    assert any(re.search(words, p.message) for p in said), refused.value.problems
    assert sum(subject.house.counts().values()) == before


def test_two_payloads_at_once_are_refused(subject: Subject) -> None:
    with pytest.raises(InvalidPayload, match="takes one payload"):
        subject.do(lambda service: service.enqueue("letter", "a@example.org", "b@example.org"))
    with pytest.raises(InvalidPayload, match="twice"):
        subject.do(lambda service: service.enqueue("letter", {"to": somebody()}, number=3))


@pytest.mark.parametrize(
    "options",
    [
        {"expires_at": datetime.now(UTC) - timedelta(seconds=1)},
        {"expires_at": datetime.now()},  # without a zone is what is refused
        {"key": ""},
        {"key": "k" * 256},
        {"key": "line\nbreak"},
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(subject: Subject, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        subject.do(lambda service: service.enqueue("letter", to=somebody(), **options))


# Options


def test_a_key_makes_one_task_and_another_payload_is_a_conflict(subject: Subject) -> None:
    key, to = new_id(), somebody()
    first = subject.do(lambda service: service.submit("letter", {"to": to}, Options(key=key)))
    again = subject.do(lambda service: service.submit("letter", {"to": to}, Options(key=key)))
    assert (first.created, again.created, again.id) == (True, False, first.id)
    for other in ({"to": somebody()}, {"to": to, "number": 2}):
        with pytest.raises(KeyConflict, match=first.id):
            subject.do(lambda service, other=other: service.enqueue("letter", other, key=key))
    with pytest.raises(KeyConflict):
        subject.do(lambda service: service.enqueue("bulk_letter", {"to": to}, key=key))
    subject.settled(first.id)
    assert subject.captured().count(to) == 1


def test_fifty_at_once_under_one_key_make_one_task(subject: Subject) -> None:
    key, to = new_id(), somebody()
    together = threading.Barrier(50)

    def hand_over(_: int) -> str:
        together.wait(30)
        return str(subject.do(lambda service: service.enqueue("letter", to=to, key=key)))

    with ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(hand_over, range(50)))
    assert len(set(ids)) == 1
    assert subject.settled(ids[0]).state == "succeeded"
    assert subject.captured().count(to) == 1


def test_bulk_is_accepted_whole_or_not_at_all(subject: Subject) -> None:
    before = sum(subject.house.counts().values())
    mixed = [{"to": somebody()}, {"to": "nobody"}, {"to": somebody(), "numbr": 1}]
    with pytest.raises(InvalidPayload, match="none was accepted") as refused:
        subject.do(lambda service: service.enqueue_many("letter", mixed))
    assert {p.field for p in refused.value.problems} >= {"2.numbr"}
    assert any(p.field.startswith("1.to") for p in refused.value.problems)
    assert sum(subject.house.counts().values()) == before
    wanted = [somebody() for _ in range(120)]
    ids = subject.do(lambda service: service.enqueue_many("letter", [{"to": to} for to in wanted]))
    assert [subject.settled(each).deliveries[0].to for each in ids] == wanted
    assert subject.do(lambda service: service.enqueue_many("letter", [])) == []
    with pytest.raises(InvalidOption, match="key"):
        subject.do(lambda service: service.enqueue_many("letter", [{"to": wanted[0]}], options=Options(key="k" * 256)))


def test_a_bulk_under_a_key_is_accepted_once(subject: Subject) -> None:
    key, wanted = new_id(), [{"to": somebody()} for _ in range(3)]

    def send(payloads: list[dict[str, str]], **options: Any) -> list[str]:
        given = Options(key=key, **options)
        ids: list[str] = subject.do(lambda service: service.enqueue_many("letter", payloads, options=given))
        return ids

    ids = send(wanted)
    assert len(set(ids)) == 3
    assert send(wanted) == ids
    other = Caller("another", "another", frozenset(("send",)))
    assert not set(send(wanted, caller=other)) & set(ids)
    for payloads, options in (
        (wanted[:2], {}),
        (wanted[::-1], {}),
        (wanted, {"expires_at": datetime(2090, 1, 1, tzinfo=UTC)}),
    ):
        with pytest.raises(KeyConflict):
            send(payloads, **options)
    with pytest.raises(KeyConflict):
        subject.do(lambda service: service.enqueue("letter", wanted[0], key=key))
    assert [subject.settled(each).deliveries[0].to for each in ids] == [each["to"] for each in wanted]


def test_who_may_not_ask_is_refused_before_anything_is_stored(subject: Subject) -> None:
    before = sum(subject.house.counts().values())
    reader = Options(caller=Caller("reader", "reader", frozenset(("read",))))
    for ask in (
        lambda service: service.submit("letter", {"to": "not even an address"}, reader),
        lambda service: service.enqueue_many("letter", [{"to": somebody()}], options=reader),
    ):
        with pytest.raises(MissingScope, match="needs the scope send"):
            subject.do(ask)
    assert sum(subject.house.counts().values()) == before


def test_what_has_expired_is_never_sent(subject: Subject) -> None:
    to = somebody()
    subject.pause()
    try:
        soon = datetime.now(UTC) + timedelta(seconds=0.3)
        task_id = subject.do(lambda service: service.enqueue("letter", to=to, expires_at=soon))
        subject.house.wait_until(lambda: datetime.now(UTC) > soon, "its time has passed", 5)
    finally:
        subject.resume()
    task = subject.settled(task_id)
    assert (task.state, task.deliveries) == ("expired", ())
    assert "sent after that" in (task.error or "")
    assert to not in subject.captured()
    with pytest.raises(StateConflict):
        subject.do(lambda service: service.retry(task_id))


def test_what_is_urgent_overtakes_what_waits(subject: Subject) -> None:
    urgent = somebody()
    celery = subject.steward.settings.engine == "celery"
    many = [somebody() for _ in range(1000 if celery else 600)]
    for name in ("bulk_letter", "urgent_letter"):  # the first of a kind takes long, and lets the others pass
        subject.settled(subject.do(lambda service, name=name: service.enqueue(name, to=somebody())))
    subject.pause()
    try:
        slow = subject.do(lambda service: service.enqueue_many("bulk_letter", [{"to": to} for to in many]))
        first = subject.do(lambda service: service.enqueue("urgent_letter", to=urgent))
    finally:
        subject.resume()
    for each in (*slow, first):
        assert subject.settled(each).state == "succeeded"
    order = [to for to in subject.captured() if to == urgent or to in many]
    assert len(order) == len(many) + 1
    if subject.service.abilities.priorities:
        for priority in (101, -101):
            with pytest.raises(InvalidOption, match="-100 to 100"):
                subject.do(lambda service, p=priority: service.enqueue("letter", to=somebody(), priority=p))
        # A worker takes what is urgent first, behind one batch and what is on the wire. Celery's threads take from
        # every queue at once, and have up to 400 of a lane in hand, which are filled up while they send.
        assert order.index(urgent) < (600 if celery else 130)
    else:
        assert order.index(urgent) == len(many)
        with pytest.raises(Unsupported, match="in the order in which they come"):
            subject.do(lambda service: service.enqueue("letter", to=somebody(), priority=5))


# Abilities: declared, and refused at the call where they lack


def test_a_scheduled_task_waits_for_its_time(subject: Subject) -> None:
    to = somebody()
    moment = datetime.now(UTC) + timedelta(seconds=0.7)
    if not subject.service.abilities.schedules:
        for run_at in (moment, far()):
            with pytest.raises(Unsupported, match="cannot schedule") as refused:
                subject.do(lambda service, run_at=run_at: service.schedule("letter", run_at, to=to))
            assert refused.value.why
            assert refused.value.remedy
        return
    task_id = subject.do(lambda service: service.schedule("letter", moment, to=to))
    assert subject.service.get_status(task_id).state == "scheduled"
    assert to not in subject.captured()
    subject.house.wait_until(lambda: datetime.now(UTC) >= moment, "its time has come", 5)
    task = subject.settled(task_id)
    assert task.state == "succeeded"
    assert task.started_at is not None
    assert task.started_at >= moment - timedelta(milliseconds=1)


def test_a_time_without_a_zone_is_refused(subject: Subject) -> None:
    with pytest.raises((InvalidOption, Unsupported)) as refused:
        subject.do(lambda service: service.schedule("letter", datetime.now(), to=somebody()))
    assert isinstance(refused.value, InvalidOption) == subject.service.abilities.schedules


def test_an_attempt_that_fails_is_made_again_where_the_engine_can(subject: Subject, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    task_id = subject.do(lambda service: service.enqueue("fail_twice", file=str(runs)))
    if subject.service.abilities.retries_later:
        subject.house.wait_until(lambda: subject.settled(task_id, *State).finished, "it has ended", 20)
        task = subject.settled(task_id)
        assert (task.state, task.attempt) == ("succeeded", 3)
        assert [a.outcome for a in task.attempts] == ["retrying", "retrying", "succeeded"]
        assert "not yet, after 1 runs" in task.attempts[0].error
    else:
        task = subject.settled(task_id)
        assert (task.state, task.attempt) == ("failed", 1)
        assert "not yet, after 1 runs" in (task.error or "")
        assert "does not try again by itself" in (task.error or "")


def test_it_is_said_where_a_task_may_be_lost(subject: Subject) -> None:
    abilities = subject.service.abilities
    lacking = not (abilities.survives_restart and abilities.schedules and abilities.retries_later)
    assert bool(abilities.why) >= lacking


# A change of mind


def test_what_waits_can_be_cancelled_and_stays_so(subject: Subject) -> None:
    to = somebody()
    subject.pause()
    try:
        task_id = subject.do(lambda service: service.enqueue("letter", to=to))
        assert subject.do(lambda service: service.cancel(task_id, by="ada")).state == "cancelled"
    finally:
        subject.resume()
    after = subject.do(lambda service: service.enqueue("letter", to=somebody()))
    assert subject.settled(after).state == "succeeded"
    assert subject.service.get_status(task_id).state == "cancelled"
    assert to not in subject.captured()
    for change in (lambda s: s.cancel(task_id), lambda s: s.retry(task_id)):
        with pytest.raises(StateConflict, match="cancelled"):
            subject.do(change)


def test_what_runs_can_be_cancelled_and_stays_so(subject: Subject, tmp_path: Path) -> None:
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    payload = {"file": str(runs), "until": str(gate)}
    with ThreadPoolExecutor(1) as pool:
        handed = pool.submit(subject.do, lambda service: service.enqueue("wait", payload))
        subject.house.wait_until(runs.exists, "it runs")
        found = subject.service.find(Query(name="wait", states=["running"])).tasks
        task_id = found[0].id
        assert subject.service.cancel(task_id).state == "cancelled"
        handed.result(10)  # it was stopped, not waited for: the gate is still closed
    assert not gate.exists()
    after = subject.do(lambda service: service.enqueue("nothing"))
    assert subject.settled(after).state == "succeeded"
    task = subject.service.get_status(task_id)
    assert (task.state, [a.outcome for a in task.attempts]) == ("cancelled", ["cancelled"])


def test_a_failed_task_can_be_tried_again_by_hand(subject: Subject, tmp_path: Path) -> None:
    runs, mended = tmp_path / "runs", tmp_path / "mended"
    payload = {"file": str(runs), "until": str(mended)}
    task_id = subject.do(lambda service: service.enqueue("fail", payload))
    task = subject.settled(task_id)
    assert (task.state, task.attempt) == ("failed", 1)
    assert "it cannot be done" in (task.error or "")
    assert "Traceback" not in (task.error or "")
    mended.touch()
    subject.do(lambda service: service.retry(task_id, by="ada"))
    subject.house.wait_until(lambda: subject.service.get_status(task_id).attempt == 2, "it is tried again")
    task = subject.settled(task_id)
    assert (task.state, task.error) == ("succeeded", None)
    for change in (lambda s: s.retry(task_id), lambda s: s.cancel(task_id)):
        with pytest.raises(StateConflict, match="succeeded"):
            subject.do(change)


def test_what_does_not_exist_is_said(subject: Subject) -> None:
    unknown = new_id()
    for call in (
        lambda service: service.get_status(unknown),
        lambda service: service.cancel(unknown),
        lambda service: service.retry(unknown),
    ):
        with pytest.raises(UnknownTask, match=unknown):
            subject.do(call)


# Finding


def test_tasks_are_found_by_every_filter_and_page_by_page(subject: Subject) -> None:
    asker, to = f"asker {new_id()}", somebody()
    began = datetime.now(UTC)
    options = Options(requested_by=asker)
    ids = subject.do(lambda s: s.enqueue_many("letter", [{"to": to, "number": n} for n in range(5)], options=options))
    other = subject.do(lambda service: service.submit("nothing", {}, options)).id
    for each in (*ids, other):
        subject.settled(each)
    find = subject.service.find

    def found(**query: Any) -> set[str]:
        return {task.id for task in find(Query(**query)).tasks}

    assert found(requested_by=asker) == {*ids, other}
    assert found(requested_by=asker, name="letter") == set(ids)
    assert found(recipient=to) == set(ids)
    assert found(requested_by=asker, states=["succeeded"], name="nothing") == {other}
    assert found(requested_by=asker, states=["failed", "queued"]) == set()
    assert found(requested_by=asker, since=began) == {*ids, other}
    assert found(requested_by=asker, until=began) == set()
    assert found(requested_by=asker, text=to[:30]) == set(ids)
    pages, cursor = [], None
    while True:
        page = find(Query(requested_by=asker, limit=4, cursor=cursor))
        pages.append([task.id for task in page.tasks])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [len(page) for page in pages] == [4, 2]
    assert sum(pages, []) == sorted([*ids, other], reverse=True)  # noqa: RUF017  # two pages
    with pytest.raises(InvalidOption, match="no state 'done'"):
        find(Query(states=["done"]))
    with pytest.raises(InvalidOption, match="cursor"):
        find(Query(cursor="next"))


# Secrets, missing plugins, transactions


def test_a_secret_is_masked_wherever_it_is_shown_and_gone_when_the_task_has_ended(subject: Subject) -> None:
    secret, to = f"https://example.org/reset/{new_id()}", somebody()
    subject.pause()
    try:
        task_id = subject.do(lambda service: service.enqueue("secret_letter", to=to, link=secret))
        task = subject.service.get_status(task_id)
        assert secret not in repr(task)
        assert secret not in str(task.as_json())
        assert not _lies_in(subject.steward.settings.data_dir, secret)
    finally:
        subject.resume()
    assert subject.settled(task_id).state == "succeeded"
    letter = next(path for path in subject.steward.outbox_folder.glob("*.eml") if to in path.name)
    assert secret in letter.read_text().replace("=\n", "")
    letter.unlink()
    assert not _lies_in(subject.steward.settings.data_dir, secret)
    with subject.steward.ledger.read() as connection:
        sealed = connection.exec_driver_sql(f"SELECT sealed FROM tasks WHERE id = '{task_id}'").scalar()
    assert sealed is None


def _lies_in(folder: Path, secret: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in contents(path)]


def test_a_task_whose_plugin_is_missing_waits_and_goes_on_by_itself(subject: Subject) -> None:
    to = somebody()
    subject.pause()
    try:
        task_id = subject.do(lambda service: service.enqueue("letter", to=to))
        _rename(subject, task_id, "a_task_nobody_offers")
    finally:
        subject.resume()
    task = subject.settled(task_id, "blocked")
    assert "No plugin offers 'a_task_nobody_offers'" in (task.error or "")
    _rename(subject, task_id, "letter")
    subject.restart()
    task = subject.settled(task_id)
    wanted = "succeeded" if subject.service.abilities.survives_restart else "interrupted"
    assert task.state == wanted
    assert subject.captured().count(to) == (wanted == "succeeded")


def _rename(subject: Subject, task_id: str, name: str) -> None:
    """Let the task be of another kind, as if the plugin had lost or found its handler."""
    with subject.steward.ledger.write() as connection:
        connection.exec_driver_sql(f"UPDATE tasks SET name = '{name}' WHERE id = '{task_id}'")


def test_a_task_handed_over_inside_a_transaction_shares_its_fate(subject: Subject) -> None:
    kept, undone = somebody(), somebody()
    ledger = subject.steward.ledger
    if not subject.service.abilities.in_transaction:
        with ledger.write() as connection, pytest.raises(Unsupported, match="inside a transaction"):
            subject.do(lambda service: service.enqueue("letter", to=kept, connection=connection))
        assert not subject.service.find(Query(recipient=kept)).tasks
        return
    with pytest.raises(RuntimeError), ledger.write() as connection:
        lost = subject.do(lambda service: service.enqueue("letter", to=undone, connection=connection))
        raise RuntimeError("the sign-up failed")
    with ledger.write() as connection:
        task_id = subject.do(lambda service: service.enqueue("letter", to=kept, connection=connection))
    assert subject.settled(task_id).state == "succeeded"
    with pytest.raises(UnknownTask):
        subject.service.get_status(lost)
    assert undone not in subject.captured()


def test_every_rule_of_the_ledger_holds_at_the_end(subject: Subject) -> None:
    assert subject.house.broken_rules() == []
