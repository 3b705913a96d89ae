"""Turns payloads into finished letters and documents, sending nothing: the pure half of performing a task."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steward.documents.tables.cells import clean
from steward.documents.tables.spreadsheets import spool, write_csv, write_xlsx
from steward.documents.templates import Templates
from steward.errors import InvalidPayload, SourceUnavailable, StewardError, StorageUnavailable, TaskError
from steward.mail.message.letter import MessageComposer
from steward.mail.message.message import MessageAttachment, compose
from steward.model import figures
from steward.model.content import Attachment, Email, Note, Report, mask
from steward.model.declaration.handler import Handler
from steward.model.declaration.injection import provided
from steward.model.declaration.plugin_settings import secrets as secrets_in
from steward.model.payload import read
from steward.model.periods import Calendar
from steward.plugins.registry import Registry
from steward.plugins.run_result import (
    CSV,
    XLSX,
    EmailDraft,
    HandlerFailure,
    HandlerRequest,
    HandlerResult,
    ReportDocument,
    RunResult,
)
from steward.plugins.source import Source
from steward.storage import working_folders
from steward.storage.database.storage_errors import storage_error
from steward.system import private_files
from steward.system.clock import moment
from steward.system.filenames import all_apart, harmless
from steward.system.log_line import about

log = logging.getLogger(__name__)

AT_ONCE = 256_000
"""Bytes of files up to which a letter for one person is made as soon as it is written."""


@dataclass
class HandlerRunner:
    """Runs handlers in this process. `given` holds what they may ask for; `cursors` gives each task its own."""

    registry: Registry
    templates: Templates
    letters: MessageComposer
    source: Source | None
    folder: Path
    calendar: Calendar = field(default_factory=Calendar)
    given: dict[str, Any] = field(default_factory=dict)
    cursors: Callable[[HandlerRequest], Any] = lambda request: None

    def prepare(
        self, request: HandlerRequest, progress: Callable[[float, str], None] = lambda fraction, text: None
    ) -> RunResult:
        """Return what the task asks for, or why it cannot be had. Raises nothing: a handler's errors are data."""
        secrets = list(request.secrets)
        try:
            return self._prepare(request, secrets, lambda fraction, text: progress(fraction, mask(text, secrets)))
        except (SourceUnavailable, StorageUnavailable) as error:
            return HandlerFailure(mask(str(error), secrets))
        except StewardError as error:
            return HandlerFailure(mask(str(error), secrets), final=isinstance(error, (TaskError, InvalidPayload)))
        except MemoryError:
            return HandlerFailure("The handler needed more memory than it may have.", crashed=1)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                return HandlerFailure(str(storage_error(error)))
            trace = mask("".join(traceback.format_exception(error)), secrets)
            log.error("the handler raised: %s", trace, extra=about(request.task_id, request.name, request.attempt))
            return HandlerFailure(mask(_where(error), secrets))

    def _prepare(
        self, request: HandlerRequest, secrets: list[str], progress: Callable[[float, str], None]
    ) -> HandlerResult:
        """`secrets` are what is masked; those of the plugin's settings are added."""
        handler = self.registry.get(request.name)
        payload = self._payload(handler, request)
        needs = {
            **self.given,
            "source": self.source or Source(""),
            "calendar": self.calendar,
            "progress": _Reporter(progress),
        }
        if any(wanted == "cursor" for _, wanted in handler.needs):
            needs["cursor"] = self.cursors(request)
        given = provided(handler.needs, needs)
        secrets += secrets_in(given.values())
        wishes = handler.function(payload, **given)
        if inspect.isawaitable(wishes):
            wishes = _awaited(wishes)
        if wishes is None:
            wishes = ()
        elif isinstance(wishes, (Email, Report, Note)):
            wishes = (wishes,)
        return self._fulfil(list(_checked(wishes, handler)), request, secrets)

    def _payload(self, handler: Handler, request: HandlerRequest) -> Any:
        try:
            return read(handler.payload, request.payload, request.secrets)
        except ValidationError as error:
            raise InvalidPayload(
                f"The stored payload no longer fits the handler {handler.name}",
                remedy=f"The plugin has changed since the task was accepted: {error.error_count()} fields differ",
            ) from error

    def _fulfil(self, wishes: list[Any], request: HandlerRequest, secrets: Sequence[str]) -> HandlerResult:
        reports = [w for w in wishes if isinstance(w, Report)]
        kept = len(reports)
        for email in (w for w in wishes if isinstance(w, Email)):
            reports += [a for a in email.attachments if isinstance(a, Report) and not any(a is r for r in reports)]
        documents = tuple(self._document(r, request, n, kept=n < kept) for n, r in enumerate(reports))
        letters: list[EmailDraft] = []
        for number, email in enumerate(w for w in wishes if isinstance(w, Email)):
            attached = tuple(
                next(n for n, r in enumerate(reports) if r is a) for a in email.attachments if isinstance(a, Report)
            )
            own = _named([a for a in email.attachments if isinstance(a, Attachment)])
            # A letter for many, or with large files, is made when it is sent: it must not lie here as often.
            later = bool(attached) or len(email.recipients) > 1 or sum(len(file.content) for file in own) > AT_ONCE
            files = self._enclosed(own, request, number) if later and own else own
            for message in self.letters.write(
                email, task_id=request.task_id, created_at=moment(request.date), first=len(letters), attachments=files
            ):
                letters.append(
                    EmailDraft(
                        self.letters.envelope_sender,
                        message.recipient,
                        message.message_id,
                        mask(message.subject, secrets),
                        None if later else compose(message),
                        message if later else None,
                        attached,
                    )
                )
        notes = [w for w in wishes if isinstance(w, Note)]
        words = mask(" ".join(note.text for note in notes), secrets)
        told = figures.joined((note.figures for note in notes), lambda text: mask(text, secrets))
        return HandlerResult(tuple(letters), documents, words or None, figures.dump(told))

    def _enclosed(self, files: Sequence[Attachment], request: HandlerRequest, number: int) -> list[MessageAttachment]:
        """Return the files of a letter as they lie in the task's working folder, once for all recipients."""
        own = working_folders.of(self.folder, request.task_id, request.claim)
        folder = working_folders.fresh(own / f"letter-{number}")
        found = []
        for n, file in enumerate(files):
            path = folder / str(n)
            private_files.make_file(path).write_bytes(file.content)
            found.append(MessageAttachment(file.name, file.media_type, path))
        return found

    def _document(self, report: Report, request: HandlerRequest, n: int, *, kept: bool) -> ReportDocument:
        folder = working_folders.fresh(working_folders.of(self.folder, request.task_id, request.claim) / str(n))
        with contextlib.ExitStack() as stack:
            tables = [stack.enter_context(spool(table, folder)) for table in report.tables]
            files: list[tuple[str, str, Path]] = []
            if "csv" in report.formats:
                for number, table in enumerate(tables):
                    stem = f"{report.name}-{table.name}" if len(tables) > 1 else report.name
                    path = folder / f"{number}.csv"
                    write_csv(table, private_files.make_file(path))
                    files.append((f"{stem}.csv", CSV, path))
            if "xlsx" in report.formats and tables:
                path = folder / "tables.xlsx"
                write_xlsx(tables, private_files.make_file(path))
                files.append((f"{report.name}.xlsx", XLSX, path))
            html = None
            if "pdf" in report.formats:
                html = folder / "report.html"
                drawn = self.templates.render(
                    f"{report.template}/report.html.j2",
                    report.context,
                    tables={table.name: table for table in tables},
                    organization=self.letters.organization,
                    created_at=self.calendar.local(moment(request.date)),
                    read_at=self.calendar.now(),
                    template_version=self.templates.version(report.template),
                    title=report.title or report.name,
                )
                private_files.make_file(html).write_text(clean(drawn), encoding="utf-8")
        names = all_apart(harmless(name, "report") for name in (f"{report.name}.pdf", *(name for name, _, _ in files)))
        told = tuple((name, media_type, path) for name, (_, media_type, path) in zip(names[1:], files, strict=True))
        return ReportDocument(names[0], report.title or report.name, html, told, kept)


class _Reporter:
    def __init__(self, send: Callable[[float, str], None]) -> None:
        self._send = send

    def __call__(self, fraction: float, text: str = "") -> None:
        self._send(fraction, text)


def _named(files: Sequence[Attachment]) -> list[Attachment]:
    """Return the files of a letter under names that do no harm, none of them another's."""
    names = all_apart(harmless(file.name) for file in files)
    return [file if n == file.name else replace(file, name=n) for file, n in zip(files, names, strict=True)]


def _awaited(wishes: Awaitable[Any]) -> Any:
    """Return what an `async def` handler returns. In a thread of its own: here a loop may run already, as in a test."""

    async def wait() -> Any:
        return await wishes

    with ThreadPoolExecutor(1, thread_name_prefix="handler") as pool:
        return pool.submit(asyncio.run, wait()).result()


def _checked(wishes: Iterable[Any], handler: Handler) -> Iterable[Email | Report | Note]:
    for wish in wishes:
        if not isinstance(wish, (Email, Report, Note)):
            raise TaskError(
                f"The handler {handler.name} returned {type(wish).__name__}",
                "It may return Email, Report, Note, a list of them, or None",
                f"Mend it at {Path(handler.origin).name}",
            )
        yield wish


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error)
    if isinstance(error, OSError) and isinstance(error.filename, str):  # where this machine keeps it is not told
        said = said.replace(error.filename, Path(error.filename).name)
    return f"The handler failed: {type(error).__name__}: {said} ({Path(frame.filename).name}, line {frame.lineno})."
