"""Mail from the task to the mail server and back: who got a copy, who did not, and what is done about it."""

from __future__ import annotations

import email
import email.policy
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, EmailStr
from tests.journeys.installation import Installation
from tests.journeys.performing import HOUR, Performing
from tests.servers.ports import wait_until
from tests.servers.scripted_smtp import DROP, Act, ScriptedSmtp, say

from steward import Attachment, Email, Handler, RetryPolicy, handler
from steward.model.results import TaskResult
from steward.storage.database.schema.tables import enclosures, lanes, tasks
from steward.storage.maintenance import retention
from steward.system.clock import SECOND, micros, moment, now
from steward.web.pages.wording import outcome_words

TEMPLATES = Path(__file__).parent / "plugins" / "templates"


class Letter(BaseModel):
    to: list[EmailStr]
    number: int = 0
    words: str = "As agreed."


EXAMPLE = Letter(to=["ada@example.org"])


@handler(example=EXAMPLE)
def notice(letter: Letter) -> Email:
    """Write a letter to each."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=EXAMPLE, on_uncertain="hold")
def careful(letter: Letter) -> Email:
    """Write a letter that only a person sends twice."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=EXAMPLE, retry=RetryPolicy(attempts=2))
def twice_at_most(letter: Letter) -> Email:
    """Write a letter, and give up after the second attempt."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=EXAMPLE)
def with_files(letter: Letter) -> Email:
    """Write a letter with files that are others each time."""
    files = [Attachment("noise.bin", os.urandom(300_000)), Attachment("noise.bin", os.urandom(10))]
    return Email(to=letter.to, template="letter", context=letter, attachments=files)


def register() -> list[Handler]:
    return [notice, careful, twice_at_most, with_files]


@pytest.fixture
def server() -> Iterator[ScriptedSmtp]:
    with ScriptedSmtp() as server:
        yield server


@pytest.fixture
def perform(tmp_path: Path, server: ScriptedSmtp) -> Iterator[Performing]:
    with Performing(tmp_path, server.url(), register=register, templates_dir=TEMPLATES) as performing:
        yield performing


THREE = {"to": ["ada@example.org", "bob@example.org", "eve@example.org"]}


def outcomes(task: TaskResult) -> dict[str, str]:
    return {d.to.partition("@")[0]: d.outcome.value for d in task.deliveries}


def copies(server: ScriptedSmtp) -> dict[str, int]:
    found: dict[str, int] = {}
    for mail in server.accepted:
        name = mail.recipients[0].partition(b"@")[0].decode()
        found[name] = found.get(name, 0) + 1
    return found


def test_three_recipients_get_one_none_and_one_copy_and_have_one_state_each(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow(
        {"rcpt:bob@example.org": say("550 5.1.1 nobody here"), "rcpt:eve@example.org": [say("450 4.2.0 come again")]}
    )
    task = perform.send("notice", THREE)
    assert (task.state, outcomes(task)) == ("retrying", {"ada": "accepted", "bob": "refused", "eve": "deferred"})
    assert perform.later() == 1
    task = perform.task(task.id)
    assert outcomes(task) == {"ada": "accepted", "bob": "refused", "eve": "accepted"}
    assert task.state == "failed"
    assert task.error is not None
    assert task.error.startswith("1 of 3 letters not sent. bob@example.org: ")
    assert copies(server) == {"ada": 1, "eve": 1}
    assert perform.later() == 0
    assert [(d.code, d.possible_duplicate) for d in task.deliveries] == [(250, False), (550, False), (250, False)]
    assert len({d.message_id for d in task.deliveries}) == 3


def test_a_retry_by_hand_sends_only_to_those_who_did_not_get_it(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"rcpt:bob@example.org": say("550 5.1.1 nobody here")})
    task = perform.send("notice", THREE)
    assert task.state == "failed"
    server.follow({})
    perform.service.retry(task.id, by="ada")
    task = perform.task(task.id)
    assert (task.state, outcomes(task)) == ("succeeded", {"ada": "accepted", "bob": "accepted", "eve": "accepted"})
    assert copies(server) == {"ada": 1, "bob": 1, "eve": 1}
    assert not any(perform.wires(task.id))


def test_a_lost_reply_leads_to_the_same_bytes_again_marked_as_a_possible_duplicate(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"dot:bob@example.org": [DROP]})
    task = perform.send("notice", THREE)
    assert (task.state, outcomes(task)["bob"]) == ("retrying", "uncertain")
    assert perform.later() == 1
    task = perform.task(task.id)
    assert (task.state, set(outcomes(task).values())) == ("succeeded", {"accepted"})
    assert [d.possible_duplicate for d in task.deliveries] == [False, True, False]
    to_bob = [t.message for t in server.transactions if t.recipients == [b"bob@example.org"]]
    assert len(to_bob) == 2
    assert to_bob[0] == to_bob[1]
    assert len(server.transactions) == 4


def test_the_same_bytes_go_again_even_if_the_template_has_changed_since(tmp_path: Path, server: ScriptedSmtp) -> None:
    mine = tmp_path / "templates" / "letter"
    mine.mkdir(parents=True)
    for each in (TEMPLATES / "letter").iterdir():
        (mine / each.name).write_bytes(each.read_bytes())
    with Performing(tmp_path, server.url(), register=register, templates_dir=mine.parent) as perform:
        server.follow({"dot": [DROP]})
        task = perform.send("notice", {"to": ["ada@example.org"]})
        (mine / "body.txt.j2").write_text("Other words.\n")
    with Performing(tmp_path, server.url(), register=register, templates_dir=mine.parent) as perform:
        assert perform.later() == 1
        assert perform.task(task.id).deliveries[0].possible_duplicate
        assert perform.send("notice", {"to": ["ada@example.org"]}).state == "succeeded"
    first, again, other = (t.message for t in server.transactions)
    assert first == again
    assert first is not None
    assert other is not None
    assert b"Other words." in other
    assert b"Other words." not in first


@pytest.mark.parametrize("to", [["ada@example.org"], [f"m{n}@example.org" for n in range(5)]])
@pytest.mark.parametrize("at", ["dot", "rcpt"])
def test_a_letter_with_files_goes_again_in_the_same_bytes_whatever_the_handler_says_then(
    tmp_path: Path, server: ScriptedSmtp, to: list[str], at: str
) -> None:
    settings: dict[str, Any] = {"register": register, "templates_dir": TEMPLATES}
    first_failing = {"dot": [DROP, DROP], "rcpt": [say("450 4.2.0 later")]}[at]
    server.follow({f"dot:{each}": first_failing for each in to} if at == "dot" else {"rcpt": first_failing * len(to)})
    with Performing(tmp_path, server.url(), **settings) as perform:
        task = perform.send("with_files", {"to": to})
        assert task.state == "retrying"
        wires = sum(len(wire or b"") for wire in perform.wires(task.id))
        assert wires < 6_000 * len(to), "the files are stored once for all"
        kept = enclosures_of(perform, task.id)
        assert sorted(kept) == [10 + 29, 300_000 + 29]
    with Performing(tmp_path, server.url(), **settings) as perform:  # another process
        while perform.later():
            pass
        task = perform.task(task.id)
        assert (task.state, set(outcomes(task).values())) == ("succeeded", {"accepted"}), task.error
        perform.steward.ledger.apply(lambda c: retention.erase_secrets(c, now()))
        assert enclosures_of(perform, task.id) == []
    sent: dict[bytes, list[bytes]] = {}
    for transaction in server.transactions:
        sent.setdefault(transaction.recipients[0], []).append(transaction.message or b"")
    assert {len(found) for found in sent.values()} == {3 if at == "dot" else 1}
    assert {len(set(found)) for found in sent.values()} == {1}
    files = {
        tuple((p.get_filename(), p.get_payload(decode=True)) for p in read(found[0]).iter_attachments())
        for found in sent.values()
    }
    assert len(files) == 1, "everybody got the same"
    assert [name for name, _ in files.pop()] == ["noise.bin", "noise (2).bin"]


def enclosures_of(perform: Performing, task_id: str) -> list[int]:
    """Return the sizes of the files that are kept for a task's letters."""
    with perform.steward.ledger.read() as connection:
        found = connection.execute(enclosures.select().where(enclosures.c.task_id == task_id))
        return [len(each.content) for each in found]


def read(message: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(message, policy=email.policy.default))


def test_what_may_not_come_twice_waits_for_a_person(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"dot:ada@example.org": [DROP]})
    task = perform.send("careful", {"to": ["ada@example.org"]})
    assert (task.state, outcomes(task)) == ("failed", {"ada": "uncertain"})
    assert task.error is not None
    assert "It is not known whether ada@example.org got this letter" in task.error
    assert perform.later() == 0
    assert len(server.transactions) == 1
    perform.service.retry(task.id, by="a person")
    task = perform.task(task.id)
    assert (task.state, outcomes(task)) == ("succeeded", {"ada": "accepted"})
    assert task.deliveries[0].possible_duplicate
    assert server.transactions[0].message == server.transactions[1].message


UNCERTAIN_ENDS = {
    "in a row": {"dot": DROP},
    "with a refusal for now between": {
        "dot": DROP,
        "rcpt": [None, say("450 4.2.0 later"), None, say("451 4.3.0 busy")],
    },
    "with no answer at all": {"dot": Act(b"", wait=3600)},
}


@pytest.mark.parametrize("script", UNCERTAIN_ENDS.values(), ids=UNCERTAIN_ENDS)
def test_after_three_uncertain_ends_a_letter_waits_for_a_person_and_says_that_copies_may_have_arrived(
    tmp_path: Path, server: ScriptedSmtp, script: dict[str, Any]
) -> None:
    server.follow(script)
    with Performing(
        tmp_path, server.url(), register=register, templates_dir=TEMPLATES, seconds=(5.0, 5.0, 0.3)
    ) as perform:
        task = perform.send("notice", {"to": ["ada@example.org"]})
        for _ in range(30):
            perform.later()
        task = perform.task(task.id)
        assert (task.state, outcomes(task)) == ("failed", {"ada": "uncertain"})
        assert task.error == (
            "It is not known whether ada@example.org got this letter: the connection was lost 3 times after it had been"
            " sent. Up to 3 copies may have arrived. Try again to send it once more, or leave it."
        )
        sent = [t.message for t in server.transactions if t.message is not None]
        assert len(sent) == 3
        assert len(set(sent)) == 1
        for times in (4, 5):  # each time that a person tries again it goes once
            perform.service.retry(task.id, by="a person")
            for _ in range(5):
                perform.later()
            assert len([t for t in server.transactions if t.message is not None]) == times
            assert f"Up to {times} copies may have arrived" in (perform.task(task.id).error or "")
        server.follow({})
        perform.service.retry(task.id, by="a person")
        task = perform.task(task.id)
        assert (task.state, outcomes(task)) == ("succeeded", {"ada": "accepted"})
        assert task.deliveries[0].possible_duplicate
        assert {t.message for t in server.transactions if t.message is not None} == set(sent)


def test_a_letter_that_nobody_answers_for_does_not_hold_the_others(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"dot:bob@example.org": DROP, "rcpt:eve@example.org": [say("450 4.2.0 later")] * 5})
    task = perform.send("notice", THREE)
    for _ in range(8):
        perform.later()
    task = perform.task(task.id)
    assert (task.state, outcomes(task)) == ("failed", {"ada": "accepted", "bob": "uncertain", "eve": "accepted"})
    assert copies(server) == {"ada": 1, "bob": 3, "eve": 1}


@pytest.mark.parametrize("to", [["ada@example.org"], ["ada@example.org", "bob@example.org"]])
def test_a_letter_bears_the_day_on_which_it_was_due_at_every_attempt(
    perform: Performing, server: ScriptedSmtp, to: list[str]
) -> None:
    due = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    server.follow({"rcpt": [say("450 4.2.0 later")] * (2 * len(to)), "dot": [DROP] * len(to)})
    task = perform.task(perform.service.schedule("notice", due, {"to": to}))
    assert task.state == "scheduled"
    for _ in range(4):
        perform.later(91 * 24 * HOUR)
    assert perform.task(task.id).state == "succeeded"
    dates = [line for t in server.transactions for line in (t.message or b"").splitlines() if line[:5] == b"Date:"]
    assert set(dates) == {b"Date: " + format_datetime(due).encode()}
    assert len(dates) == 2 * len(to)


def test_a_letter_that_a_person_tries_again_weeks_later_keeps_its_day(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"rcpt": [say("550 5.1.1 nobody")]})
    task = perform.send("notice", {"to": ["ada@example.org"]})
    aged = {"created_at": days_ago(40), "due_at": days_ago(30), "dated_at": days_ago(30)}
    perform.steward.ledger.apply(lambda c: c.execute(tasks.update().values(**aged)))
    perform.service.retry(task.id)
    assert perform.task(task.id).state == "succeeded"
    (mail,) = server.accepted
    day = format_datetime(moment(aged["dated_at"]).replace(microsecond=0))
    assert b"Date: " + day.encode() + b"\n" in (mail.message or b"").replace(b"\r", b"")


def days_ago(days: int) -> int:
    return now() - days * 24 * HOUR


def test_a_copy_that_is_held_does_not_hold_the_others(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"dot:bob@example.org": [DROP], "rcpt:eve@example.org": [say("450 4.2.0 later")]})
    task = perform.send("careful", THREE)
    assert (task.state, outcomes(task)) == ("retrying", {"ada": "accepted", "bob": "uncertain", "eve": "deferred"})
    perform.later()
    task = perform.task(task.id)
    assert (task.state, outcomes(task)) == ("failed", {"ada": "accepted", "bob": "uncertain", "eve": "accepted"})
    assert len(server.transactions) == 3


def test_nothing_is_sent_after_the_end_while_it_waits(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"rcpt": say("450 4.2.0 later")})
    task = perform.send("notice", {"to": ["ada@example.org"]}, expires_at=datetime.now(UTC) + timedelta(hours=2))
    assert task.state == "retrying"
    server.follow({})
    perform.later(3 * HOUR)
    assert perform.task(task.id).state == "expired"
    assert server.transactions == []


def test_nothing_is_sent_after_the_end_that_came_on_the_wire(perform: Performing, server: ScriptedSmtp) -> None:
    # The server agrees to take the letter a second later, when the letter's time is over.
    server.follow({"data": Act(wait=1.2)})
    task = perform.send(
        "notice", {"to": ["ada@example.org"]}, expires_at=datetime.now(UTC) + timedelta(milliseconds=600)
    )
    assert task.state == "expired"
    assert server.transactions == []
    assert not task.deliveries


def test_the_next_attempt_comes_as_the_policy_says_and_holds_nobody_meanwhile(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"rcpt": say("451 4.7.1 greylisted")})
    task = perform.send("notice", {"to": ["ada@example.org"]})
    for seconds in (30, 120, 360, 900, 1800, 3600, 3600):
        row = perform.row(task.id)
        assert (row.state, row.worker, row.claim) == ("retrying", None, None)
        assert perform.runner.held() == {}
        delay = (row.due_at - now()) / SECOND
        assert seconds * 0.79 - 5 < delay < seconds * 1.21, seconds
        assert perform.later(row.due_at - now() - SECOND) == 0
        assert perform.later(row.due_at - now() + 1) == 1
    task = perform.task(task.id)
    assert len(task.attempts) == 8
    assert {a.outcome for a in task.attempts} == {"retrying"}


def test_the_delays_that_an_operator_sets_are_kept(tmp_path: Path, server: ScriptedSmtp) -> None:
    settings: dict[str, Any] = {"register": register, "templates_dir": TEMPLATES, "retry_delays": (5.0, 700.0)}
    server.follow({"rcpt": say("451 4.7.1 greylisted")})
    with Performing(tmp_path, server.url(), **settings) as perform:
        task = perform.send("notice", {"to": ["ada@example.org"]})
        for seconds in (5, 700, 700):
            due_at = perform.row(task.id).due_at
            assert seconds * 0.79 - 3 < (due_at - now()) / SECOND < seconds * 1.21
            perform.later(due_at - now() + 1)


def test_a_policy_that_ends_fails_the_task_with_the_servers_words(perform: Performing, server: ScriptedSmtp) -> None:
    server.follow({"rcpt": say("451 4.7.1 greylisted")})
    task = perform.send("twice_at_most", {"to": ["ada@example.org"]})
    perform.later()
    task = perform.task(task.id)
    assert (task.state, outcomes(task)) == ("failed", {"ada": "unsent"})
    assert outcome_words(task.deliveries[0])[0] == "Not sent; no longer tried"
    assert task.as_json()["deliveries"][0]["outcome"] == "unsent"
    assert task.error is not None
    assert "451 4.7.1 greylisted" in task.error
    assert "Given up after 2 attempts" in task.error
    server.follow({})
    perform.service.retry(task.id)
    assert perform.task(task.id).state == "succeeded"


@pytest.mark.parametrize("reply", [None, say("451 4.3.0 later"), say("250 2.0.0 ok")])
def test_a_reply_that_comes_after_the_end_is_the_last_word_and_promises_nothing(
    perform: Performing, server: ScriptedSmtp, reply: Act | None
) -> None:
    act = Act(None if reply is None else reply.reply, wait=0.5)
    server.follow({"dot": act if reply else Act(b"", wait=0.5, drop=True)})
    ids: list[str] = []
    asking = threading.Thread(target=lambda: ids.append(perform.send("notice", {"to": ["ada@example.org"]}).id))
    asking.start()
    server.wait_for("DATA")
    wait_until(lambda: bool(perform.sent_to("ada@example.org")), "the letter is on the wire", 5)
    perform.service.cancel(perform.sent_to("ada@example.org")[0])
    asking.join(10)
    task = perform.task(ids[0])
    expected = {None: "uncertain", "451 4.3.0 later": "unsent", "250 2.0.0 ok": "accepted"}[reply and reply.reply]  # type: ignore[index]
    assert (task.state, outcomes(task)) == ("cancelled", {"ada": expected})


def test_a_task_that_is_tried_again_a_week_later_gets_its_whole_policy_anew(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"rcpt": [say("550 5.1.1 nobody"), say("450 4.2.0 later")]})
    task = perform.send("notice", {"to": ["ada@example.org"]})
    week = 7 * 24 * HOUR
    aged = tasks.update().values(created_at=tasks.c.created_at - week, started_at=tasks.c.started_at - week)
    perform.steward.ledger.apply(lambda c: c.execute(aged))
    perform.service.retry(task.id)
    assert perform.task(task.id).state == "retrying"
    perform.later()
    assert perform.task(task.id).state == "succeeded"


def test_trouble_of_our_own_is_not_counted_against_a_task_of_several_letters(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"rcpt": say("554 5.7.1 Relay access denied")})
    task = perform.send("twice_at_most", THREE)
    for _ in range(5):
        row = perform.row(task.id)
        assert (row.state, row.failures) == ("retrying", 0)
        perform.runner.lane.moves()
        perform.later()
    server.follow({})
    perform.runner.lane.moves()
    perform.later()
    assert perform.task(task.id).state == "succeeded"
    assert copies(server) == {"ada": 1, "bob": 1, "eve": 1}


def test_a_server_that_will_not_relay_for_us_stops_the_lane_and_fails_nothing(
    perform: Performing, server: ScriptedSmtp
) -> None:
    server.follow({"rcpt": say("554 5.7.1 Relay access denied")})
    first = perform.send("notice", {"to": ["ada@example.org"]})
    assert (first.state, first.error) == ("retrying", "554 5.7.1 Relay access denied")
    assert perform.runner.stopped
    with perform.steward.ledger.read() as connection:
        assert connection.scalar(sa.select(lanes.c.reason).where(lanes.c.name == "smtp")) == "5.7.1 Relay access denied"
    asked = len(server.commands())
    others = [perform.send("twice_at_most", {"to": [f"{n}@example.org"]}) for n in range(20)]
    perform.later()
    assert len(server.commands()) == asked
    assert {perform.task(t.id).state for t in others} == {"retrying"}
    server.follow({})
    perform.runner.lane.moves()
    perform.later()
    assert {perform.task(t.id).state for t in [first, *others]} == {"succeeded"}


def test_a_refused_sign_in_stops_the_lane_fails_nothing_and_ends_by_itself(
    install: Callable[..., Installation],
) -> None:
    words = "refused our sign-in"
    with ScriptedSmtp({"auth": say("535 5.7.8 wrong password")}, users={"office": "secret"}) as server:
        place = install(smtp_url=server.url(user="office", password="secret"), smtp_connections=2)
        ids = [place.steward.service.enqueue("letter", to=f"{n}@example.org") for n in range(60)]
        place.work()

        def still() -> str:
            with place.steward.ledger.read() as connection:
                return connection.scalar(sa.select(lanes.c.reason).where(lanes.c.name == "smtp")) or ""

        wait_until(lambda: words in still(), "the lane stops", 20)
        wait_until(lambda: all(t.state in ("queued", "retrying") for t in place.tasks()), "nothing is in hand", 20)
        asked = len(server.commands())
        threading.Event().wait(2.5)
        assert len(server.commands()) == asked, "a server that refuses us is left in peace"
        assert {t.state for t in place.tasks()} <= {"queued", "retrying"}
        assert server.verbs().count("AUTH") < 20
        server.follow({})
        place.steward.ledger.apply(lambda c: c.execute(lanes.update().values(try_at=now())))
        wait_until(lambda: all(place.task(i).state == "succeeded" for i in ids), "mail moves again", 30)
        assert still() == ""
        assert len(server.accepted) == 60


def test_a_reset_overtakes_all_the_mail_that_waits_for_a_slow_server(install: Callable[..., Installation]) -> None:
    with ScriptedSmtp({"dot": Act(wait=0.05)}) as server:
        place = install(smtp_url=server.url(), smtp_connections=2)
        place.work()
        place.steward.service.enqueue_many("bulk_letter", [{"to": f"{n}@example.org"} for n in range(1000)])
        wait_until(lambda: len(server.accepted) > 20, "bulk mail is on its way", 20)
        urgent = place.steward.service.enqueue("urgent_letter", to="urgent@example.org")
        before = len(server.accepted)
        wait_until(lambda: place.task(urgent).state == "succeeded", "the urgent letter is out", 20)
        order = [t.recipients[0] for t in server.accepted]
        assert order.index(b"urgent@example.org") < before + 100
        assert len(order) < 900


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_reply_that_takes_five_minutes_is_awaited_and_nothing_is_repeated(
    install: Callable[..., Installation],
) -> None:
    with ScriptedSmtp({"dot": [Act(wait=305)]}) as server:
        place = install(smtp_url=server.url())
        place.work()
        task_id = place.steward.service.enqueue("letter", to="ada@example.org")
        wait_until(lambda: place.task(task_id).state == "succeeded", "the reply has come", 400)
        assert len(server.transactions) == 1
        task = place.task(task_id)
        assert (task.attempt, task.deliveries[0].possible_duplicate) == (1, False)


def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with ScriptedSmtp() as gone:
        url = gone.url()
    with Performing(tmp_path, url, register=register, templates_dir=TEMPLATES) as perform:
        task = perform.send("notice", {"to": ["ada@example.org"]})
        assert (task.state, outcomes(task)) == ("retrying", {"ada": "deferred"})
        assert "cannot be reached" in (task.error or "")
        assert micros(task.due_at) > now()  # type: ignore[arg-type]  # a waiting task has a time
