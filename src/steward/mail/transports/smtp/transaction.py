"""One SMTP transaction over a kept connection: the phase of every failure known, the dot sent only when allowed.

A transaction begins while the one before it ends: its MAIL, RCPT and DATA travel in one packet with the final dot of
the letter before, as RFC 2920 (section 3.1) allows. A letter then costs one turn with the server, not two.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from steward.errors import UnsafeMail
from steward.mail.transport import BeforeDot, Parcel, Phase, Reply
from steward.mail.transports.smtp.bounces import meaning
from steward.mail.transports.smtp.connect import SmtpSession
from steward.mail.transports.smtp.connection import ConnectionLost, SmtpReply
from steward.model.results import Outcome

LARGE = 64 * 1024
"""A letter above this size (bytes) is uploaded first, and its final dot follows when the last byte has left."""
PROMPT = 0.25
"""Seconds within which a server that is asked ahead answers a dot. One that looks into letters first takes longer."""
FIRST_SECONDS = 10.0
"""How long the first reply to commands sent ahead may take: the server was speaking just now."""

RSET = b"RSET\r\n"
_ARGUMENT = re.compile(r"[!-;=?-~]+")  # printable ASCII but the blank, < and >
_ENVELOPE = (Phase.MAIL, Phase.RCPT, Phase.DATA)


@dataclass
class PooledConnection:
    """A connection that is used again.

    `dirty` after a refusal: the server must forget an envelope first. `prompt` if it answered the last dot at once;
    `finished` if no further letter may go over it.
    """

    opened: SmtpSession
    sent: int = 0
    dirty: bool = False
    prompt: bool = False
    finished: bool = False
    used: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class SmtpDelivery:
    """A parcel to send, what must be done before its dot, and where its reply is awaited."""

    parcel: Parcel
    before_dot: BeforeDot
    future: Future[Reply]


class SmtpTransaction:
    """One transaction. `heard` tells whether the server has answered anything in it.

    `asked` says that its commands were sent by the talk before. `look_ahead` gives the order that is next, if any; it
    is kept in `following` while this talk waits for its last reply. If that takes long, `give_back` has it: another
    connection may be free, and the dot of this one must not hold it up. `agreed` is called when the server wants the
    letter.
    """

    def __init__(
        self,
        kept: PooledConnection,
        order: SmtpDelivery,
        command: float,
        final: float,
        *,
        asked: bool = False,
        look_ahead: Callable[[PooledConnection], SmtpDelivery | None] = lambda kept: None,
        give_back: Callable[[SmtpDelivery], None] = lambda order: None,
        agreed: Callable[[], None] = lambda: None,
    ) -> None:
        self._kept, self._order, self._command, self._final = kept, order, command, final
        self._look_ahead, self._give_back, self._agreed = look_ahead, give_back, agreed
        self._phase = Phase.MAIL
        self.asked, self.heard = asked, False
        self._left = b""
        self.following: SmtpDelivery | None = None
        self.withdrawn = False

    def lost(self, why: str) -> Reply:
        """Return what is known after the line was lost in this phase: the server's last word, if it had one."""
        if self._phase is Phase.DOT:
            return Reply(Outcome.UNCERTAIN, self._phase, None, why)
        last = self._kept.opened.line.waiting()
        if last is not None and 400 <= last.code < 600:
            return self._meaning(last, self._phase)
        return Reply(Outcome.DEFERRED, self._phase, None, why)

    def withdraw(self) -> None:
        """Give the following order back. Its commands are on their way: this connection can carry no more letters."""
        if self.following is not None:
            order, self.following, self.withdrawn = self.following, None, True
            self._give_back(order)

    async def run(self) -> Reply:
        """Send the letter and return the reply that decides.

        Raises:
            ConnectionLost, TimeoutError: see `lost`. Whatever `before_dot` raises.
            UnsafeMail: an address holds what could become another command.
        """
        parcel, opened, line = self._order.parcel, self._kept.opened, self._kept.opened.line
        if too_large(parcel, opened):
            text = f"the letter has {len(parcel.wire):,} bytes, and the server takes {opened.size:,}"
            return Reply(Outcome.REFUSED, Phase.MAIL, 552, text)
        commands = list(zip(_ENVELOPE, envelope(parcel, opened), strict=True))
        if self._kept.dirty:
            commands.insert(0, (Phase.MAIL, RSET))
            self._kept.dirty = False
        if opened.pipelining and not self.asked:  # RFC 2920
            line.write(b"".join(command for _, command in commands))
        decided: Reply | None = None
        for phase, command in commands:
            self._phase = phase
            if not opened.pipelining:
                if decided is not None:
                    break
                if line.waiting() is not None:
                    raise ConnectionLost("the server answered before it was asked")
                line.write(command)
            prompt = self.asked and not self.heard
            try:
                reply = await line.reply(min(self._command, FIRST_SECONDS) if prompt else self._command)
            except (ConnectionLost, TimeoutError):
                if decided is None:
                    raise
                line.abort()  # it has refused the letter, and then hung up
                return decided
            if command == RSET and not 200 <= reply.code < 300:
                raise ConnectionLost("the server would not forget the letter before")
            self.heard = True
            wanted = 300 if phase is Phase.DATA else 200
            if decided is None and not wanted <= reply.code < wanted + 100:
                decided = self._meaning(reply, phase)
                self._kept.dirty = True
                if reply.code == 421:
                    return decided
                if not 400 <= reply.code < 600:
                    line.abort()  # no reply for this place: what the server thinks is going on cannot be known
                    return decided
            elif decided is not None and phase is Phase.DATA and reply.code == 354:
                # The server waits for a letter that must not be sent: only a closed line says so for certain.
                line.abort()
        if decided is not None:
            return decided
        self._agreed()
        refused = await self._upload()
        if refused is not None:
            line.abort()  # without its dot nothing is delivered; the server may be reading letter still
            return self._meaning(refused, Phase.DATA)
        reply = await self._end()
        if not (200 <= reply.code < 300 or 400 <= reply.code < 600):
            raise ConnectionLost(f"the server answered {reply.code} {reply.text}, which says nothing about the letter")
        return self._meaning(reply, Phase.DOT)

    async def _upload(self) -> SmtpReply | None:
        """Send a large letter as far as its dot, and let the dot go; return what the server said against it meanwhile.

        A line that is lost on the way up is no uncertainty: without the dot nothing may be delivered.
        """
        line = self._kept.opened.line
        self._left = stuffed(self._order.parcel.wire)
        if len(self._left) > LARGE:
            for start in range(0, len(self._left), LARGE):
                line.write(self._left[start : start + LARGE])
                await line.drained(self._final)
                await asyncio.sleep(0)  # let the line be read
                if line.waiting() is not None and (refusal := self._refusal()) is not None:
                    return refusal
            self._left = b""
        refusal = self._refusal()
        if refusal is None:
            await self._order.before_dot()
            refusal = self._refusal()
        return refusal

    def _refusal(self) -> SmtpReply | None:
        """Return a refusal that has come before the dot. Whatever else has come answers nothing: nothing was asked.

        Raises:
            ConnectionLost: half of a reply has come; its other half would seem to answer the dot.
        """
        line = self._kept.opened.line
        if line.is_midway:
            raise ConnectionLost("the server began to answer before it was asked")
        last = line.waiting()
        return last if last is not None and 400 <= last.code < 600 else None

    async def _end(self) -> SmtpReply:
        """Send what is left of the letter and its dot, and return the reply to it."""
        opened, line = self._kept.opened, self._kept.opened.line
        trusted = line.is_open  # one that speaks unasked may do so again: it is not asked ahead, and left after this
        line.discard()
        ahead = b""
        if opened.pipelining and trusted:
            self.following = self._look_ahead(self._kept)
            if self.following is not None:
                ahead = b"".join(envelope(self.following.parcel, opened))
        began = time.monotonic()
        line.write(self._left + b".\r\n" + ahead)
        self._phase = Phase.DOT  # only now: a line that had been lost before has taken no dot
        reply = await line.reply(self._final, slow=self.withdraw)
        self._kept.prompt = time.monotonic() - began < PROMPT
        self._kept.finished = not trusted
        more = line.waiting()
        if not ahead and more is not None and more.code != 421:
            raise ConnectionLost(f"the server answered twice: {reply.code} {reply.text}, and {more.code} {more.text}")
        return reply

    def _meaning(self, reply: SmtpReply, phase: Phase) -> Reply:
        return meaning(reply, phase, self._order.parcel.recipient)


def envelope(parcel: Parcel, opened: SmtpSession) -> tuple[bytes, bytes, bytes]:
    """Return MAIL, RCPT and DATA for `parcel`.

    Raises:
        UnsafeMail: an address holds what could become another command.
    """
    for address in (parcel.sender, parcel.recipient):
        if not _ARGUMENT.fullmatch(address):
            raise UnsafeMail("An address would end its SMTP command early", ascii(address[:80]))
    size = f" SIZE={len(parcel.wire)}" if opened.size is not None else ""
    return (
        f"MAIL FROM:<{parcel.sender}>{size}\r\n".encode("ascii"),
        f"RCPT TO:<{parcel.recipient}>\r\n".encode("ascii"),
        b"DATA\r\n",
    )


def can_be_asked(parcel: Parcel, opened: SmtpSession) -> bool:
    """Return whether the server can be asked to take `parcel` at all."""
    fits = _ARGUMENT.fullmatch(parcel.sender) and _ARGUMENT.fullmatch(parcel.recipient)
    return bool(fits) and not too_large(parcel, opened)


def too_large(parcel: Parcel, opened: SmtpSession) -> bool:
    """Return whether the server has said that it takes no letter of this size."""
    return opened.size is not None and len(parcel.wire) > opened.size


def stuffed(wire: bytes) -> bytes:
    """Return `wire` with a dot doubled at the begin of each line (RFC 5321, section 4.5.2), ending in CRLF."""
    if not wire.endswith(b"\r\n"):
        wire += b"\r\n"
    if wire.startswith(b"."):
        wire = b"." + wire
    return wire.replace(b"\r\n.", b"\r\n..")
