"""A mail server that misbehaves on command, in any phase, and remembers everything that was said to it."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.servers.certificates import server_context
from tests.servers.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Act:
    """What the server does at one command instead of its usual reply.

    It waits `wait` seconds, and until `until` is set, sends `reply` (a text gets its CRLF; bytes go as they are), each
    byte `drip` seconds after the last one, and then goes on; or closes (`drop`), or resets the connection (`reset`).
    """

    reply: str | bytes | None = None
    wait: float = 0.0
    drip: float = 0.0
    drop: bool = False
    reset: bool = False
    until: threading.Event | None = None


def say(reply: str | bytes, *, drop: bool = False) -> Act:
    """Reply with that."""
    return Act(reply, drop=drop)


DROP = Act(b"", drop=True)
RESET = Act(b"", reset=True)
SILENCE = Act(b"", wait=3600)


@dataclass
class Transaction:
    """One mail as far as it came. `message` is what stood before the final dot, dots unstuffed."""

    sender: bytes = b""
    recipients: list[bytes] = field(default_factory=list)
    arguments: list[bytes] = field(default_factory=list)
    message: bytes | None = None
    answered: str = ""
    in_tls: bool = False
    user: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the server has taken responsibility for it, whether or not the sender has heard so."""
        return self.message is not None and self.answered.startswith("2")


@dataclass
class Session:
    """One connection: each command as it came, and whether it came encrypted."""

    commands: list[tuple[bytes, bool]] = field(default_factory=list)
    ended: bool = False

    def verbs(self) -> list[str]:
        """Return the commands' first words."""
        return [line.split(b" ")[0].split(b":")[0].decode("latin-1").upper() for line, _ in self.commands]


class ScriptedSmtp:
    """Use it with `with`, on a loopback port of its own.

    `script` says what is done at `greet`, `ehlo`, `starttls`, `auth`, `mail`, `rcpt`, `data`, `dot`, `rset`, `quit`, or
    at `rcpt:<address>` and `dot:<address>`: an act for every time, or a list, one act for each time, None for the usual
    reply; after the list all is as usual. It may be changed while the server runs. `ahead` says what becomes of
    commands that came with a final dot.
    """

    def __init__(
        self,
        script: Mapping[str, Act | Sequence[Act | None]] | None = None,
        *,
        pipelining: bool = True,
        certificate: Path | None = None,
        implicit_tls: bool = False,
        offer_starttls: bool = True,
        injected: bytes = b"",
        users: Mapping[str, str] | None = None,
        size: int | None = None,
        close_after: int | None = None,
        ahead: Literal["take", "forget", "close"] = "take",
        port: int = 0,
    ) -> None:
        self.script: dict[str, Act | list[Act | None]] = {}
        self.follow(script or {})
        self._pipelining, self._users, self._size, self._injected = pipelining, users, size, injected
        self._context = server_context(certificate) if certificate else None
        self._implicit, self._offers = implicit_tls, offer_starttls and certificate is not None
        self._close_after, self._ahead = close_after, ahead
        self.sessions: list[Session] = []
        self.transactions: list[Transaction] = []
        self.open = 0
        self.most_open = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._ending = threading.Event()
        self._lines: set[socket.socket] = set()
        self._listener = socket.create_server((LOOPBACK, port))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def follow(self, script: Mapping[str, Act | Sequence[Act | None]]) -> None:
        """Do this from now on."""
        self.script = {key: act if isinstance(act, Act) else list(act) for key, act in script.items()}

    def url(self, scheme: str = "smtp+plain", user: str = "", password: str = "", host: str = LOOPBACK) -> str:
        """Its address as STEWARD_SMTP_URL takes it."""
        who = f"{user}:{password}@" if user else ""
        return f"{scheme}://{who}{host}:{self.port}"

    @property
    def accepted(self) -> list[Transaction]:
        """What it has accepted."""
        with self._lock:
            return [t for t in self.transactions if t.accepted]

    def commands(self) -> list[tuple[bytes, bool]]:
        """Every command of every session, and whether it came encrypted."""
        with self._lock:
            return [each for session in self.sessions for each in session.commands]

    def verbs(self) -> list[str]:
        """The first word of every command."""
        with self._lock:
            return [verb for session in self.sessions for verb in session.verbs()]

    def wait_for(self, verb: str, times: int = 1, seconds: float = 20) -> None:
        """Return once the command has come so often; fail after `seconds`."""
        with self._changed:
            come = self._changed.wait_for(
                lambda: sum(s.verbs().count(verb) for s in self.sessions) >= times, timeout=seconds
            )
        assert come, f"{verb} did not come {times} times within {seconds:g} s: {self.verbs()}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            lines = list(self._lines)
        for line in lines:  # a server that is down serves no line that it once took
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            session = Session()
            with self._lock:
                self.sessions.append(session)
                self._lines.add(connection)
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            threading.Thread(target=self._serve, args=(connection, session), daemon=True).start()

    def _serve(self, connection: socket.socket, session: Session) -> None:
        talk = _Talk(self, connection, session)
        with contextlib.suppress(OSError, _Gone):
            talk.run()
        with contextlib.suppress(OSError):
            talk.socket.close()
        with self._lock:
            self._lines.discard(connection)
            session.ended = True
            self.open -= 1

    def act(self, *keys: str) -> Act | None:
        """Take what is to be done at the first of `keys` that the script names."""
        with self._lock:
            for key in keys:
                planned = self.script.get(key)
                if isinstance(planned, Act):
                    return planned
                if planned:
                    return planned.pop(0)
        return None


class _Gone(Exception):
    """The connection is over."""


class _Talk:
    def __init__(self, server: ScriptedSmtp, connection: socket.socket, session: Session) -> None:
        self._server, self.socket, self._session = server, connection, session
        self._buffer = b""
        self._tls = False
        self._user: str | None = None
        self._mail = Transaction()
        self._begun = False
        self._done = 0

    def run(self) -> None:
        server = self._server
        self.socket.settimeout(30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server._implicit:
            self._encrypt()
        if self._respond("220 scripted.example ESMTP", "greet"):
            while self._command(self._line()):
                pass

    def _command(self, line: bytes) -> bool:
        with self._server._changed:
            self._session.commands.append((line, self._tls))
            self._server._changed.notify_all()
        verb, _, rest = line.partition(b" ")
        name = verb.upper().decode("latin-1")
        method = getattr(self, f"_do_{name.lower()}", None)
        if method is None:
            return self._respond("502 5.5.1 no such command", name.lower())
        return bool(method(rest))

    def _do_ehlo(self, rest: bytes) -> bool:
        server = self._server
        words = ["scripted.example"]
        if server._pipelining:
            words.append("PIPELINING")
        if server._size is not None:
            words.append(f"SIZE {server._size}")
        if server._offers and not self._tls:
            words.append("STARTTLS")
        if server._users is not None:
            words.append("AUTH PLAIN LOGIN")
        lines = [f"250{' ' if n == len(words) - 1 else '-'}{word}" for n, word in enumerate(words)]
        return self._respond("\r\n".join(lines), "ehlo")

    def _do_helo(self, rest: bytes) -> bool:
        return self._respond("250 scripted.example", "ehlo")

    def _do_starttls(self, rest: bytes) -> bool:
        if not self._server._offers:
            return self._respond("502 5.5.1 no", "starttls")
        act = self._server.act("starttls")
        if act is not None:
            return self._perform(act, "")
        self.socket.sendall(b"220 2.0.0 go ahead\r\n" + self._server._injected)
        self._encrypt()
        return True

    def _do_auth(self, rest: bytes) -> bool:
        kind, _, initial = rest.partition(b" ")
        if kind.upper() == b"PLAIN":
            if not initial:
                self.socket.sendall(b"334 \r\n")
                initial = self._line()
            _, user, password = base64.b64decode(initial).split(b"\0")
        else:
            user = base64.b64decode(initial or self._ask(b"VXNlcm5hbWU6"))
            password = base64.b64decode(self._ask(b"UGFzc3dvcmQ6"))
        right = (self._server._users or {}).get(user.decode()) == password.decode()
        if right:
            self._user = user.decode()
        return self._respond("235 2.7.0 welcome" if right else "535 5.7.8 no such user or password", "auth")

    def _do_mail(self, rest: bytes) -> bool:
        self._mail = Transaction(in_tls=self._tls, user=self._user)
        self._mail.sender = rest.partition(b"<")[2].partition(b">")[0]
        self._mail.arguments.append(rest)
        act = self._server.act("mail")
        self._begun = _is_yes(act)
        return self._send("250 2.1.0 ok") if act is None else self._perform(act, "250 2.1.0 ok")

    def _do_rcpt(self, rest: bytes) -> bool:
        if not self._begun:
            return self._send("503 5.5.1 MAIL first")
        recipient = rest.partition(b"<")[2].rpartition(b">")[0]
        self._mail.arguments.append(rest)
        act = self._server.act(f"rcpt:{recipient.decode('latin-1')}", "rcpt")
        if _is_yes(act):
            self._mail.recipients.append(recipient)
        return self._send("250 2.1.5 ok") if act is None else self._perform(act, "250 2.1.5 ok")

    def _do_data(self, rest: bytes) -> bool:
        act = self._server.act("data")
        if act is not None and act.reply is not None and not _text(act.reply).startswith("354"):
            return self._perform(act, "354 go on")
        if not self._mail.recipients:
            return self._send("554 5.5.1 no valid recipients")
        if not (self._send("354 go on") if act is None else self._perform(act, "354 go on")):
            return False
        message = bytearray()
        while (line := self._line()) != b".":
            message += (line[1:] if line.startswith(b".") else line) + b"\r\n"
        mail, self._mail, self._begun = self._mail, Transaction(), False
        mail.message = bytes(message)
        with self._server._changed:
            self._server.transactions.append(mail)
        to = mail.recipients[0].decode("latin-1") if mail.recipients else ""
        self._done += 1
        came_ahead = self._server._ahead != "take" and self._came_ahead()
        act = self._server.act(f"dot:{to}", "dot")
        usual = f"250 2.0.0 queued as {self._done}"
        mail.answered = usual if act is None or act.reply is None else _text(act.reply) or usual
        went_on = self._send(usual) if act is None else self._perform(act, usual)
        if came_ahead and self._server._ahead == "close":
            return False
        if self._server._close_after is not None and self._done >= self._server._close_after:
            return False
        return went_on

    def _came_ahead(self) -> bool:
        """Forget what came with the dot; return whether there was anything."""
        self.socket.settimeout(0.05)  # it may be in a packet of its own
        with contextlib.suppress(TimeoutError):
            self._buffer += self.socket.recv(4096)
        self.socket.settimeout(30)
        came, self._buffer = bool(self._buffer), b""
        return came

    def _do_rset(self, rest: bytes) -> bool:
        self._mail, self._begun = Transaction(), False
        return self._respond("250 2.0.0 ok", "rset")

    def _do_noop(self, rest: bytes) -> bool:
        return self._respond("250 2.0.0 ok", "noop")

    def _do_quit(self, rest: bytes) -> bool:
        self._respond("221 2.0.0 bye", "quit")
        return False

    def _respond(self, usual: str, key: str) -> bool:
        act = self._server.act(key)
        return self._send(usual) if act is None else self._perform(act, usual)

    def _perform(self, act: Act, usual: str) -> bool:
        if act.wait:
            self._server._ending.wait(act.wait)
        while act.until is not None and not act.until.wait(0.05) and not self._server._ending.is_set():
            pass
        reply = usual if act.reply is None else act.reply
        data = f"{reply}\r\n".encode() if isinstance(reply, str) else reply
        for octet in data if act.drip else ():
            self._server._ending.wait(act.drip)
            self.socket.sendall(bytes([octet]))
        if not act.drip:
            self.socket.sendall(data)
        if act.reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not (act.drop or act.reset or self._server._ending.is_set())

    def _send(self, text: str) -> bool:
        self.socket.sendall(f"{text}\r\n".encode())
        return True

    def _ask(self, challenge: bytes) -> bytes:
        self.socket.sendall(b"334 " + challenge + b"\r\n")
        return self._line()

    def _encrypt(self) -> None:
        assert self._server._context is not None
        self._buffer = b""
        try:
            self.socket = self._server._context.wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, OSError) as error:
            raise _Gone from error
        self._tls = True

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise _Gone
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line


def _text(reply: str | bytes) -> str:
    return reply if isinstance(reply, str) else reply.decode("latin-1")


def _is_yes(act: Act | None) -> bool:
    return act is None or act.reply is None or _text(act.reply).startswith("2")
