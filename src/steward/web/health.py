"""Says whether the service lives, whether it can take tasks and work them off, and counts for Prometheus."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.errors import StewardError
from steward.model.results import Outcome
from steward.storage.fleet import circuit_breaker, workers
from steward.storage.tasks import search
from steward.system.clock import SECOND, now
from steward.web.access.keys import Doorkeeper
from steward.worker.conditions import conditions

if TYPE_CHECKING:
    from steward.installation.container import Steward

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
KEPT_FOR = 1.0
"""Seconds for which the counts stand, so that a storm of scrapes is no storm of queries."""


def routes(steward: Steward, keeper: Doorkeeper) -> list[Route]:
    """Return `/livez`, `/readyz` and `/metrics`; they need no key, and tell nothing personal.

    With an operator's key `/readyz` says more: the words of servers and of the system, and remedies.
    """
    gauge = Metrics(steward)

    async def livez(request: Request) -> Response:
        return Response(to_json({"status": "alive"}), media_type="application/json")

    async def readyz(request: Request) -> Response:
        detailed = False
        if "authorization" in request.headers:
            with contextlib.suppress(StewardError):  # whoever may not see more sees what everybody does
                await keeper.admit(request, "operate")
                detailed = True
        ready, report = await run_in_threadpool(readiness, steward, detailed=detailed)
        return Response(to_json(report), 200 if ready else 503, media_type="application/json")

    async def metrics(request: Request) -> Response:
        return Response(await run_in_threadpool(gauge.text), media_type=PROMETHEUS)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def readiness(steward: Steward, *, detailed: bool = False) -> tuple[bool, dict[str, Any]]:
    """Return whether tasks can be accepted and will be performed, and what stands in the way.

    `detailed` adds reasons in the words of servers and of the system, and remedies: for operators only.
    """
    engine = steward.settings.engine
    report: dict[str, Any] = {"status": "ready", "engine": engine, "workers": 0}
    found = conditions(steward)
    try:
        with steward.ledger.read() as connection:
            report["workers"] = sum(worker.engine == engine for worker in workers.living(connection, now()))
    except StewardError:
        pass  # it is among the conditions
    if engine == "celery":
        kinds = {each.kind for each in found}
        unknown = bool(kinds & {"relay", "store"})
        report["broker"] = "unknown" if unknown else "unreachable" if "broker" in kinds else "reachable"
    said = [(each.blocks, str(each) if detailed else f"{each.words}.") for each in found]
    reasons, warnings = [s for blocks, s in said if blocks], [s for blocks, s in said if not blocks]
    if reasons:
        report |= {"status": "not ready", "reasons": reasons}
    if warnings:
        report["warnings"] = warnings
    return not reasons, report


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
            stopped = workers.stopped(connection)
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
