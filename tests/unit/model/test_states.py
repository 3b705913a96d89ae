"""The lawful ways between states."""

from hypothesis import given
from hypothesis import strategies as st

from steward.model.states import FINAL, FINISHED, OPEN, RETRYABLE, TRANSITIONS, WAITING, State, lawful, sources_of

states = st.sampled_from(list(State))


def test_every_state_says_where_it_may_go():
    assert set(TRANSITIONS) == set(State)
    assert set(State) == OPEN | FINISHED
    assert not OPEN & FINISHED


@given(states, states)
def test_both_ends_of_a_way_tell_the_same(before, after):
    assert lawful(before, after) == (before in sources_of(after))


@given(st.lists(states, max_size=30))
def test_no_walk_leaves_a_final_state(walk):
    state = State.QUEUED
    for wanted in walk:
        was_final = state in FINAL
        if lawful(state, wanted):
            assert not was_final
            state = wanted


@given(states)
def test_every_state_can_still_end(state):
    seen, edge = {state}, {state}
    while edge:
        edge = {after for s in edge for after in TRANSITIONS[s]} - seen
        seen |= edge
    assert seen & FINISHED


def test_only_what_can_be_queued_can_be_retried():
    assert all(lawful(s, State.QUEUED) for s in RETRYABLE)
    assert State.QUEUED not in RETRYABLE
    assert State.RUNNING not in WAITING
