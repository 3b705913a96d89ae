"""Captures mail as files outside production, and reads it back for the pages."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from steward.errors import UnknownFile
from steward.mail.transport import BeforeDot, Parcel, Phase, Reply, nothing_before_dot
from steward.model.content import Attachment
from steward.model.results import Outcome
from steward.storage.database.storage_errors import storage_error
from steward.system import private_files

_UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]+")
_NAME = re.compile(r"[A-Za-z0-9@._+-]{1,200}\.eml")


class CaptureTransport:
    """Writes every parcel to a folder: whole or not at all, a repeat over its first copy's name with a number."""

    name = "outbox"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        private_files.own_folder(folder)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="outbox", daemon=True)
        self._thread.start()

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Capture `parcel`; see `Transport.send`."""
        return asyncio.run_coroutine_threadsafe(self._send(parcel, before_dot), self.loop)

    def check(self) -> Reply:
        """Say that the folder can be written."""
        writable = self._folder.is_dir() and os.access(self._folder, os.W_OK)
        return Reply(Outcome.ACCEPTED if writable else Outcome.DEFERRED, Phase.DONE, None, f"{self._folder}")

    def silent(self, seconds: float) -> int:
        """Return 0: nobody is asked."""
        return 0

    def reconnect(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Stop the thread."""
        if not self._thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=2)

    async def _send(self, parcel: Parcel, before_dot: BeforeDot) -> Reply:
        await before_dot()
        try:
            path = await asyncio.to_thread(self._write, parcel)
        except OSError as error:
            return Reply(Outcome.DEFERRED, Phase.DATA, None, str(storage_error(error)))
        return Reply(Outcome.CAPTURED, Phase.DONE, None, f"captured as {path.name}")

    def _write(self, parcel: Parcel) -> Path:
        stem = f"{file_stem(parcel.message_id.strip('<>').partition('@')[0])}-{file_stem(parcel.recipient)}"[:180]
        descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(parcel.wire)
                file.flush()
                os.fsync(file.fileno())
            for copy in range(1, 1000):
                path = self._folder / (f"{stem}.eml" if copy == 1 else f"{stem}.{copy}.eml")
                try:
                    os.link(draft, path)  # refuses to replace an earlier copy
                except FileExistsError:
                    continue
                return path
            raise FileExistsError(stem)
        finally:
            Path(draft).unlink()


def file_stem(text: str) -> str:
    """Return `text` as it stands in the names of captured messages."""
    return _UNSAFE.sub("_", text)


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One captured message, as the pages show it."""

    name: str
    path: Path
    subject: str
    sender: str
    to: str
    date: datetime | None
    size: int
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    pictures: tuple[tuple[str, str, bytes], ...] = ()
    """What the HTML shows within the letter: Content-ID, media type, content."""


def messages(folder: Path, limit: int = 200) -> list[CapturedMessage]:
    """Return the newest captured messages, newest first, without their bodies."""
    paths = sorted((p for p in folder.glob("*.eml")), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    return [_read(path, whole=False) for path in paths[:limit]]


def read(folder: Path, name: str) -> CapturedMessage:
    """Return one captured message with its parts.

    Raises:
        UnknownFile: there is no message of this name.
    """
    path = folder / name
    if not _NAME.fullmatch(name) or not path.is_file():
        raise UnknownFile(f"There is no message '{name[:80]}' in the outbox")
    return _read(path, whole=True)


def _read(path: Path, *, whole: bool) -> CapturedMessage:
    with path.open("rb") as file:
        parsed = BytesParser(EmailMessage, policy=policy.default).parse(file, headersonly=not whole)
    try:
        date = parsedate_to_datetime(str(parsed["Date"]))
    except (TypeError, ValueError):
        date = None
    plain = parsed.get_body(("plain",)) if whole else None
    html = parsed.get_body(("html",)) if whole else None
    files = tuple(
        Attachment(part.get_filename() or "file", part.get_payload(decode=True) or b"", part.get_content_type())  # type: ignore[arg-type]  # bytes, when decoded
        for part in (parsed.iter_attachments() if whole else ())
    )
    return CapturedMessage(
        name=path.name,
        path=path,
        subject=str(parsed["Subject"] or ""),
        sender=str(parsed["From"] or ""),
        to=str(parsed["To"] or ""),
        date=date,
        size=path.stat().st_size,
        headers=tuple((k, str(v)) for k, v in parsed.items()),
        text=plain.get_content() if plain else "",
        html=html.get_content() if html else None,
        attachments=files,
        pictures=tuple(
            (str(part["Content-ID"]).strip().strip("<>"), part.get_content_type(), part.get_payload(decode=True) or b"")  # type: ignore[misc]  # bytes, when decoded
            for part in (parsed.walk() if whole else ())
            if part["Content-ID"] and part.get_content_maintype() == "image"
        ),
    )
