"""The pool of threads keeps what every engine in a worker's process promises, and a plugin's engine performs tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journeys.installation import Installation

from steward import Engine, Perform
from steward.contracts import EngineContract
from steward.worker.engines.embedded.pool import WorkerPool

PLUGIN = '''
"""An engine with a thread for each batch."""

import threading

from steward import InProcessEngine, hookimpl


class Threads:
    name = "threads"

    def __init__(self, perform, most):
        self._perform, self._running = perform, set()

    def hand_over(self, ids, done):
        thread = threading.Thread(target=self._run, args=(ids, done), name="one batch", daemon=True)
        self._running.add(thread)
        thread.start()

    def close(self, seconds):
        for thread in list(self._running):
            thread.join(seconds)

    def _run(self, ids, done):
        try:
            self._perform(ids)
        finally:
            self._running.discard(threading.current_thread())
            done()


@hookimpl
def register_engines():
    return {"threads": InProcessEngine(Threads)}
'''


class TestWorkerPool(EngineContract):
    @pytest.fixture
    def make(self) -> Callable[[Perform], Engine]:
        return lambda perform: WorkerPool(perform, threads=32)


def test_the_engine_of_a_plugin_performs_tasks(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    with Installation(tmp_path / "house", engine="threads") as house:
        (house.plugins_dir / "threads.py").write_text(PLUGIN)
        house.serve()
        worker = house.work()
        task = house.wait_for(house.post("letter", {"to": "ada@example.org"}).json()["id"])
        assert task.state == "succeeded", task.error
        ready = house.client.get("/readyz").json()
        assert (ready["status"], ready["engine"], ready["workers"]) == ("ready", "threads", 1), ready
        assert worker.terminate() < 20
        refused = house.run("work", "--engine", "thread")
        assert refused.returncode == 2
        assert "Did you mean 'threads'?" in refused.stderr
