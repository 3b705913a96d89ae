"""What a reply means: the first digit decides, and what is about us is not held against a letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.results import Outcome
from steward.transport import Phase
from steward.transports.smtp_line import ServerReply
from steward.transports.smtp_replies import meaning

LETTER = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT)


@given(st.integers(200, 599), st.text(max_size=40), st.sampled_from(LETTER))
def test_only_a_yes_to_the_dot_is_an_acceptance_and_only_a_five_a_refusal(code, text, phase):
    reply = meaning(ServerReply(code, text), phase)
    assert (reply.outcome is Outcome.ACCEPTED) is (phase is Phase.DOT and code < 300)
    if reply.outcome is Outcome.REFUSED:
        assert code >= 500
        assert not reply.ours
    if 400 <= code < 500:
        assert (reply.outcome, reply.ours) == (Outcome.DEFERRED, False)
    if reply.ours:
        assert reply.outcome is Outcome.DEFERRED
    assert (reply.code, reply.text) == (code, text)


@pytest.mark.parametrize(
    ("code", "text", "phase", "ours"),
    [
        (550, "5.1.1 <ada@example.org>: User unknown", Phase.RCPT, False),
        (550, "5.2.1 mailbox disabled", Phase.RCPT, False),
        (554, "5.7.1 <ada@example.org>: Relay access denied", Phase.RCPT, True),
        (550, "5.7.1 Unable to relay", Phase.RCPT, True),
        (530, "5.7.0 Must issue a STARTTLS command first", Phase.MAIL, True),
        (530, "5.7.0 Authentication required", Phase.RCPT, True),
        (553, "5.7.1 Sender address rejected: not owned by user office", Phase.MAIL, True),
        (550, "5.7.60 Client not permitted to send as this sender", Phase.MAIL, True),
        (550, "5.7.26 this mail is unauthenticated (DMARC)", Phase.DOT, False),
        (552, "5.3.4 message too big", Phase.DOT, False),
    ],
)
def test_what_is_about_us_is_told_from_what_is_about_the_letter(code, text, phase, ours):
    reply = meaning(ServerReply(code, text), phase)
    assert (reply.ours, reply.outcome) == (ours, Outcome.DEFERRED if ours else Outcome.REFUSED)
