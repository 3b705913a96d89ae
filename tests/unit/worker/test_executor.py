"""Performing: fact after fact is stored, and whatever fails, no attempt stays open."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from pydantic import BaseModel
from tests.unit.storage.conftest import entry

from steward import Email, RetryPolicy, handler
from steward.mail.transport import Phase, Reply
from steward.mail.transports.captured import CaptureTransport
from steward.model.results import Outcome
from steward.model.states import State
from steward.plugins.registry import Registry
from steward.plugins.run_result import EmailDraft, HandlerFailure, HandlerResult, ReportDocument
from steward.storage.archives.folder import FolderArchive
from steward.storage.database import Ledger
from steward.storage.database.group_commit import GroupCommit
from steward.storage.encryption import Seal
from steward.storage.tasks import acceptance, attempts, commands, recovery, search
from steward.system.clock import SECOND, now
from steward.worker.executor import Executor
from steward.worker.handlers.handlers import Handlers


class Payload(BaseModel):
    x: int = 1


@handler(example=Payload(), retry=RetryPolicy(delays=(60.0,)))
def welcome(payload: Payload) -> Email: ...


class Post(CaptureTransport):
    """Answers for each recipient as told; what is not told is captured."""

    def __init__(self, folder):
        super().__init__(folder)
        self.answers: dict[str, Reply] = {}
        self.sent: list[str] = []

    async def _send(self, parcel, before_dot):
        await before_dot()
        self.sent.append(parcel.recipient)
        return self.answers.get(parcel.recipient) or Reply(Outcome.ACCEPTED, Phase.DONE, 250, "ok")


class Desk(Handlers):
    """Prepares in the event loop: one letter for each of `to`, after `meanwhile` has been done."""

    def __init__(self, writer):
        super().__init__(writer)
        self.to = ["ada@x.org"]
        self.before = self.meanwhile = lambda: None
        self.failure = self.result = None

    async def run(self, request):
        self.before()
        self.begins(request)
        self.meanwhile()
        drafts = tuple(
            EmailDraft(
                "steward@x.org",
                to,
                f"<{request.task_id}.{n}@x>",
                "Hello",
                b"Subject: Hello\r\n\r\nHello.\r\n",
                None,
                (),
            )
            for n, to in enumerate(self.to)
        )
        return self.failure or self.result or HandlerResult(drafts, (), None)

    def drop(self, claims): ...


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", patience=0.05)

    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture
def writer(ledger):
    writer = GroupCommit(ledger)
    yield writer
    writer.close()


@pytest.fixture
def desk(writer):
    return Desk(writer)


@pytest.fixture
def post(tmp_path):
    post = Post(tmp_path / "outbox")
    yield post
    post.close()


@pytest.fixture
def runner(writer, desk, post, tmp_path):
    registry = Registry({"welcome": welcome}, [])
    archive = FolderArchive(tmp_path / "archive")
    runner = Executor("w1", writer, registry, Seal(b"k" * 32), desk, post, archive, None, tmp_path / "spool")
    yield runner
    runner.close()


@pytest.fixture
def add(ledger):
    def add(**changes):
        made = entry(**changes)
        ledger.apply(lambda c: acceptance.accept(c, [made]))
        return made.id

    return add


def get(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id)


def again(ledger, task_id):
    """Make a task that is to be tried later due now."""
    ledger.apply(lambda c: commands.retry(c, task_id, now()))


@pytest.fixture
def blocked_store(ledger):
    """Let nobody write to the store while it is set."""
    store = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)
    with closing(store):
        yield store


def test_a_task_is_performed_once_however_often_it_is_handed_over(ledger, runner, post, add):
    ids = [add() for _ in range(5)]
    threads = [threading.Thread(target=runner.perform, args=(ids,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [get(ledger, each).state for each in ids] == ["succeeded"] * 5
    assert len(post.sent) == 5
    assert not runner.busy


class Elsewhere:
    """A transport that has an event loop of its own, and does not say which."""

    def __init__(self, post):
        self._post, self.marked_in = post, []

    def send(self, parcel, before_dot):
        async def mark():
            self.marked_in.append(threading.current_thread().name)
            await before_dot()

        return self._post.send(parcel, mark)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_transport_with_a_loop_of_its_own_waits_for_the_mark(writer, desk, post, add, ledger, tmp_path, cancelled):
    elsewhere, registry = Elsewhere(post), Registry({"welcome": welcome}, [])
    archive = FolderArchive(tmp_path / "archive")
    runner = Executor("w1", writer, registry, Seal(b"k" * 32), desk, elsewhere, archive, None, tmp_path / "spool")
    task_id = add()
    if cancelled:
        desk.meanwhile = lambda: ledger.apply(lambda c: commands.cancel(c, task_id, now()))
    runner.perform([task_id])
    assert elsewhere.marked_in == ["outbox"]
    assert (get(ledger, task_id).state, post.sent) == (("cancelled", []) if cancelled else ("succeeded", ["ada@x.org"]))
    runner.close()


def test_a_reply_and_the_end_of_its_task_are_recorded_together_or_not_at_all(ledger, runner, add):
    task_id = add()
    ledger.apply(
        lambda c: c.exec_driver_sql(
            "CREATE TRIGGER no_end BEFORE UPDATE OF state ON tasks WHEN new.state = 'succeeded'"
            " BEGIN SELECT RAISE(ABORT, 'not now'); END"
        )
    )
    runner.perform([task_id])
    task = get(ledger, task_id)
    assert (task.state, [d.outcome for d in task.deliveries]) == ("retrying", ["uncertain"])


def test_an_attempt_resumes_with_those_who_did_not_get_it(ledger, runner, desk, post, add):
    desk.to = ["ada@x.org", "bob@x.org", "eve@x.org"]
    post.answers = {
        "bob@x.org": Reply(Outcome.REFUSED, Phase.RCPT, 550, "no such mailbox"),
        "eve@x.org": Reply(Outcome.DEFERRED, Phase.RCPT, 450, "later"),
    }
    task_id = add()
    runner.perform([task_id])
    task = get(ledger, task_id)
    assert (task.state, [d.outcome for d in task.deliveries]) == ("retrying", ["accepted", "refused", "deferred"])
    post.answers = {}
    ledger.apply(lambda c: c.exec_driver_sql("UPDATE tasks SET state = 'queued'"))
    runner.perform([task_id])
    task = get(ledger, task_id)
    assert (task.state, [d.outcome for d in task.deliveries]) == ("failed", ["accepted", "refused", "accepted"])
    assert post.sent == ["ada@x.org", "bob@x.org", "eve@x.org", "eve@x.org"]
    again(ledger, task_id)  # a person has put the mailbox right
    runner.perform([task_id])
    assert get(ledger, task_id).state == "succeeded"
    assert post.sent[4:] == ["bob@x.org"]


def test_a_task_says_which_scripts_stand_as_boxes_in_its_report(ledger, runner, desk, add, tmp_path):
    class Press:
        def render(self, layout, target, *, cancelled, lacking):
            lacking("王芳")
            target.write_text("%PDF")
            return 1

    html = tmp_path / "report.html"
    html.write_text("<p>王芳")
    runner._parts = replace(runner._parts, renderer=Press())
    desk.result = HandlerResult((), (ReportDocument("roster.pdf", "Roster", html, (), True),), "The roll of 3 March.")
    task = add()
    runner.perform([task])
    found = get(ledger, task)
    assert found.state == "succeeded"
    assert found.note.startswith("The roll of 3 March. Chinese has characters that stand as boxes")
    assert "fonts-noto-cjk" in found.note


def test_what_nobody_offers_is_held_and_what_has_expired_is_not_sent(ledger, runner, post, add):
    unknown, gone = add(name="unknown"), add(expires_at=now() - 1)
    runner.perform([unknown, gone])
    assert [get(ledger, each).state for each in (unknown, gone)] == ["blocked", "expired"]
    assert post.sent == []


def test_what_is_cancelled_while_it_is_prepared_is_not_sent(ledger, runner, desk, post, add):
    task_id = add()
    desk.meanwhile = lambda: ledger.apply(lambda c: commands.cancel(c, task_id, now()))
    runner.perform([task_id])
    task = get(ledger, task_id)
    assert (task.state, task.deliveries, post.sent) == ("cancelled", (), [])


def test_what_was_given_to_another_worker_is_not_sent(ledger, runner, desk, post, add):
    task_id = add()
    desk.meanwhile = lambda: ledger.apply(lambda c: recovery.release(c, ["w1"], now()))
    runner.perform([task_id])
    task = get(ledger, task_id)
    assert (task.state, [a.outcome for a in task.attempts], post.sent) == ("queued", ["lost"], [])


def test_a_suspect_is_suspected_again_only_while_its_handler_runs(ledger, runner, desk, post, add):
    task_id = add()
    seen = []

    def note():
        seen.append(get(ledger, task_id).attempts[-1].outcome)

    ledger.apply(lambda c: c.exec_driver_sql("UPDATE tasks SET lost = 1"))
    desk.before = desk.meanwhile = note
    runner.perform([task_id])
    assert seen == ["waiting", "running"]
    assert get(ledger, task_id).state == "succeeded"


def test_what_cannot_be_begun_stays_as_it_is(ledger, runner, post, add, blocked_store):
    task_id = add()
    blocked_store.execute("BEGIN IMMEDIATE")
    runner.perform([task_id])
    blocked_store.execute("ROLLBACK")
    assert (get(ledger, task_id).state, runner.busy) == ("queued", False)
    runner.perform([task_id])
    assert get(ledger, task_id).state == "succeeded"


def test_nothing_is_sent_that_could_not_be_marked_and_the_attempt_is_found_again(
    ledger, runner, desk, post, add, blocked_store
):
    task_id = add()
    desk.meanwhile = lambda: blocked_store.execute("BEGIN IMMEDIATE")
    runner.perform([task_id])  # neither the mark nor the end can be written
    blocked_store.execute("ROLLBACK")
    assert post.sent == []
    assert (get(ledger, task_id).state, runner.busy) == ("running", False)
    with ledger.read() as connection:
        running = attempts.running(connection, "w1")
    forgotten = runner.forgotten(running)
    assert forgotten == set(running.items()) != set()
    ledger.apply(lambda c: recovery.reopen(c, forgotten, now()))
    task = get(ledger, task_id)
    assert (task.state, [a.outcome for a in task.attempts]) == ("queued", ["unrecorded"])
    desk.meanwhile = lambda: None
    runner.perform([task_id])
    assert (get(ledger, task_id).state, post.sent) == ("succeeded", ["ada@x.org"])


def test_what_is_at_work_is_not_forgotten(ledger, runner, desk, add):
    seen = []

    def look():
        with ledger.read() as connection:
            running = attempts.running(connection, "w1")
        seen.append((len(running), runner.forgotten(running), runner.busy))

    desk.meanwhile = look
    runner.perform([add()])
    assert seen == [(1, set(), True)]


def test_whoever_leaves_begins_nothing_more(ledger, runner, post, add):
    task_id = add()
    runner.begin_no_more()
    runner.perform([task_id])
    assert (get(ledger, task_id).state, get(ledger, task_id).attempt, post.sent) == ("queued", 0, [])


def test_our_own_fault_stops_the_lane_and_is_not_held_against_the_task(ledger, runner, post, add):
    first, second = add(), add()
    post.answers = {"ada@x.org": Reply(Outcome.DEFERRED, Phase.AUTH, 535, "bad password", ours=True)}
    runner.perform([first])
    runner.perform([second])
    assert len(post.sent) == 1, "nobody signs in again and again"
    assert runner.stopped
    with ledger.read() as connection:
        assert connection.exec_driver_sql("SELECT sum(failures) FROM tasks").scalar() == 0
    runner.lane.moves()
    post.answers = {}
    ledger.apply(lambda c: c.exec_driver_sql("UPDATE tasks SET state = 'queued'"))
    runner.perform([first, second])
    assert {get(ledger, each).state for each in (first, second)} == {"succeeded"}


def test_a_handler_that_ends_its_process_is_tried_soon_and_given_up_after_four_starts(ledger, runner, desk, add):
    task_id = add()
    desk.failure = HandlerFailure("The handler ended its process.", crashed=1)
    for starts in range(1, 5):
        runner.perform([task_id])
        task = get(ledger, task_id)
        assert task.state == ("retrying" if starts < 4 else "failed")
        ledger.apply(lambda c: c.exec_driver_sql("UPDATE tasks SET state = 'queued' WHERE state = 'retrying'"))
    assert task.error.startswith("Stopped after 4 starts")
    assert task.finished_at is not None
    assert (task.finished_at - task.created_at).total_seconds() < 20 * SECOND
    assert task.state == State.FAILED
