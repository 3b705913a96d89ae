"""Stands between a client and a server, and makes the network between them bad on command."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.servers.ports import LOOPBACK

T = TypeVar("T")
CHUNK = 65536


class TcpProxy:
    """Use it with `with`. Forwards connections on `port` to `target_port`, both on the loopback address.

    `cut()` is a partition: nothing passes, not even a close, and nobody is told. `heal()` lets what has waited pass.
    `drop()` breaks every connection with a reset. `delay` holds each piece back by that many seconds, each way.
    """

    def __init__(self, target_port: int, *, delay: float = 0) -> None:
        self.target_port, self.delay = target_port, delay
        self.port = 0
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    def start(self) -> Self:
        """Start it and return when it takes connections."""
        self._thread.start()
        self._server = self._on_loop(asyncio.start_server(self._serve, LOOPBACK, 0)).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self) -> None:
        """Let nothing pass from now on; connections stay open and silent."""
        self._on_loop(self._set(passes=False)).result(10)

    def heal(self) -> None:
        """Let everything pass again, first what has waited."""
        self._on_loop(self._set(passes=True)).result(10)

    def drop(self) -> None:
        """Break every open connection with a reset."""
        self._on_loop(self._abort()).result(10)

    def close(self) -> None:
        """Break every connection and stop."""
        self._on_loop(self._end()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._open.add(writer)
        beyond: asyncio.StreamWriter | None = None
        try:
            await self._passes.wait()
            far, beyond = await asyncio.open_connection(LOOPBACK, self.target_port)
            self._open.add(beyond)
            await asyncio.gather(self._pump(reader, beyond), self._pump(far, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, beyond):
                if end is not None:
                    end.transport.abort()
                    self._open.discard(end)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            chunk = await reader.read(CHUNK)
            await self._passes.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            if not chunk:
                await writer.drain()
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()

    async def _set(self, *, passes: bool) -> None:
        if passes:
            self._passes.set()
        else:
            self._passes.clear()

    async def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
