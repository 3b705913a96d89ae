"""Steward carries notices to members, brings back reports, and sees each task through.

What a plugin or an application needs stands here; everything else is found by its module's name. Names are imported
when first used, so that `import steward.client` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steward.documents.pdf.renderer import Layout, Renderer, RendererOptions
    from steward.errors import (
        ConfigurationError,
        Rejected,
        RenderFailed,
        RenderLimitExceeded,
        StewardError,
        StorageFull,
        StorageUnavailable,
        UnreadableData,
    )
    from steward.mail.transport import BeforeDot, Parcel, Phase, Reply, Transport, TransportOptions
    from steward.mail.transports.queued import QueuedTransport
    from steward.model.content import Attachment, Column, Cursor, Email, Note, Private, Progress, Report, Secret, Table
    from steward.model.cron import Schedule
    from steward.model.declaration.handler import Handler, handler
    from steward.model.declaration.plugin_settings import PluginSettings
    from steward.model.declaration.retry import NO_RETRY, RetryPolicy
    from steward.model.email_address import EmailAddress
    from steward.model.formats import money, number, percent
    from steward.model.periods import Calendar
    from steward.model.results import Artifact, Delivery, Outcome, TaskResult
    from steward.model.service import Options, Query, TaskService
    from steward.plugins.hooks import hookimpl
    from steward.plugins.records import Record, to_date, to_decimal
    from steward.plugins.source import Source
    from steward.storage.archive import Archive, ArchivedFile, ArchiveOptions
    from steward.system.masking import masked
    from steward.tasks.engine import Engine, Perform
    from steward.worker.engines.in_process import InProcessEngine

__version__ = "0.1.0"

_HOMES = {
    "model.email_address": ("EmailAddress",),
    "errors": (
        "ConfigurationError",
        "Rejected",
        "RenderFailed",
        "RenderLimitExceeded",
        "StewardError",
        "StorageFull",
        "StorageUnavailable",
        "UnreadableData",
    ),
    "documents.pdf.renderer": ("Layout", "Renderer", "RendererOptions"),
    "mail.transports.queued": ("QueuedTransport",),
    "mail.transport": ("BeforeDot", "Parcel", "Phase", "Reply", "Transport", "TransportOptions"),
    "system.masking": ("masked",),
    "tasks.engine": ("Engine", "Perform"),
    "worker.engines.in_process": ("InProcessEngine",),
    "storage.archive": ("Archive", "ArchiveOptions", "ArchivedFile"),
    "model.formats": ("money", "number", "percent"),
    "model.declaration.handler": ("Handler", "handler"),
    "model.declaration.retry": ("NO_RETRY", "RetryPolicy"),
    "plugins.hooks": ("hookimpl",),
    "model.periods": ("Calendar",),
    "model.declaration.plugin_settings": ("PluginSettings",),
    "model.results": ("Artifact", "Delivery", "Outcome", "TaskResult"),
    "model.cron": ("Schedule",),
    "model.service": ("Options", "Query", "TaskService"),
    "plugins.records": ("Record", "to_date", "to_decimal"),
    "plugins.source": ("Source",),
    "model.content": (
        "Attachment",
        "Column",
        "Cursor",
        "Email",
        "Note",
        "Private",
        "Progress",
        "Report",
        "Secret",
        "Table",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "NO_RETRY",
    "Archive",
    "ArchiveOptions",
    "ArchivedFile",
    "Artifact",
    "Attachment",
    "BeforeDot",
    "Calendar",
    "Column",
    "ConfigurationError",
    "Cursor",
    "Delivery",
    "Email",
    "EmailAddress",
    "Engine",
    "Handler",
    "InProcessEngine",
    "Layout",
    "Note",
    "Options",
    "Outcome",
    "Parcel",
    "Perform",
    "Phase",
    "PluginSettings",
    "Private",
    "Progress",
    "Query",
    "QueuedTransport",
    "Record",
    "Rejected",
    "RenderFailed",
    "RenderLimitExceeded",
    "Renderer",
    "RendererOptions",
    "Reply",
    "Report",
    "RetryPolicy",
    "Schedule",
    "Secret",
    "Source",
    "StewardError",
    "StorageFull",
    "StorageUnavailable",
    "Table",
    "TaskResult",
    "TaskService",
    "Transport",
    "TransportOptions",
    "UnreadableData",
    "handler",
    "hookimpl",
    "masked",
    "money",
    "number",
    "percent",
    "to_date",
    "to_decimal",
]


def __getattr__(name: str) -> Any:
    if name == "settings":  # `from steward import settings`: a module that applications import by this name
        return import_module("steward.installation.settings")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'steward' has no attribute '{name}'")
    return getattr(import_module(f"steward.{home}"), name)
