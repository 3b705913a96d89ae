"""Counts for Prometheus: the figures of the ledger, made at most once a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.model.results import Outcome
from steward.storage.fleet import circuit_breaker, pauses, workers
from steward.storage.tasks import search
from steward.system.clock import SECOND, now

if TYPE_CHECKING:
    from steward.installation.container import Steward

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
KEPT_FOR = 1.0
"""Seconds for which the counts stand, so that a storm of scrapes is no storm of queries."""


def routes(steward: Steward) -> list[Route]:
    """Return `/metrics`; it needs no key, and tells nothing personal."""
    gauge = Metrics(steward)

    async def metrics(request: Request) -> Response:
        return Response(await run_in_threadpool(gauge.text), media_type=PROMETHEUS)

    return [Route("/metrics", metrics)]


class Metrics:
    """The figures of the ledger in Prometheus' text format, made at most once a second."""

    def __init__(self, steward: Steward) -> None:
        self._steward = steward
        self._made, self._text = -KEPT_FOR, ""
        self._lock = threading.Lock()

    def text(self) -> str:
        """Return the metrics. Raises StorageUnavailable if the ledger does not answer."""
        with self._lock:
            if time.monotonic() - self._made >= KEPT_FOR:
                self._text = self._make()
                self._made = time.monotonic()
            return self._text

    def _make(self) -> str:
        moment = now()
        with self._steward.ledger.read() as connection:
            by_state = search.counts(connection)
            outcomes = search.outcomes(connection)
            oldest = search.oldest_due(connection)
            alive = workers.living(connection, moment)
            stopped = pauses.stopped(connection)
            mail = circuit_breaker.standing(connection)
        lines = _family("steward_tasks", "Tasks in the ledger by state.", "state", by_state)
        every = dict.fromkeys((o.value for o in Outcome), 0) | outcomes
        lines += _family("steward_deliveries", "Recipients' copies by outcome.", "outcome", every)
        age = 0.0 if oldest is None else max(0, moment - oldest) / SECOND
        lines += _single("steward_oldest_waiting_seconds", "Age of the oldest task that is due and not begun.", age)
        lines += _single("steward_workers", "Worker processes whose lease runs.", len(alive))
        lines += _single("steward_tasks_in_hand", "Tasks that workers have in hand.", sum(w.holding for w in alive))
        lines += _single("steward_lanes_stopped", "Lanes that stand still.", len(stopped))
        since = {lane: (moment - at) // SECOND for lane, (at, _) in stopped.items()}
        words = "Seconds for which a lane has stood still; mail is the lane smtp."
        lines += _family("steward_lane_stopped_seconds", words, "lane", {circuit_breaker.MAIL: 0} | since)
        words = "How often in a row the mail server could not be reached, or refused us."
        lines += _single("steward_mail_server_failures", words, mail.failures)
        broken = sum(bool(p.error) for p in self._steward.registry.plugins)
        lines += _single("steward_plugins_broken", "Plugins that cannot be used.", broken)
        return "\n".join(lines) + "\n"


def _family(name: str, words: str, label: str, values: dict[str, int]) -> list[str]:
    head = [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
    return head + [f'{name}{{{label}="{key}"}} {value}' for key, value in sorted(values.items())]


def _single(name: str, words: str, value: float) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value:g}"]
