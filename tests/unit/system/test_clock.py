"""Moments and ids."""

import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.system import clock


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)))
def test_a_moment_survives_the_way_there_and_back(naive):
    moment = naive.replace(tzinfo=timezone(timedelta(hours=-5)))
    assert clock.moment(clock.micros(moment)) == moment


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a zone"):
        clock.micros(datetime(2026, 1, 1))


def test_now_is_now():
    assert abs(clock.now() / clock.SECOND - time.time()) < 5
    assert abs(clock.present() - clock.moment(clock.now())) < timedelta(seconds=5)
    assert clock.moment(None) is None


def test_ids_are_uuids_of_version_7_in_the_order_of_time():
    first = clock.new_id()
    deadline = time.time_ns() // 1_000_000 + 2
    while time.time_ns() // 1_000_000 < deadline:
        pass
    second = clock.new_id()
    assert first < second
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
