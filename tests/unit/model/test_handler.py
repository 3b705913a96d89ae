"""Declaring a kind of task."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from steward import NO_RETRY, Email, Progress, RetryPolicy, Source, handler
from steward.errors import PluginError
from steward.worker.attempt.outcomes import delayed


class Joined(BaseModel):
    name: str
    email: str


ADA = Joined(name="Ada", email="ada@example.org")


def test_one_declaration_gives_name_payload_and_summary():
    @handler(example=ADA, lane="urgent", priority=5)
    def welcome(joined: Joined, source: Source, progress: Progress) -> Email:
        """Greet a member.

        On the first day.
        """
        return Email(to=joined.email, template="welcome")

    assert (welcome.name, welcome.payload, welcome.lane, welcome.priority) == ("welcome", Joined, "urgent", 5)
    assert welcome.summary == "Greet a member."
    assert welcome.description == "On the first day."
    assert welcome.needs == (("source", "source"), ("progress", "progress"))
    assert welcome(ADA, None, None).to == "ada@example.org"


def test_a_check_may_ask_for_the_source():
    def look(joined: Joined, source: Source) -> None: ...

    @handler(example=ADA, check=look)
    def welcome(joined: Joined) -> Email: ...

    assert welcome.check_needs == (("source", "source"),)


def declare_without_payload():
    @handler(example=ADA)
    def broken(): ...


def declare_with_plain_type():
    @handler(example=ADA)
    def broken(name: str): ...


def declare_without_example():
    @handler
    def broken(joined: Joined): ...


def declare_with_wrong_example():
    class Other(BaseModel):
        pass

    @handler(example=Other())
    def broken(joined: Joined): ...


def declare_with_unknown_need():
    @handler(example=ADA)
    def broken(joined: Joined, database: int): ...


def declare_with_wrong_name():
    @handler(example=ADA, name="Not A Name")
    def broken(joined: Joined): ...


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (declare_without_payload, "does not say what its payload is"),
        (declare_with_plain_type, "does not say what its payload is"),
        (declare_without_example, "has no example"),
        (declare_with_wrong_example, "is not a Joined"),
        (declare_with_unknown_need, "asks for 'database'"),
        (declare_with_wrong_name, "cannot be named"),
    ],
)
def test_a_declaration_that_cannot_be_used_says_why_and_where(declare, words):
    with pytest.raises(PluginError) as caught:
        declare()
    assert words in str(caught.value)
    assert "test_handler.py:" in str(caught.value)


@given(st.integers(1, 29), st.floats(0, 1))
def test_delays_grow_to_hourly_with_jitter(failures, chance):
    policy = RetryPolicy()
    base = policy.delays[failures - 1] if failures <= 5 else 3600
    delay = policy.delay(failures, chance)
    assert base * 0.8 - 1e-6 <= delay <= base * 1.2 + 1e-6


def test_the_last_attempt_is_not_followed_by_another():
    assert RetryPolicy(attempts=3).delay(2) is not None
    assert RetryPolicy(attempts=3).delay(3) is None
    assert RetryPolicy().within == timedelta(days=1)


@pytest.mark.parametrize("at_most", [((0, 60),), ((1, 0),)])
def test_a_limit_that_lets_nothing_through_is_refused(at_most):
    with pytest.raises(PluginError, match="lets nothing through"):

        @handler(example=ADA, at_most=at_most)
        def reset(joined: Joined) -> Email: ...


def test_a_limit_for_each_address_needs_one_address():
    class Many(BaseModel):
        recipients: list[str]

    for example in (Many(recipients=["a@example.org"]), RetryOrder()):
        with pytest.raises(PluginError, match="without one address"):
            handler(example=example, at_most=((1, 60),))(_taking(type(example)))


class RetryOrder(BaseModel):
    x: int = 1


def _taking(model):
    def job(order) -> Email: ...

    job.__annotations__["order"] = model
    return job


@pytest.mark.parametrize("delays", [(30.0, 120.0, 360.0), (5.0,), (60.0, 7200.0)])
def test_an_operator_s_delays_go_on_for_a_day(delays):
    policy = delayed(RetryPolicy(), delays)
    waited, failures = 0.0, 0
    while waited <= policy.within.total_seconds():
        failures += 1
        delay = policy.delay(failures, 0.5)
        assert delay == (delays[failures - 1] if failures <= len(delays) else delays[-1])
        waited += delay
    assert delayed(RetryPolicy(attempts=2), delays).delay(2) is None, "what the handler says stands"
    assert delayed(NO_RETRY, delays).delay(1) is None
