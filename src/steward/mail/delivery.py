"""Hands a parcel to a transport, and awaits its reply in the event loop of whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from steward.mail.transport import Parcel, Reply, Transport

Mark = Callable[[], Coroutine[Any, Any, None]]
"""Records that a parcel may arrive from now on; it is awaited in the caller's event loop."""


async def deliver(transport: Transport, parcel: Parcel, mark: Mark) -> Reply:
    """Return what became of `parcel`. A transport that has another event loop comes to this one for the mark.

    Raises what `mark` raises: then it is not sent.
    """
    loop = asyncio.get_running_loop()
    if getattr(transport, "loop", None) is not loop:

        async def from_there() -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(mark(), loop))

        return await asyncio.wrap_future(transport.send(parcel, from_there))
    # In one loop nothing need be woken: that would cost more than the rest of this.
    reply, done = transport.send(parcel, mark), loop.create_future()
    reply.add_done_callback(partial(_wake, done))
    await done
    return reply.result()


def _wake(done: asyncio.Future[None], _: object) -> None:
    if not done.done():  # cancelled meanwhile
        done.set_result(None)
