"""The threads of requests that write: apart from those of requests that read, which never wait for a write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

T = TypeVar("T")
MOST: Final = 40
_places: Final = RunVar[CapacityLimiter]("places of requests that write")


async def run_writing(function: Callable[..., T], *args: Any) -> T:
    """Return what `function` returns, called in a thread; at most `MOST` of them at once, the others wait."""
    try:
        places = _places.get()
    except LookupError:
        places = CapacityLimiter(MOST)
        _places.set(places)
    return await anyio.to_thread.run_sync(partial(function, *args), limiter=places)
