"""The promise of laying out a document as PDF within limits, touching nothing but the templates' own assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Layout:
    """A document to lay out: finished HTML, and what its metadata say. `created` is fixed when the task is accepted,
    so that the same input gives the same bytes.
    """

    html: str
    title: str
    created: datetime
    author: str = ""
    lang: str = "en"


class Renderer(Protocol):
    """Lays documents out. Implementations stand in `renderers/`.

    One is made by each worker and used by several threads at a time, at most `RendererOptions.processes` of which are
    really laying out; the others wait their turn. A document comes from templates and data that are not trusted: it
    may show its assets by name (`asset:logo.svg`) and `data:` URLs, and whatever else it asks for ends the render,
    unread. The same layout, assets and fonts give the same bytes, in any process and at any hour.
    """

    def warm(self) -> None:
        """Get ready ahead of the first document, without waiting for it: called once, when a worker starts."""

    def render(
        self,
        layout: Layout,
        target: Path,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        lacking: Callable[[str], None] = lambda characters: None,
    ) -> int:
        """Write the PDF to `target`, whole or not at all, and return its number of pages; blocks until it is there.

        `cancelled` is asked several times a second, from the calling thread or another; once it says yes the render
        is stopped within a second, whatever it is doing. `lacking` is called with the characters that no font could
        show, if there are any, before this returns: they stand as boxes.

        Raises:
            RenderLimitExceeded: the limit of time, processor or memory was reached, and the render stopped.
            RenderFailed: the document cannot be laid out, or was cancelled. The task is tried again, as its handler
                says; the words are shown to people.
            ConfigurationError: the machine lacks a library (the remedy is the command that installs it).
        """

    def close(self) -> None:
        """Stop every child process, and let renders that are under way fail. It may be called again."""


@dataclass(frozen=True, slots=True)
class RendererOptions:
    """What a renderer is made from: the assets by name, how many documents at a time, and the limits of one."""

    assets: Mapping[str, Path]
    processes: int = 1
    seconds: float = 60
    memory_mb: int = 512


RendererFactory = Callable[[RendererOptions], Renderer]
"""Makes a renderer. It starts no process yet."""
