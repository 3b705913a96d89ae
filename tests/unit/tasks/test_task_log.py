"""Each task has a line when it is accepted and one when it ends, whoever accepts or ends it."""

import logging
from dataclasses import replace

import pytest
import sqlalchemy as sa

from steward.model.caller import SERVICE
from steward.model.service import Options
from steward.storage.database.schema.tables import tasks
from steward.storage.fleet import workers
from steward.storage.tasks import claim, recovery
from steward.system.clock import SECOND, new_id, now

ADA = {"name": "Ada", "email": "ada@example.org"}


@pytest.fixture
def said(caplog):
    """The lines about one task, each with the name of its handler."""
    caplog.set_level(logging.INFO, logger="steward.tasks")

    def about(task_id):
        found = [each for each in caplog.records if getattr(each, "steward_task", None) == task_id]
        return [(each.getMessage().partition(":")[0], each.__dict__["steward_name"]) for each in found]

    return about


def test_a_task_that_a_schedule_makes_is_said_to_be_accepted(steward, said):
    made = steward.schedules.make("welcome_email", ADA, "* * * * *")
    ran = steward.schedules.run(made.entry.id)
    fired = steward.scheduler.fire(made.entry.next_at)
    assert [said(each) for each in (ran, *fired)] == [[("accepted", "welcome_email")]] * 2


def test_a_task_that_joins_a_transaction_is_said_to_depend_on_it(steward, said):
    with steward.ledger.engine.begin() as connection:
        one = steward.service.enqueue("welcome_email", ADA, connection=connection)
        many = steward.service.enqueue_many("welcome_email", [ADA, ADA], connection=connection)
    words = ("accepted, if the transaction that it joined is committed", "welcome_email")
    assert [said(each) for each in (one, *many)] == [[words]] * 3


def test_a_repeat_under_one_key_is_said_once(steward, said):
    ids = {steward.service.enqueue("welcome_email", ADA, key="once") for _ in range(2)}
    assert [said(each) for each in ids] == [[("accepted", "welcome_email")]]


def cancel(steward, task_id):
    steward.service.cancel(task_id, by="Sam", caller=replace(SERVICE, scopes=frozenset({"operate"})))


def expire(steward, task_id):
    past = now() - SECOND
    steward.ledger.apply(lambda c: c.execute(sa.update(tasks).values(expires_at=past)))
    steward.ledger.apply(lambda c: claim.expire(c, now()))


def interrupt(steward, task_id):
    steward.ledger.apply(lambda c: recovery.interrupt(c, now()))


def give_up(steward, task_id):
    worker = new_id()
    steward.ledger.apply(lambda c: workers.register(c, worker, "vm", "slot-0", 1, "durable", 0, now()))
    running = {"state": "running", "worker": worker, "lost": 4, "attempt": 4}
    steward.ledger.apply(lambda c: c.execute(sa.update(tasks).values(**running)))
    steward.ledger.apply(lambda c: recovery.release(c, [worker], now()))


@pytest.mark.parametrize(
    ("end", "words", "state"),
    [
        (cancel, "cancelled by Sam", "cancelled"),
        (expire, "expired", "expired"),
        (interrupt, "interrupted", "interrupted"),
        (give_up, "failed", "failed"),
    ],
)
def test_a_task_that_ends_without_an_attempt_of_its_own_is_said_to_have_ended(steward, said, end, words, state):
    task_id = steward.service.submit("welcome_email", ADA, Options()).id
    end(steward, task_id)
    assert steward.service.get_status(task_id).state == state
    assert said(task_id) == [("accepted", "welcome_email"), (words, "welcome_email")]
