"""Handlers in child processes: those that die, hang or stall do not hold their neighbours up."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.storage.conftest import entry

from steward.installation.settings import load
from steward.plugins.registry import load as load_plugins
from steward.plugins.run_result import HandlerFailure, HandlerRequest, HandlerResult
from steward.storage.database import Ledger
from steward.storage.database.group_commit import GroupCommit
from steward.storage.tasks import acceptance, attempts, search
from steward.system.clock import new_id, now
from steward.worker.handlers import pool
from steward.worker.handlers.pool import STALL, HandlerPool

pytestmark = pytest.mark.slow

TRIALS = Path(__file__).parent.parent.parent / "journeys" / "plugins"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return load(data_dir=tmp_path_factory.mktemp("data"), plugins_dir=TRIALS, free_space_mb=0)


@pytest.fixture(scope="module")
def hosted(settings):
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), None, suspicion=0)
    hosted.warm()
    hosted.await_warm()
    yield hosted
    hosted.close()


def request(name, payload="{}"):
    return HandlerRequest(new_id(), name, payload, [], now())


def letter(number=0):
    return request("letter", f'{{"to": "m{number}@example.org", "number": {number}}}')


class Answers(dict):
    """What each handler's run has come to, in the order in which they ended, and when that was."""

    def __init__(self):
        self.at = {}

    async def follow(self, hosted, request, then):
        outcome = await hosted.run(request)
        assert request.task_id not in self, "an outcome was reported twice"
        self.at[request.task_id] = time.monotonic()
        self[request.task_id] = outcome
        then(self, request)


def prepare(hosted, requests, then=lambda answers, request: None, meanwhile=None):
    """Run handlers as the attempts of one batch do; `then` is called as each has ended, `meanwhile` runs beside."""
    answers = Answers()

    async def all_of_them():
        beside = [meanwhile()] if meanwhile else []
        await asyncio.gather(*(answers.follow(hosted, each, then) for each in requests), *beside)

    asyncio.run(all_of_them())
    assert set(answers) == {each.task_id for each in requests}
    return answers


def test_a_batch_is_prepared_in_one_process(hosted):
    requests = [letter(n) for n in range(50)]
    answers = prepare(hosted, requests)
    assert [answers[r.task_id].letters[0].recipient for r in requests] == [f"m{n}@example.org" for n in range(50)]


def test_one_that_dies_does_not_take_its_neighbours_with_it(hosted):
    pill = request("die")
    requests = [letter(1), pill, letter(2)]
    answers = prepare(hosted, requests)
    assert isinstance(answers[pill.task_id], HandlerFailure)
    assert answers[pill.task_id].crashed == 1
    assert "ended its process" in answers[pill.task_id].words
    assert all(isinstance(answers[r.task_id], HandlerResult) for r in (requests[0], requests[2]))


def test_the_one_that_dies_is_known_however_many_are_ready_and_not_yet_sent(hosted, tmp_path):
    starts = tmp_path / "starts"
    pill = request("die", json.dumps({"file": str(starts), "number": 7}))
    requests = [*(letter(n) for n in range(5)), pill, *(letter(n) for n in range(5))]
    answers = prepare(hosted, requests)
    assert answers[pill.task_id].crashed == 1
    assert starts.read_text().split() == ["7", "7"]  # once among the others, once alone: none of them was suspected
    assert sum(isinstance(outcome, HandlerResult) for outcome in answers.values()) == 10


def test_what_is_ready_does_not_wait_for_a_slow_neighbour(hosted):
    first, stuck = letter(1), request("hang")
    began = time.monotonic()
    answers = prepare(hosted, [first, stuck])
    assert answers.at[first.task_id] - began < STALL / 2


def test_one_that_hangs_is_taken_out_of_its_batch_and_stopped_at_its_limit(hosted):
    stuck, neighbour = request("hang"), letter(3)
    answers = prepare(hosted, [stuck, neighbour])
    assert isinstance(answers[neighbour.task_id], HandlerResult)
    assert answers[stuck.task_id].crashed == 1
    assert "stopped at its limit of 3 seconds" in answers[stuck.task_id].words


def test_one_that_takes_long_is_not_waited_for_by_its_neighbours(hosted, tmp_path):
    gate = tmp_path / "gate"
    slow, neighbour = request("wait", json.dumps({"until": str(gate)})), letter(4)

    def then(answers, request):
        if request is neighbour:
            gate.touch()

    answers = prepare(hosted, [slow, neighbour], then)
    assert list(answers) == [neighbour.task_id, slow.task_id]
    assert all(isinstance(outcome, HandlerResult) for outcome in answers.values())


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("name", ["die", "wait"])
def test_neighbours_are_prepared_before_the_batch_is_taken_apart(settings, tmp_path, name, place):
    """The warm process beside it does that, whether or not anybody is suspected."""
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), None, suspicion=0)
    hosted.warm()
    hosted.await_warm()
    gate = tmp_path / "gate"
    bad = request(name, json.dumps({"until": str(gate)} if name == "wait" else {}))
    requests = [letter(n) for n in range(6)]
    requests.insert(place, bad)

    def then(answers, request):
        if len(answers) == 6:
            gate.touch()

    answers = prepare(hosted, requests, then)
    assert name == "die" or list(answers)[-1] == bad.task_id
    assert sum(isinstance(outcome, HandlerResult) for outcome in answers.values()) == 6 + (name == "wait")
    hosted.close()


def test_one_that_has_not_come_to_an_end_yet_stands_apart_from_those_that_have(settings, tmp_path):
    """It stands before no letter, and takes no batch with it."""
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), None)
    hosted.warm()
    hosted.await_warm()
    prepare(hosted, [letter(0)])
    starts, pill = tmp_path / "starts", request("die", json.dumps({"file": str(tmp_path / "starts"), "number": 7}))
    answers = prepare(hosted, [pill, *(letter(n) for n in range(5))])
    assert sum(isinstance(outcome, HandlerResult) for outcome in answers.values()) == 5
    assert starts.read_text().split() == ["7"]  # alone from the first: no batch was broken off
    hosted.close()


def test_the_first_of_a_kind_has_a_warm_process_and_does_not_wait_for_one_to_start(settings, monkeypatch):
    """The spare process comes later: an urgent letter must not be overtaken by all that is already proven."""
    monkeypatch.setattr(pool, "LONE", 0)  # nobody gets a process beside the warm ones
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), None)
    hosted.warm(spare=False)
    hosted.await_warm()
    first = request("urgent_letter", '{"to": "ada@example.org"}')
    answers = []
    asking = threading.Thread(target=lambda: answers.append(prepare(hosted, [first])))
    asking.start()
    asking.join(30)
    hosted.close()
    asking.join()
    assert isinstance(answers[0][first.task_id], HandlerResult)


def test_letters_that_come_one_by_one_do_not_wait_for_several_that_hang(hosted, tmp_path):
    gate, bad = tmp_path / "gate", [request("wait", json.dumps({"until": str(tmp_path / "gate")})) for _ in range(3)]
    waiting = [threading.Thread(target=prepare, args=(hosted, [each])) for each in bad]
    for thread in waiting:
        thread.start()
    for n in range(10):
        one = letter(n)
        assert isinstance(prepare(hosted, [one])[one.task_id], HandlerResult)
    assert all(thread.is_alive() for thread in waiting)
    gate.touch()
    for thread in waiting:
        thread.join(60)
    assert not any(thread.is_alive() for thread in waiting)


def test_a_handler_that_has_died_is_kept_from_the_others_for_a_while(settings, tmp_path):
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), None)
    starts = tmp_path / "starts"
    pills = [request("die", json.dumps({"file": str(starts), "number": n})) for n in range(3)]
    first = prepare(hosted, [letter(1), pills[0], letter(2)])
    second = prepare(hosted, [letter(3), *pills[1:], letter(4)])
    assert all(first[pill.task_id].crashed == 1 for pill in pills[:1])
    assert all(second[pill.task_id].crashed == 1 for pill in pills[1:])
    assert sum(isinstance(outcome, HandlerResult) for outcome in (first | second).values()) == 4
    hosted.close()


def test_one_that_ran_out_of_memory_is_kept_from_the_others_too(settings):
    """Its process says so itself, and ends in order; the next time it must not stand before a letter."""
    registry = load_plugins([TRIALS], entry_points=False)
    registry.handlers["devour"] = replace(registry.handlers["devour"], lane="mail")
    hosted = HandlerPool(settings, registry, None)
    hosted.warm()
    hosted.await_warm()
    prepare(hosted, [letter(0)])
    assert prepare(hosted, [request("devour")]).popitem()[1].crashed == 1
    hungry, one = request("devour"), letter(1)
    answers = prepare(hosted, [hungry, one])
    assert list(answers) == [one.task_id, hungry.task_id]
    assert isinstance(answers[one.task_id], HandlerResult)
    hosted.close()


def test_one_that_is_cancelled_is_stopped(hosted, tmp_path):
    waiting = request("wait", f'{{"file": "{tmp_path}/runs", "until": "{tmp_path}/never"}}')

    async def cancel():
        while not (tmp_path / "runs").exists():
            await asyncio.sleep(0.01)
        hosted.drop([(waiting.task_id, waiting.claim)])

    answers = prepare(hosted, [waiting], meanwhile=cancel)
    assert answers[waiting.task_id].final


def test_the_handler_of_a_suspect_is_noted_on_disk_before_it_can_do_anything(settings, tmp_path):
    """Its attempt is "waiting" until a process is free, and "running" from then on, and for as long as it runs."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    made, writer = entry(name="wait"), GroupCommit(ledger)
    ledger.apply(lambda c: acceptance.accept(c, [made]))
    ledger.apply(lambda c: c.exec_driver_sql("UPDATE tasks SET lost = 1"))
    ledger.apply(lambda c: attempts.begin(c, [made.id], "w1", "claim", now()))
    hosted = HandlerPool(settings, load_plugins([TRIALS], entry_points=False), writer)
    hosted.warm()
    hosted.await_warm()
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    told = json.dumps({"file": str(runs), "until": str(gate)})
    suspect = HandlerRequest(made.id, "wait", told, [], now(), "claim", attempt=1, suspect=True)
    seen = []

    def outcome():
        with ledger.read() as connection:
            return search.get(connection, made.id).attempts[-1].outcome

    async def look():
        seen.append(outcome())
        while not runs.exists():
            await asyncio.sleep(0.01)
        seen.append(outcome())
        gate.touch()

    prepare(hosted, [suspect], meanwhile=look)
    assert seen == ["waiting", "running"]
    hosted.close()
    writer.close()
    ledger.close()


def test_an_error_of_a_handler_is_words_with_file_and_line(hosted):
    failing = request("fail")
    answers = prepare(hosted, [failing, letter(4)])
    assert "RuntimeError: it cannot be done (trials.py, line" in answers[failing.task_id].words
    assert not answers[failing.task_id].final


def test_a_payload_that_no_longer_fits_is_final(hosted):
    old = request("letter", '{"number": 1}')
    assert prepare(hosted, [old])[old.task_id].final


def test_batches_from_several_threads_are_all_answered(hosted):
    batches = [[letter(10 * n + i) for i in range(5)] for n in range(4)]
    found = []
    threads = [threading.Thread(target=lambda b=b: found.append(prepare(hosted, b))) for b in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(len(answers) for answers in found) == 20
