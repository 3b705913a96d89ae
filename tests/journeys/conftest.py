"""Installations for the journeys, once for each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.engines import ENGINES, settings_of
from tests.journeys.installation import Installation


def _each() -> list[Any]:
    # The default runs the whole suite each time; the others do so in the long run, and a part of it in between.
    return [pytest.param(name, marks=[] if name == "durable" else pytest.mark.long) for name in ENGINES]


@pytest.fixture(params=_each())
def engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings that choose an engine; a test that takes it runs once for each."""
    return settings_of(request.param, request)


@pytest.fixture(params=[name for name in ENGINES if name != "durable"])
def larger_engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings that choose an engine for more than one machine."""
    return settings_of(request.param, request)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations with the settings that it is called with; all are killed after the test."""
    with ExitStack() as stack:

        def make(name: str = "one", **settings: Any) -> Installation:
            folder = tmp_path / name
            folder.mkdir(parents=True)
            return stack.enter_context(Installation(folder, **settings))

        yield make
