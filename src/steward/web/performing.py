"""Performs tasks inside the web process, for the one engine that lives there; every other has workers of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from steward.worker.engines.background import BackgroundTaskService

if TYPE_CHECKING:
    from steward.installation.container import Steward


def begin(steward: Steward) -> Callable[[], object]:
    """Make ready what performs tasks here, if anything does; return what ends it.

    What an earlier process left unfinished is marked as interrupted: it is never shown as done.
    """
    service = steward.service
    if not isinstance(service, BackgroundTaskService):
        return lambda: None
    from steward.worker.worker import Performer  # it loads the layout engine, which no other web process needs

    performer = Performer(steward, engine="background")
    service.use(performer.runner.perform)
    performer.start()
    service.interrupt_left_over()  # after the start, which queues what waited for a plugin that is back
    return performer.stop
