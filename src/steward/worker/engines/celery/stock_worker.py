"""Steward inside a stock Celery worker: a performer in each process of its pool, and a relay beside its parent."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery, signals

from steward.errors import StewardError
from steward.installation import settings as settings_of
from steward.installation.container import Steward
from steward.system import private_files
from steward.worker.engines.celery.app import application
from steward.worker.engines.celery.worker import registered
from steward.worker.slot_worker import SlotWorker

log = logging.getLogger(__name__)


class StockWorker:
    """The performer of a process that Celery made: begun after the fork, which threads and stores do not outlive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._holder: SlotWorker | None = None

    def __call__(self, ids: Sequence[str]) -> None:
        """Perform `ids` in this process."""
        self.begin().runner.perform(ids)

    def begin(self) -> SlotWorker:
        """Return this process's performer, made if it is missing."""
        with self._lock:
            if self._holder is None or self._pid != os.getpid():
                holder = SlotWorker(Steward(settings_of.load()), engine="celery")
                holder.enter()
                self._pid, self._holder = os.getpid(), holder
            return self._holder

    def end(self) -> None:
        """Leave, if this process has begun."""
        with self._lock:
            if self._holder is not None and self._pid == os.getpid():
                self._holder.leave()
                self._holder.release()
            self._holder, self._pid = None, 0


def stock_application() -> Celery:
    """Return the application that `celery -A steward.services.celery` finds, from the environment's settings.

    Each process of its pool performs; a relay runs beside its parent, which must stay free of threads to fork safely.
    """
    settings = settings_of.load()
    performer = StockWorker()

    def begin_parent(**_: Any) -> None:
        private_files.begin()

    def begin_child(**_: Any) -> None:
        # In a thread: Celery gives a new process few seconds, and the first message waits for it anyway.
        threading.Thread(target=_said(performer.begin), name="begin", daemon=True).start()

    def begin_beside(sender: Any = None, **_: Any) -> None:
        if not _forks(sender):
            begin_child()
        command = [sys.executable, "-m", "steward", "engine", "relay", "--parent", str(os.getpid())]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603

    def end(**_: Any) -> None:
        performer.end()

    signals.worker_init.connect(begin_parent, weak=False)
    signals.worker_process_init.connect(begin_child, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    signals.worker_ready.connect(begin_beside, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    return registered(application(settings), performer)


def _forks(consumer: Any) -> bool:
    controller = getattr(consumer, "controller", None)
    return "prefork" in getattr(getattr(controller, "pool_cls", None), "__module__", "prefork")


def _said(begin: Callable[[], object]) -> Callable[[], None]:
    def said() -> None:
        try:
            begin()
        except StewardError as error:
            log.error("this process cannot perform: %s", error)

    return said
