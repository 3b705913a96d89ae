"""Runs handlers in this process, in the thread that waits for their tasks: a debugger, and a test, find them there."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Collection
from concurrent.futures import Future
from functools import partial

from steward.plugins.run import HandlerRunner
from steward.plugins.run_result import HandlerRequest, RunResult
from steward.storage.database.group_commit import GroupCommit
from steward.worker.handlers.handlers import Handlers


class InlineHandlers(Handlers):
    """Nothing stops a handler here, and whatever it does, it does to this process."""

    def __init__(self, preparer: HandlerRunner, ledger: GroupCommit) -> None:
        super().__init__(ledger)
        self.preparer = preparer
        self._wanted: queue.SimpleQueue[tuple[HandlerRequest, Future[RunResult]] | None] = queue.SimpleQueue()

    async def run(self, request: HandlerRequest) -> RunResult:
        """Run a handler in the thread that serves."""
        future: Future[RunResult] = Future()
        self._wanted.put((request, future))
        return await asyncio.wrap_future(future)

    def drop(self, claims: Collection[tuple[str, str]]) -> None:
        """Let them go on."""

    def serve(self, until: Future[None]) -> None:
        """Run what is wanted, in the calling thread, until `until` is done."""
        until.add_done_callback(lambda _: self._wanted.put(None))
        while not until.done():
            wanted = self._wanted.get()
            if wanted is not None:
                request, future = wanted
                try:
                    self.begins(request)
                    future.set_result(self.preparer.prepare(request, partial(self.progresses, request)))
                except Exception as error:  # the store fails: that is the attempt's to tell
                    future.set_exception(error)
        until.result()
