"""WeasyPrint in warm child processes: PDF with tags, within limits, from finished HTML and the templates' assets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from steward.documents.pdf.renderer import Layout
from steward.errors import RenderFailed, RenderLimitExceeded
from steward.sandbox import (
    SandboxCancelled,
    SandboxDied,
    SandboxFailed,
    SandboxLimits,
    SandboxOutOfMemory,
    SandboxPool,
    SandboxRaised,
    SandboxTimedOut,
)

_SAME_BYTES: Final = {"SOURCE_DATE_EPOCH": "0"}
"""fontTools, through which a colour font goes, would write the time of day into it (a measured finding)."""
_ENTRY: Final = "steward.documents.pdf.weasyprint_child:prepare"


class WeasyRenderer:
    """Lays documents out in `processes` children, each render within `seconds` and `memory_mb`.

    A document may show the `assets` by name (`asset:logo.svg`) and `data:` URLs; whatever else it asks for ends the
    render, unread. The children have no network and none of this service's settings, and answer in JSON.
    """

    def __init__(
        self, assets: Mapping[str, Path], *, processes: int = 1, seconds: float = 60, memory_mb: int = 512
    ) -> None:
        self._children = SandboxPool(
            _ENTRY,
            argument={name: str(path) for name, path in assets.items()},
            size=processes,
            limits=SandboxLimits(seconds=seconds, cpu_seconds=seconds, memory_mb=memory_mb, network=False),
            name="render",
            codec="json",
            environment={name: value for name, value in os.environ.items() if not name.startswith("STEWARD_")}
            | _SAME_BYTES,
        )

    def warm(self) -> None:
        """Start the processes ahead of the first document, and do not wait for them."""
        self._children.warm()

    def render(
        self,
        layout: Layout,
        target: Path,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        lacking: Callable[[str], None] = lambda characters: None,
    ) -> int:
        """Write the PDF to `target`, whole or not at all, and return its number of pages.

        The same layout, assets and fonts give the same bytes, in any process. `lacking` is called with the characters
        that neither the assets' fonts nor the machine's could show, if there are any.

        Raises:
            RenderLimitExceeded: the limit of time, processor or memory was reached, and the render stopped.
            RenderFailed: the document cannot be laid out, or was cancelled.
            ConfigurationError: the machine lacks a library (the remedy is the command that installs it).
        """
        draft = target.with_name(f".{secrets.token_hex(8)}.pdf")
        request = {
            "html": layout.html,
            "title": layout.title,
            "author": layout.author,
            "lang": layout.lang,
            "created": layout.created.isoformat(timespec="seconds"),
            "target": str(draft),
        }
        try:
            answer = self._ask(request, layout.title, cancelled)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        if answer["lacking"]:
            lacking(answer["lacking"])
        return int(answer["pages"])

    def pids(self) -> list[int]:
        """Return the process ids of the children."""
        return self._children.pids()

    def close(self) -> None:
        """Stop every child process."""
        self._children.close()

    def _ask(self, request: Mapping[str, Any], title: str, cancelled: Callable[[], bool]) -> dict[str, Any]:
        what = f"The document '{title}' could not be laid out"
        try:
            return dict(self._children.call(request, cancelled=cancelled))
        except (SandboxTimedOut, SandboxOutOfMemory) as error:
            raise RenderLimitExceeded(
                what, error.why, "Ask for less at once (a shorter period, fewer rows), or raise the limit"
            ) from error
        except SandboxCancelled as error:
            raise RenderFailed(what, error.why) from error
        except SandboxRaised as error:
            raise RenderFailed(what, f"WeasyPrint stopped with {error.what}", "Check the report's template") from error
        except SandboxDied as error:
            raise RenderFailed(what, str(error), "Try again; if it happens again, the document is the cause") from error
        except SandboxFailed as error:
            raise RenderFailed(what, str(error)) from error
