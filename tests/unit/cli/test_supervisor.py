"""The pauses before a dead process is started again grow, have an end, and begin anew once it has lived a while."""

from __future__ import annotations

import signal
import time

import pytest

from steward.cli import supervisor


def mourned(deaths: int, lived: float, code: int = 1) -> supervisor._Kept:
    kept = supervisor._Kept(
        supervisor.SupervisedProcess("worker", ("work",)), started=time.monotonic() - lived, deaths=deaths
    )
    supervisor._mourn(kept, code)
    return kept


@pytest.mark.parametrize(("deaths", "pause"), [(0, 0.2), (1, 0.4), (5, 6.4), (8, 30), (100_000, 30)])
def test_the_pause_grows_and_has_an_end(deaths, pause):
    kept = mourned(deaths, lived=1)
    assert kept.again_at - time.monotonic() == pytest.approx(pause, abs=0.1)
    assert kept.deaths == deaths + 1
    assert kept.process is None


def test_a_process_that_has_lived_a_while_begins_anew():
    kept = mourned(20, lived=supervisor.SETTLED + 1)
    assert kept.again_at - time.monotonic() == pytest.approx(0.2, abs=0.1)
    assert (kept.deaths, kept.settled) == (1, True)


@pytest.mark.parametrize(("code", "words"), [(-signal.SIGKILL, "SIGKILL"), (-40, "signal 40"), (3, "exit code 3")])
def test_it_is_said_how_a_process_ended(caplog, code, words):
    mourned(0, lived=1, code=code)
    assert words in caplog.text


def test_stopping_is_done_before_the_half_minute_that_an_init_system_may_give():
    assert supervisor.STOP_WITHIN < 30
