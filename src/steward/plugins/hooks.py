"""The hooks a plugin may implement: a signature and one line each."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

from steward.documents.pdf.renderer import RendererFactory
from steward.mail.transport import TransportFactory
from steward.model.declaration.handler import Handler
from steward.model.results import TaskResult
from steward.plugins.factories import EngineFactory
from steward.storage.archive import ArchiveFactory

NAMESPACE = "steward"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)

# mypy: disable-error-code="empty-body"


@hookspec
def register_handlers() -> list[Handler]:
    """Return the handlers that this plugin adds."""


@hookspec
def register_transports() -> Mapping[str, TransportFactory]:
    """Return what carries mail: by the scheme of STEWARD_MAIL_URL, what makes a transport."""


@hookspec
def register_archives() -> Mapping[str, ArchiveFactory]:
    """Return what keeps files: by the scheme of STEWARD_ARCHIVE_URL, what makes an archive."""


@hookspec
def register_renderers() -> Mapping[str, RendererFactory]:
    """Return what lays documents out: by the name in STEWARD_RENDERER, what makes a renderer."""


@hookspec
def register_engines() -> Mapping[str, EngineFactory]:
    """Return what performs tasks: by the name in STEWARD_ENGINE, the two ends of an engine."""


@hookspec
def task_changed(task: TaskResult, was: str | None) -> None:
    """Hear of a task that has come into another state, after the commit; `was` is the one before, None if accepted."""
