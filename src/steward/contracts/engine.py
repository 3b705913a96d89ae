"""What every engine in a worker's process keeps: all of it is performed, and nothing waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

from steward.tasks.engine import Engine, Perform

SOON: Final = 10.0
"""Seconds within which what is handed over has to be performed."""


class EngineContract:
    """Inherit it and define the fixture `make`: what makes an engine of the function that performs."""

    @pytest.fixture
    def make(self) -> Callable[[Perform], Engine]:
        """Return what makes an engine."""
        raise NotImplementedError("Define the fixture `make` in your class")

    @pytest.fixture
    def running(self, make: Callable[[Perform], Engine]) -> Iterator[Callable[[Perform], Engine]]:
        """Return what makes engines that are closed after the test."""
        made: list[Engine] = []

        def start(perform: Perform) -> Engine:
            made.append(make(perform))
            return made[-1]

        yield start
        for engine in made:
            engine.close(0)

    def test_has_a_name(self, running: Callable[[Perform], Engine]) -> None:
        assert running(lambda ids: None).name

    def test_performs_all_that_it_is_handed_and_says_so_once_for_each_batch(
        self, running: Callable[[Perform], Engine]
    ) -> None:
        performed: list[str] = []
        early: list[int] = []
        done: list[int] = []
        all_done = threading.Event()
        batches = [[f"{batch}-{n}" for n in range(batch + 1)] for batch in range(20)]

        def finish(batch: int) -> Callable[[], None]:
            def finished() -> None:
                if not set(batches[batch]) <= set(performed):
                    early.append(batch)
                done.append(batch)
                if len(done) == len(batches):
                    all_done.set()

            return finished

        engine = running(performed.extend)
        for batch, ids in enumerate(batches):
            engine.hand_over(ids, finish(batch))
        assert all_done.wait(SOON)
        assert sorted(done) == list(range(20))
        assert not early, "it says so when it is done, and not before"
        assert set(performed) == {each for ids in batches for each in ids}  # at least once

    def test_returns_at_once_and_lets_nothing_wait_for_what_takes_long(
        self, running: Callable[[Perform], Engine]
    ) -> None:
        release, urgent = threading.Event(), threading.Event()

        def perform(ids: Sequence[str]) -> None:
            if "urgent" in ids:
                urgent.set()
            else:
                release.wait(60)

        engine = running(perform)
        over = [threading.Event() for _ in range(9)]
        began = time.monotonic()
        for n, each in enumerate(over[:8]):
            engine.hand_over([f"slow {n}"], each.set)
        engine.hand_over(["urgent"], over[8].set)
        assert time.monotonic() - began < 2.0
        assert urgent.wait(SOON)
        assert over[8].wait(SOON)
        assert not any(each.is_set() for each in over[:8])
        release.set()
        assert all(each.wait(SOON) for each in over)

    def test_goes_on_after_a_batch_that_breaks_off(self, running: Callable[[Perform], Engine]) -> None:
        performed = threading.Event()

        def perform(ids: Sequence[str]) -> None:
            if "bad" in ids:
                raise RuntimeError("the store is away")
            performed.set()

        engine = running(perform)
        broken, whole = threading.Event(), threading.Event()
        engine.hand_over(["bad"], broken.set)
        assert broken.wait(SOON), "it is told of as well: the dispatcher hands over no more than it may"
        engine.hand_over(["good"], whole.set)
        assert performed.wait(SOON)
        assert whole.wait(SOON)

    def test_takes_the_same_ids_twice(self, running: Callable[[Perform], Engine]) -> None:
        over = [threading.Event(), threading.Event()]
        engine = running(lambda ids: None)
        for each in over:
            engine.hand_over(["one"], each.set)
        assert all(each.wait(SOON) for each in over)

    def test_waits_at_the_end_for_what_runs(self, make: Callable[[Perform], Engine]) -> None:
        began, release, over = threading.Event(), threading.Event(), threading.Event()

        def perform(ids: Sequence[str]) -> None:
            began.set()
            release.wait(60)

        engine = make(perform)
        engine.hand_over(["one"], over.set)
        assert began.wait(SOON)
        threading.Timer(0.2, release.set).start()
        engine.close(SOON)
        assert over.is_set()

    def test_leaves_behind_what_hangs(self, make: Callable[[Perform], Engine]) -> None:
        began, release = threading.Event(), threading.Event()

        def perform(ids: Sequence[str]) -> None:
            began.set()
            release.wait(60)

        engine = make(perform)
        engine.hand_over(["one"], lambda: None)
        assert began.wait(SOON)
        moment = time.monotonic()
        engine.close(0.2)
        assert time.monotonic() - moment < 5.0
        release.set()
