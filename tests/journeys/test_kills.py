"""Web and workers are killed at random moments while letters are accepted and sent: none is lost."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.journeys.installation import Installation, Program
from tests.journeys.sending import Account, Sender, account, sending
from tests.servers.scripted_smtp import Act, ScriptedSmtp
from tests.servers.smtp_sink import SmtpSink

from steward.storage.archive import checksum

ON_THE_WIRE = 16
"""How many letters are between their mark and their record at most (STEWARD_SMTP_IN_FLIGHT)."""

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def kill_at_random(house: Installation, sender: Sender, kills: int, seed: int) -> int:
    """Kill the web server or one of two workers `kills` times, and start each again at once; return workers' kills.

    A worker dies while it has letters in hand: any moment from the first to the last of them.
    """
    chance = random.Random(seed)
    pause = threading.Event()
    running: dict[str, Program] = {"web": house.serve(), "first": house.work(), "second": house.work()}
    of_workers = 0
    for _ in range(kills):
        victim = "web"
        if chance.random() > 0.15:
            victim = chance.choice(["first", "second"])
            sender.burst(chance.randrange(10, 120))
            busy = a_busy_one(house, running)
            victim = busy or victim
            of_workers += 1
        pause.wait(chance.uniform(0, 0.15))
        running[victim].kill9()
        running[victim] = house.start("serve" if victim == "web" else "work")
    return of_workers


def a_busy_one(house: Installation, running: dict[str, Program]) -> str:
    """Return a worker that has tasks in hand, once there is one."""
    found: list[str] = []

    def look() -> bool:
        at_work = house.at_work()
        found[:] = [name for name, program in running.items() if program.pid in at_work]
        return bool(found)

    with contextlib.suppress(TimeoutError):
        house.wait_until(look, "a worker has letters in hand", 10)
    return found[0] if found else ""


def fates(house: Installation, sender: Sender, sink: SmtpSink) -> str:
    """Return what the ledger says of each letter that did not come."""
    came = {mail.recipients[0] for mail in sink.messages()}
    found = []
    for task_id in sender.accepted:
        task = house.task(task_id)
        if not any(delivery.to in came for delivery in task.deliveries):
            outcomes = [f"{attempt.outcome} ({attempt.error or ''})" for attempt in task.attempts]
            found.append(f"{task_id} {task.state}: {task.error}; {outcomes}; {task.deliveries}")
    return "\n".join(found)


def judge(house: Installation, sink: SmtpSink, sender: Sender, kills: int, wire: int) -> Account:
    house.wait_settled(60)
    house.settle_held()  # three kills may meet the same letter on the wire
    result = account(house, sink, sender)
    print(f"\n{kills} kills of workers; {result}")
    assert sender.accepted
    assert result.lost == 0, fates(house, sender, sink)
    assert result.unexpected == 0
    assert result.duplicated <= kills * wire
    assert result.differing == 0, "a repeat differs from the first copy"
    assert result.unflagged == 0, "a repeat is not marked as a possible duplicate"
    assert result.open == 0
    counts = house.counts()
    assert counts == {"succeeded": sum(counts.values())}
    assert sum(counts.values()) >= result.accepted
    assert house.broken_rules() == []
    return result


@pytest.mark.parametrize("seed", [1])
def test_ten_kills_lose_nothing(install: Install, engine: dict[str, Any], smtp_sink: Sink, seed: int) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **engine)
    with sending(house, pace=60) as sender:
        kills = kill_at_random(house, sender, 10, seed)
    result = judge(house, sink, sender, kills, ON_THE_WIRE)
    assert result.recovered > 0, "no kill hit a task in hand: the test has shown nothing"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [20261124, 7])
def test_hundreds_of_kills_lose_nothing(install: Install, engine: dict[str, Any], smtp_sink: Sink, seed: int) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **engine)
    with sending(house, pace=60) as sender:
        kills = kill_at_random(house, sender, 100, seed)
    judge(house, sink, sender, kills, ON_THE_WIRE)


@pytest.mark.parametrize(("kills", "seed"), [(4, 3), pytest.param(40, 4, marks=pytest.mark.long)])
@pytest.mark.timeout(400)
def test_with_one_connection_a_kill_repeats_at_most_one_letter(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, kills: int, seed: int
) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, smtp_connections=1, smtp_in_flight=1, **engine)
    with sending(house, pace=60) as sender:
        of_workers = kill_at_random(house, sender, kills, seed)
    judge(house, sink, sender, of_workers, 1)


def test_a_kill_while_letters_wait_for_their_reply_repeats_those_alone(
    install: Install, engine: dict[str, Any]
) -> None:
    with ScriptedSmtp({"dot": Act(wait=0.7)}) as server:
        house = install(smtp_url=server.url(), smtp_connections=4, smtp_in_flight=4, **engine)
        worker = house.work()
        ids = house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(12)))

        def uncertain() -> int:
            return sum(d.outcome == "uncertain" for each in ids for d in house.task(each).deliveries)

        house.wait_until(lambda: uncertain() > 0, "a letter is on the wire")
        worker.kill9()
        on_wire = uncertain()
        house.work()
        assert house.wait_settled() == {"succeeded": 12}
        arrived: dict[bytes, list[bytes]] = {}
        for each in server.transactions:
            if each.message is not None:
                arrived.setdefault(each.recipients[0], []).append(each.message)
    flagged = {task.deliveries[0].to for task in map(house.task, ids) if task.deliveries[0].possible_duplicate}
    assert 1 <= len(flagged) == on_wire <= 4
    assert len(arrived) == 12
    assert {to.decode() for to, found in arrived.items() if len(found) > 1} <= flagged
    assert all(len(found) <= 2 and len(set(found)) == 1 for found in arrived.values())


def test_a_letter_that_a_person_should_decide_on_is_held_when_its_worker_dies(
    install: Install, engine: dict[str, Any]
) -> None:
    with ScriptedSmtp({"dot": [Act(wait=2), None]}) as server:
        house = install(smtp_url=server.url(), **engine)
        worker = house.work()
        task_id = house.enqueue("careful_letter", to="ada@example.org")
        house.wait_until(
            lambda: any(d.outcome == "uncertain" for d in house.task(task_id).deliveries), "it is on the wire"
        )
        worker.kill9()
        house.work()
        task = house.wait_for(task_id)
        assert (task.state, task.deliveries[0].outcome) == ("failed", "uncertain")
        assert "It is not known whether ada@example.org got this letter" in (task.error or "")
        house.steward.service.retry(task_id, by="ada")
        assert house.wait_for(task_id, "succeeded").deliveries[0].possible_duplicate
        came = [each.message for each in server.transactions if each.message is not None]
    assert len(came) == 2
    assert len(set(came)) == 1


def test_a_report_in_the_making_is_made_again_and_kept_once(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    worker = house.work()
    task_id = house.enqueue("statement", rows=300, formats=["pdf", "csv", "xlsx"])
    house.wait_until(lambda: (house.task(task_id).progress or 0) >= 0.7, "it is laid out")
    worker.kill9()
    house.work()
    task = house.wait_for(task_id, seconds=60)
    assert task.state == "succeeded", task.error
    assert [a.name for a in task.artifacts] == ["statement.pdf", "statement.csv", "statement.xlsx"]
    for artifact in task.artifacts:
        assert checksum(house.steward.archive, artifact.location) == artifact.sha256
    kept = [path for path in (house.steward.settings.data_dir / "archive").rglob("*") if path.is_file()]
    assert len(kept) == 3


def test_the_work_of_a_dead_worker_is_adopted_within_five_seconds(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Any
) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    first, gate = house.work(), tmp_path / "gate"
    task_id = house.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate))
    owner = house.wait_for(task_id, "running").worker
    house.work()
    first.kill9()
    house.wait_until(lambda: house.task(task_id).worker not in (None, owner), "another worker has it", 5)
    gate.touch()
    task = house.wait_for(task_id)
    assert (task.state, task.attempt) == ("succeeded", 2)


def test_the_door_stays_open_while_a_worker_is_killed_and_started_again(
    install: Install, engine: dict[str, Any], smtp_sink: Sink
) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **engine)
    above = house.up(workers=1)
    with sending(house, pace=40) as sender:
        for _ in range(3):
            before = house.workers()
            (worker,) = house.children_of(above, "steward work")
            house.kill(worker, signal.SIGKILL)
            house.wait_until(lambda before=before: bool(house.workers() - before), "a new worker")  # type: ignore[misc]
            assert house.answers()
    result = judge(house, sink, sender, 3, ON_THE_WIRE)
    assert result.accepted == sender.asked
    assert above.terminate() < 30
