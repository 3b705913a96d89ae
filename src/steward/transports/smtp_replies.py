"""What a server's reply means for a letter, and for us: pure functions."""

from __future__ import annotations

import re

from steward.results import Outcome
from steward.transport import Phase, Reply
from steward.transports.smtp_line import ServerReply

_RELAY = re.compile(r"relay|authenticat|not permitted to send|sender.*(not allowed|rejected: not owned)", re.IGNORECASE)
_SIGN_IN = frozenset({530, 534, 535, 538})


def meaning(reply: ServerReply, phase: Phase) -> Reply:
    """Return what `reply` says about the letter.

    The first digit decides (RFC 5321, section 4.2.1): 4 is again later, 5 is final. A refusal to relay, or a demand
    to sign in, is about us and not about the letter.
    """
    if phase is Phase.DOT and 200 <= reply.code < 300:
        return Reply(Outcome.ACCEPTED, Phase.DONE, reply.code, reply.text)
    if reply.code in _SIGN_IN or (
        reply.code >= 500 and phase in (Phase.MAIL, Phase.RCPT) and _RELAY.search(reply.text)
    ):
        return Reply(Outcome.DEFERRED, phase, reply.code, reply.text, ours=True)
    if 500 <= reply.code < 600:
        return Reply(Outcome.REFUSED, phase, reply.code, reply.text)
    return Reply(Outcome.DEFERRED, phase, reply.code, reply.text)
