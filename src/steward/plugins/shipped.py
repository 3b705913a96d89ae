"""The mail transports, the archive and the renderer that ship, through the same hooks as anybody's own."""

from __future__ import annotations

from collections.abc import Mapping

from steward.documents.pdf.renderer import Renderer, RendererFactory, RendererOptions
from steward.mail.transport import Transport, TransportFactory, TransportOptions
from steward.plugins.hooks import hookimpl
from steward.storage.archive import Archive, ArchiveFactory, ArchiveOptions


@hookimpl
def register_transports() -> Mapping[str, TransportFactory]:
    """Return SMTP with each of its ways to secure the line, and what captures mail outside production."""
    return {"smtp": _smtp, "smtps": _smtp, "smtp+plain": _smtp, "captured": _captured}


@hookimpl
def register_archives() -> Mapping[str, ArchiveFactory]:
    """Return the archive that is a folder."""
    return {"file": _folder}


@hookimpl
def register_renderers() -> Mapping[str, RendererFactory]:
    """Return WeasyPrint in child processes."""
    return {"weasyprint": _weasyprint}


# Each is imported when it is made: a command that sends nothing does without aiosmtplib.


def _smtp(options: TransportOptions) -> Transport:
    from steward.mail.transports.smtp.transport import SmtpTransport

    return SmtpTransport(
        options.url,
        connections=options.connections,
        in_flight=options.in_flight,
        ca_file=options.ca_file,
        hello=options.hello,
    )


def _captured(options: TransportOptions) -> Transport:
    from steward.mail.transports.captured import CaptureTransport

    return CaptureTransport(options.folder)


def _folder(options: ArchiveOptions) -> Archive:
    from steward.storage.archives.folder import FolderArchive

    return FolderArchive.at(options.url)


def _weasyprint(options: RendererOptions) -> Renderer:
    from steward.documents.pdf.weasyprint import WeasyRenderer

    return WeasyRenderer(
        options.assets, processes=options.processes, seconds=options.seconds, memory_mb=options.memory_mb
    )
