"""A part of the kill suite for the engines of more than one machine; the long run makes the whole of it with each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.journeys.installation import Installation
from tests.journeys.sending import account, sending
from tests.servers.smtp_sink import SmtpSink


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.long)])
@pytest.mark.timeout(400)
def test_workers_killed_with_letters_in_hand_lose_nothing(
    install: Callable[..., Installation], larger_engine: dict[str, Any], smtp_sink: Callable[..., SmtpSink], kills: int
) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **larger_engine)
    house.serve()
    worker = house.work()
    with sending(house, pace=60) as sender:
        for _ in range(kills):
            before = len(sink.messages())
            house.wait_until(lambda before=before: len(sink.messages()) > before + 10, "letters go out", 40)
            house.enqueue_many("nothing", ({"number": n} for n in range(300)))
            house.wait_until(lambda: any(house.holding().values()), "tasks are in hand")
            worker.kill9()
            worker = house.work()
    house.wait_settled(60)
    result = account(house, sink, sender)
    assert result.accepted > kills * 10
    assert (result.lost, result.unexpected, result.differing, result.unflagged, result.open) == (0, 0, 0, 0, 0)
    assert result.duplicated <= kills * 16
    assert set(house.counts()) == {"succeeded"}
    assert house.broken_rules() == []
