"""Tells plugins what has become of tasks, after the commit, where nothing that they do can hold anything up."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from steward.errors import StewardError, UnknownTask
from steward.model.results import TaskResult
from steward.storage.database import Ledger
from steward.storage.database.transitions import Transition
from steward.storage.tasks import search
from steward.system.masking import masked

log = logging.getLogger(__name__)

MOST: Final = 10_000
"""Changes that wait for one observer; those beyond are not told to it."""
PATIENCE: Final = 60.0
"""Seconds for which a task that joined somebody's transaction is waited for."""
_LOOK: Final = 0.25
_FAREWELL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Observer:
    """A plugin's `task_changed`: the plugin's name, and the function with the names of the arguments that it takes."""

    plugin: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class Observers:
    """Called with what a commit has changed, in the thread that committed; costs it a place in a queue for each."""

    def __init__(self, ledger: Ledger, observers: Sequence[Observer]) -> None:
        self._listeners = [_Listener(ledger, each) for each in observers]

    def __call__(self, transitions: Sequence[Transition]) -> None:
        """Tell every observer in its own time."""
        for listener in self._listeners:
            listener.put(transitions)

    def close(self) -> None:
        """Wait a moment for what is not told yet."""
        until = time.monotonic() + _FAREWELL
        for listener in self._listeners:
            listener.close(until)


class _Listener:
    """One observer with a thread and a queue of its own: a slow one, or one that hangs, keeps nobody else waiting."""

    def __init__(self, ledger: Ledger, observer: Observer) -> None:
        self._ledger, self._observer = ledger, observer
        self._queue: queue.Queue[Transition | None] = queue.Queue(MOST)
        self._joining: list[tuple[float, Transition]] = []
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"observer {observer.plugin}", daemon=True)
        self._thread.start()

    def put(self, transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            try:
                self._queue.put_nowait(transition)
            except queue.Full:
                self._say("slow", "is too slow, and is not told of everything: %d changes wait for it", MOST)
                return

    def close(self, until: float) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(max(until - time.monotonic(), 0.0))

    def _run(self) -> None:
        while True:
            try:
                transition = self._queue.get(timeout=_LOOK if self._joining else None)
            except queue.Empty:
                self._look_for_joined()
                continue
            if transition is None:
                return
            self._tell(transition)

    def _tell(self, transition: Transition) -> None:
        task = self._read(transition)
        if task is None:
            return
        state = transition.state or ("scheduled" if task.due_at > task.created_at else "queued")
        given = {"task": replace(task, state=state), "was": transition.was}
        try:
            self._observer.function(**{name: given[name] for name in self._observer.arguments})
        # An observer is a stranger's code: whatever it raises is told once, and stops nothing.
        except BaseException as error:
            self._say("failed", "failed, and may do so again: %s", masked(f"{type(error).__name__}: {error}")[:500])

    def _read(self, transition: Transition) -> TaskResult | None:
        """Return the task, or None if it cannot be read: purged, not committed yet, or the store is away."""
        try:
            with self._ledger.read() as connection:
                return search.get(connection, transition.task_id)
        except UnknownTask:
            if transition.joined and transition not in [each for _, each in self._joining]:
                self._joining.append((time.monotonic() + PATIENCE, transition))
        except StewardError as error:
            self._say("unread", "was not told of a change: %s", error)
        return None

    def _look_for_joined(self) -> None:
        """Tell of tasks whose transaction has been committed meanwhile; forget those whose was not."""
        waiting, self._joining = self._joining, []
        for until, transition in waiting:
            before = len(self._joining)
            self._tell(transition)
            if len(self._joining) > before:
                self._joining[-1] = (until, transition)
                if time.monotonic() > until:
                    del self._joining[-1]

    def _say(self, kind: str, words: str, *arguments: object) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.error(f"the plugin {self._observer.plugin}, which watches tasks, {words}", *arguments)
