"""A handler's process from the inside: made ready once, then one request after the other."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from steward.installation.settings import Settings
from steward.plugins.run import HandlerRunner
from steward.plugins.run_result import HandlerRequest, RunResult
from steward.sandbox import send, stand_at
from steward.system.log_line import log_for_parent

TOGETHER = 0.02
"""Seconds for which a child may keep what is ready, to send it together: each message wakes the worker."""


def host(argument: dict[str, Any]) -> Callable[[list[HandlerRequest]], None]:
    """Make ready in a child process: plugins, templates and source; return what prepares a list of requests."""
    from steward.installation.container import Steward
    from steward.installation.maintenance import operations_for

    log_for_parent()
    steward = Steward(Settings.model_validate(argument))
    preparer: HandlerRunner = steward.preparer({"operations": operations_for(steward)})

    gc.set_threshold(10_000, 20, 50)  # letters leave no circles behind; to look for them cost 5 %, measured
    outcomes = _Outcomes()

    def serve(requests: list[HandlerRequest]) -> None:
        send(("begun",))
        for place, request in enumerate(requests):
            if not stand_at(place):
                break  # the one before took long, and the rest was given to others
            outcomes.add((request.task_id, preparer.prepare(request, partial(_tell, request.task_id))))
        outcomes.send()

    return serve


def _tell(task_id: str, fraction: float, text: str) -> None:
    send(("progress", task_id, fraction, text))


class _Outcomes:
    """What a child has ready and not sent; a thread sends it when it has waited `TOGETHER`, whatever runs then."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, RunResult]] = []
        self._some = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._send_in_time, name="outcomes", daemon=True).start()

    def add(self, outcome: tuple[str, RunResult]) -> None:
        with self._lock:
            self._kept.append(outcome)
        self._some.set()

    def send(self) -> None:
        with self._lock:  # until it is sent: the reply to the request must not come before it
            kept, self._kept = self._kept, []
            self._some.clear()
            if kept:
                send(("ready", kept))

    def _send_in_time(self) -> None:
        while self._some.wait():
            time.sleep(TOGETHER)
            self.send()
