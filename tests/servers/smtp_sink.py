"""Postfix's smtp-sink: a mail server made for tests by people who make mail servers; keeps what it accepted."""

from __future__ import annotations

import email
import email.policy
import shutil
import tempfile
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from tests.servers.ports import LOOPBACK, free_port, listens, wait_until
from tests.servers.process import ServerProcess, find_program, unprivileged_user

_ENVELOPE = (b"X-Client-Addr:", b"X-Client-Proto:", b"X-Helo-Args:", b"X-Mail-Args:", b"X-Rcpt-Args:")


@dataclass(frozen=True, slots=True)
class SunkMail:
    """One mail as it came: the envelope as said in MAIL and RCPT, and the message, its lines ended by LF alone."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The parsed message."""
        return cast(EmailMessage, email.message_from_bytes(self.raw, policy=email.policy.default))


class SmtpSink:
    """Use it with `with`. `options` are smtp-sink's own: `-w 2` waits before it answers DATA, `-r rcpt` says 450,
    `-f data` says 500, `-q mail` hangs up. `keep=False` counts nothing and keeps nothing: for speed.
    """

    def __init__(self, *options: str, keep: bool = True) -> None:
        program = find_program("smtp-sink", "postfix")
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="smtp-sink-"))
        user = unprivileged_user()
        if user:
            shutil.chown(self.folder, user)
        dump = ["-d", f"{self.folder}/mail."] if keep else []
        self._process = ServerProcess(
            [program, *options, *dump, f"{LOOPBACK}:{self.port}", "100"],
            self.folder / "log",
            user=user,
            cwd=self.folder,
        )

    @property
    def url(self) -> str:
        """Its address as STEWARD_SMTP_URL takes it."""
        return f"smtp+plain://{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        """Start it and return when it takes connections."""
        self._process.start()
        try:
            wait_until(lambda: listens(self.port), "smtp-sink starts", 10, lambda: self._process.alive)
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}\n{self._process.words()}") from error
        return self

    def messages(self) -> list[SunkMail]:
        """Return every mail that came whole, up to its final dot; also one refused at that dot.

        Roughly in order: the clock of the file system does not tell mails of the same few milliseconds apart.
        """
        files = sorted(self.folder.glob("mail.*"), key=lambda path: path.stat().st_mtime_ns)
        return [mail for mail in (_parse(path.read_bytes()) for path in files) if mail is not None]

    def stop(self) -> None:
        """Stop it; what it kept can still be read."""
        self._process.stop(seconds=2)

    def kill(self) -> None:
        """Stop it as a power cut would."""
        self._process.kill()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(dump: bytes) -> SunkMail | None:
    # smtp-sink writes the envelope as headers, a Received header of three lines, the message, and one empty line at
    # the final dot. Before that the file is empty, or ends elsewhere.
    if not dump.endswith(b"\n\n"):
        return None
    sender, recipients = "", []
    rest = dump
    while rest.startswith(_ENVELOPE):
        line, _, rest = rest.partition(b"\n")
        name, _, value = line.decode().partition(": ")
        if name == "X-Mail-Args":
            sender = _address(value)
        elif name == "X-Rcpt-Args":
            recipients.append(_address(value))
    if rest.startswith(b"Received:"):
        rest = rest.split(b"\n", 3)[3]
    return SunkMail(sender, tuple(recipients), rest[:-1])


def _address(argument: str) -> str:
    return argument.partition(">")[0].removeprefix("<")
