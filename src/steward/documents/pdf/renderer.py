"""The promise of laying out a document as PDF within limits, touching nothing but the templates' own assets."""

from __future__ import annotations

from collections.abc import Callable
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
    """Lays documents out. Implementations stand in `renderers/`."""

    def render(
        self,
        layout: Layout,
        target: Path,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        lacking: Callable[[str], None] = lambda characters: None,
    ) -> int:
        """Write the PDF to `target` and return its number of pages. `cancelled` is asked several times a second.

        `lacking` is called with the characters that no font could show, if there are any: they stand as boxes.

        Raises:
            RenderLimitExceeded: the limit of time, processor or memory was reached, and the render stopped.
            RenderFailed: the document cannot be laid out, or was cancelled.
            ConfigurationError: the machine lacks a library (the remedy is the command that installs it).
        """

    def close(self) -> None:
        """Stop every child process."""
