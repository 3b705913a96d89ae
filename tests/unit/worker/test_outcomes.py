"""How an attempt ends."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from steward import Email, RetryPolicy, handler
from steward.model.results import Outcome
from steward.model.states import MAX_STARTS, State, Task, lawful
from steward.plugins.run_result import HandlerFailure
from steward.system.clock import SECOND
from steward.worker.attempt import outcomes as e
from steward.worker.attempt.outcomes import DeliveryOutcome


class Payload(BaseModel):
    x: int = 1


@handler(example=Payload())
def kind(payload: Payload) -> Email: ...


@handler(example=Payload(), retry=RetryPolicy(attempts=2))
def twice(payload: Payload) -> Email: ...


def task(**changes) -> Task:
    values = {
        "id": "t", "name": "kind", "state": State.RUNNING, "attempt": 1, "payload": "{}", "sealed": None,
        "lane": "mail", "created_at": 0, "expires_at": None, "failures": 0, "lost": 0,
    } | changes  # fmt: skip
    return Task(**values)


def after(*outcomes, what=kind, **changes):
    fates = [DeliveryOutcome(f"{n}@x.org", o, "450 busy") for n, o in enumerate(outcomes)]
    return e.delivered(task(**changes), "c", what, fates, SECOND, chance=0.5)


def test_all_accepted_is_success():
    assert after(Outcome.ACCEPTED, Outcome.CAPTURED, Outcome.SUPPRESSED).state is State.SUCCEEDED
    assert after().state is State.SUCCEEDED


def test_one_deferred_is_tried_again_whatever_the_others():
    ending = after(Outcome.ACCEPTED, Outcome.REFUSED, Outcome.DEFERRED)
    assert (ending.state, ending.due_at) == (State.RETRYING, 31 * SECOND)
    assert "1 of 3" in ending.error


def test_a_refusal_is_final_with_its_words():
    ending = after(Outcome.REFUSED)
    assert (ending.state, ending.error) == (State.FAILED, "450 busy")


def test_uncertain_is_sent_again_or_held():
    assert after(Outcome.UNCERTAIN).state is State.RETRYING
    held = e.delivered(task(), "c", kind, [DeliveryOutcome("a@x.org", Outcome.UNCERTAIN, hold=True)], SECOND)
    assert held.state is State.FAILED
    assert "not known whether a@x.org" in held.error


def test_our_own_fault_is_not_counted():
    ending = e.delivered(task(), "c", kind, [DeliveryOutcome("a", Outcome.DEFERRED, "535 no", counts=False)], SECOND)
    assert (ending.state, ending.counts, ending.due_at) == (State.RETRYING, False, 2 * SECOND)


def test_the_last_attempt_fails():
    assert after(Outcome.DEFERRED, what=twice, failures=1).state is State.FAILED
    assert after(Outcome.DEFERRED, created_at=-90_000 * SECOND).state is State.FAILED


def test_the_span_of_a_policy_counts_from_the_first_attempt():
    # It was accepted two days before it was due, or stood in a lane that stood still.
    assert after(Outcome.DEFERRED, created_at=-172_800 * SECOND, started_at=0).state is State.RETRYING
    assert after(Outcome.DEFERRED, created_at=-172_800 * SECOND, started_at=-90_000 * SECOND).state is State.FAILED


def test_a_retry_never_comes_after_the_end():
    soon = after(Outcome.DEFERRED, expires_at=20 * SECOND)
    assert (soon.state, soon.due_at) == (State.RETRYING, 15 * SECOND)
    assert after(Outcome.DEFERRED, expires_at=5 * SECOND).state is State.EXPIRED


def test_a_poison_pill_stops_after_four_starts():
    states = []
    for lost in range(MAX_STARTS):
        ending = e.failed(task(lost=lost), "c", kind, HandlerFailure("It died.", crashed=1), 0)
        states.append(ending.state)
    assert states == [State.RETRYING] * (MAX_STARTS - 1) + [State.FAILED]
    assert "Stopped after 4 starts: It died." in ending.error


def test_what_cannot_help_is_not_tried_again():
    assert e.failed(task(), "c", kind, HandlerFailure("No such grant.", final=True), 0).state is State.FAILED
    assert e.failed(task(), "c", kind, HandlerFailure("Busy."), 0).state is State.RETRYING


outcomes = st.lists(
    st.builds(DeliveryOutcome, st.just("a@x.org"), st.sampled_from(Outcome), st.text(max_size=5)), max_size=6
)


@given(outcomes, st.integers(0, 40), st.one_of(st.none(), st.integers(1, 10**12)), st.integers(0, 10**12))
def test_every_ending_is_lawful_and_nothing_succeeds_that_was_not_sent(fates, failures, expires, now):
    ending = e.delivered(task(failures=failures, expires_at=expires), "c", kind, fates, now)
    assert lawful(State.RUNNING, ending.state)
    if ending.state is State.SUCCEEDED:
        assert all(f.outcome.final and f.outcome is not Outcome.REFUSED for f in fates)
    if ending.state is State.RETRYING and expires is not None:
        assert ending.due_at < expires
