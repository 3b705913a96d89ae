"""Tells hard bounces from soft ones, and what refuses us from what refuses a letter: pure functions of a reply.

The code says whether to come again (RFC 5321, section 4.2.1), the enhanced code whose trouble it is (RFC 3463; how
replies carry it is RFC 2034). Only where both leave that open the words are looked at, and first everything is taken
out of them that the server merely repeats: who was written to, names of hosts, links. An address is no reason.
"""

from __future__ import annotations

import re
from typing import Final

from steward.mail.transport import Phase, Reply
from steward.mail.transports.smtp.connection import SmtpReply
from steward.model.results import Outcome

SIGN_IN: Final = frozenset({530, 534, 535, 538})
"""RFC 4954, section 6: it wants us to sign in, or in another way."""
_ENHANCED: Final = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?![\d.])")

_TOO_MANY: Final = (5, 3)
_TOO_LARGE: Final = frozenset({(2, 3), (3, 4)})
_SENDER: Final = frozenset({(1, 7), (1, 8), (7, 27)})
"""The sender's address is wrong, its domain is not to be found, or takes no mail: so it is for every letter."""
_ACCOUNT: Final = frozenset((7, n) for n in (3, 8, 9, 10, 11, 12, 13, 14, 25, 54, 57, 60, 64))
"""Who we are was not proved, or may not send so (RFC 4954, 5248, 7372; X.7.54 to X.7.64 are Exchange's)."""

_ECHOED: Final = re.compile(
    r"(?i:https?://\S+)|<[^<>]*>|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`']*'|[^\s<>@]+@[^\s<>@]+|\[[^\][]*\]"
    r"|(?<![\w.])[a-z0-9-]+(?:\.[a-z0-9-]+)+"
)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_OURS: Final = _any(
    r"relay(?:ing)? (?:access )?(?:is )?(?:denied|refused|rejected|prohibited|forbidden|disabled)",
    r"relay(?:ing)?\b.*\bnot (?:permitted|allowed|authori[sz]ed|possible|enabled)",
    r"(?:unable|not (?:permitted|allowed)|do(?:es)? not|don't|cannot|can't|won't|will not|refuse) (?:to )?relay",
    r"sender (?:e-?mail )?(?:address )?(?:is |was )?(?:rejected|refused|denied|blocked|unknown|not )",
    r"sender verify fail|sender\b.*\bnot (?:owned|allowed|permitted|verified)|badmailfrom",
    r"(?:envelope|invalid|unverified|unknown|bad) sender",
    r"(?:not (?:permitted|allowed|authori[sz]ed)|permissions?|cannot|unable) to send (?:as|from|mail|messages?)\b",
    r"send ?as ?denied|from[- ]address\b.*\bnot|(?:address|identity|identities|domain)\b.*\bnot verified",
    r"not authori[sz]ed to perform",
    r"(?:daily|hourly|sending|relay)\b(?: [\w-]+){0,4} (?:quota|limit)s?\b.*\b(?:exceeded|reached)",
    r"(?:sending|your account|sender account)\b[^.]*\b(?:suspended|paused|disabled|blocked)",
    r"\bspf\b.*\bfail",
)
"""Of our sender, our account, or relaying for us: whenever it is said."""
_OURS_BEFORE_THE_LETTER: Final = _any(
    r"\brelay(?:ing|ed)?\b|rcpthosts",
    r"\b(?:log|sign)(?:ged)?[ -]?in\b|\bauth first\b|not authenticated|unauthenticated",
    r"(?:authenticat|authori[sz])\w* (?:is )?(?:required|needed|first)|(?:must|please|to) (?:\w+ )?authenticate",
    r"(?:starttls|tls|encryption|secure connection)\b.*\b(?:required|first|needed)",
    r"client (?:host|ip|address|does not have|was not|not)|\b(?:helo|ehlo)\b",
    r"(?:client|host|\bip\b|sender)\b.*\bblocked|blocked using|black-?list|\blisted (?:in|at|by|on)\b|dnsbl|\brbl\b",
    r"reputation|reverse (?:dns|hostname|lookup)|\bptr\b",
)
"""Of our sign-in, our line and our machine; once the letter has been read such words may be about what it says."""
_TOO_MANY_WORDS: Final = re.compile(r"too many recipients", re.IGNORECASE)


def meaning(reply: SmtpReply, phase: Phase, recipient: str = "") -> Reply:
    """Return what `reply` says in `phase` about the letter to `recipient`; `text` is kept as it was said.

    `ours` where every other letter would meet the same: nobody was named yet, our sign-in or our sender does not do, or
    relaying is denied to us. Such a reply refuses no letter, whatever its code.
    """
    code, text = reply.code, reply.text
    if phase is Phase.DOT and 200 <= code < 300:
        return Reply(Outcome.ACCEPTED, Phase.DONE, code, text)
    if code in SIGN_IN:
        return Reply(Outcome.DEFERRED, phase, code, text, ours=True)
    if not 500 <= code < 600 or _too_many(code, text, phase):
        return Reply(Outcome.DEFERRED, phase, code, text)
    if _is_ours(code, text, phase, recipient):
        return Reply(Outcome.DEFERRED, phase, code, text, ours=True)
    return Reply(Outcome.REFUSED, phase, code, text)


def enhanced(text: str) -> tuple[int, int] | None:
    """Return subject and detail of the enhanced code in a reply's words: `5.1.1 …`, or as qmail has it `… (#5.1.1)`."""
    found = _ENHANCED.match(text) or re.search(r"\(#" + _ENHANCED.pattern + r"\)", text)
    return (int(found[1]), int(found[2])) if found else None


def without_echo(text: str, recipient: str = "") -> str:
    """Return the server's own words: without what it repeats of the envelope, and without names of hosts and links."""
    local, _, domain = recipient.rpartition("@")
    for echoed in (recipient, domain) if local else ():
        text = re.sub(rf"(?<![\w.]){re.escape(echoed)}(?!\w)", " ", text, flags=re.IGNORECASE)
    if local:
        # A word that somebody is called by is an echo where an address would stand; one with dots or digits anywhere.
        name = rf"(?<![\w.]){re.escape(local)}(?!\w)"
        if local.isalpha():
            name = rf"(?:user|mailbox|recipient|account|address|for|to) {name}|{name}(?=\s*(?:[:;,)]|\.\.\.|$))"
        text = re.sub(name, " ", text, flags=re.IGNORECASE)
    return _ECHOED.sub(" ", text)


def _too_many(code: int, text: str, phase: Phase) -> bool:
    """Whether it says "too many recipients": come again, as after a 452 (RFC 5321, section 4.5.3.1.10)."""
    if phase is not Phase.RCPT:
        return False
    says = enhanced(text)
    return says == _TOO_MANY or (code == 552 and says is None and _TOO_MANY_WORDS.search(text) is not None)


def _is_ours(code: int, text: str, phase: Phase, recipient: str) -> bool:
    says = enhanced(text)
    if phase is Phase.MAIL:
        # Nobody has been named yet: it is about us, but for the size that was declared with it (RFC 1870).
        return code != 552 and says not in _TOO_LARGE
    if says in _SENDER or says in _ACCOUNT or (says is not None and says[0] == 7 and 500 <= says[1] < 800):
        return True
    if says is not None and says[0] == 7 and 100 <= says[1] < 200:  # Exchange: who may write to this group or mailbox
        return False
    if phase is Phase.RCPT and says is not None and says[0] in (1, 2):  # the mailbox and its address
        return False
    words = without_echo(text, recipient)
    return bool(_OURS.search(words) or (phase is not Phase.DOT and _OURS_BEFORE_THE_LETTER.search(words)))
