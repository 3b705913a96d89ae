"""What a reply means: the phase, the code and the enhanced code decide, and what is about us refuses no letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.mail.transport import Phase
from steward.mail.transports.smtp.bounces import enhanced, meaning, without_echo
from steward.mail.transports.smtp.connection import SmtpReply, words
from steward.model.results import Outcome

LETTER = MAIL, RCPT, DATA, DOT = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT)
TO = "ada@example.org"


@given(st.integers(200, 599), st.text(max_size=40), st.sampled_from(LETTER))
def test_only_a_yes_to_the_dot_is_an_acceptance_and_only_a_five_a_refusal(code, text, phase):
    reply = meaning(SmtpReply(code, (text.encode(),)), phase)
    assert (reply.outcome is Outcome.ACCEPTED) is (phase is Phase.DOT and code < 300)
    if reply.outcome is Outcome.REFUSED:
        assert code >= 500
        assert not reply.ours
    if 400 <= code < 500:
        assert (reply.outcome, reply.ours) == (Outcome.DEFERRED, False)
    if reply.ours:
        assert reply.outcome is Outcome.DEFERRED
    assert (reply.code, reply.text) == (code, words(text.encode()))


# Replies as real servers give them. What they lead to: L the letter is refused, U it is about us, D come again.
REPLIES = [
    # Postfix
    ("L", RCPT, 550, "5.1.1 <ada@example.org>: Recipient address rejected: User unknown in local recipient table"),
    ("L", RCPT, 550, "5.1.1 <ada@example.org>: Recipient address rejected: User unknown in relay recipient table"),
    ("L", RCPT, 550, "5.1.2 <ada@example.org>: Recipient address rejected: Domain not found"),
    ("L", RCPT, 556, "5.1.10 <ada@example.org>: Recipient address rejected: Domain does not accept mail (nullMX)"),
    ("L", RCPT, 554, "5.7.1 <ada@example.org>: Recipient address rejected: Access denied"),
    ("L", RCPT, 501, "5.1.3 Bad recipient address syntax"),
    ("L", RCPT, 552, "5.2.2 <ada@example.org>: user is over quota"),
    ("U", RCPT, 554, "5.7.1 <ada@example.org>: Relay access denied"),
    ("D", RCPT, 454, "4.7.1 <ada@example.org>: Relay access denied"),
    ("U", RCPT, 553, "5.1.8 <office@example.org>: Sender address rejected: Domain not found"),
    ("U", MAIL, 553, "5.1.8 <office@example.org>: Sender address rejected: Domain not found"),
    ("U", MAIL, 550, "5.1.0 <office@example.org>: Sender address rejected: User unknown in local recipient table"),
    ("U", RCPT, 553, "5.7.1 <office@example.org>: Sender address rejected: not owned by user office"),
    ("U", RCPT, 553, "5.7.1 <office@example.org>: Sender address rejected: not logged in"),
    ("U", MAIL, 530, "5.7.0 Must issue a STARTTLS command first"),
    ("U", RCPT, 554, "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"),
    ("U", RCPT, 504, "5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    ("U", RCPT, 550, "5.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.7]"),
    ("D", RCPT, 450, "4.2.0 <ada@example.org>: Recipient address rejected: Greylisted"),
    ("D", RCPT, 450, "4.1.8 <office@example.org>: Sender address rejected: Domain not found"),
    ("D", RCPT, 452, "4.5.3 Error: too many recipients"),
    ("D", MAIL, 452, "4.3.1 Insufficient system storage"),
    ("L", MAIL, 552, "5.3.4 Message size exceeds fixed limit"),
    ("L", DOT, 554, "5.7.1 Spam message rejected"),
    ("L", DOT, 550, "5.7.1 Command rejected: message contains a virus"),
    ("L", DOT, 554, "5.6.0 Message contains NUL characters"),
    ("L", DATA, 554, "5.5.1 Error: no valid recipients"),
    ("U", DATA, 554, "5.7.1 <DATA>: Data command rejected: Relay access denied"),
    # Exim
    ("U", RCPT, 550, "relay not permitted"),
    ("U", RCPT, 550, "Relaying is not permitted, authentication required"),
    ("U", RCPT, 550, "Sender verify failed"),
    ("U", RCPT, 550, "Verification failed for <office@example.org> Unrouteable address Sender verify failed"),
    ("U", RCPT, 550, "Access denied - Invalid HELO name (See RFC2821 4.1.1.1)"),
    ("U", RCPT, 503, "AUTH command required: please log in first"),
    ("L", RCPT, 550, "Unrouteable address"),
    ("L", RCPT, 550, "No Such User Here"),
    ("L", RCPT, 550, "Unknown user"),
    ("L", RCPT, 550, "Administrative prohibition"),
    ("L", RCPT, 550, "user account disabled"),
    ("L", DOT, 552, "Message size exceeds maximum permitted"),
    ("D", RCPT, 451, "Temporary local problem - please try later"),
    ("D", RCPT, 552, "too many recipients"),
    # Exchange and Exchange Online
    ("U", RCPT, 550, "5.7.1 Unable to relay"),
    ("U", RCPT, 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
    ("U", RCPT, 550, "5.7.64 TenantAttribution; Relay Access Denied [mx.example.com]"),
    ("U", MAIL, 530, "5.7.57 Client not authenticated to send mail. [PR0P264CA0001.FRAP264.PROD.OUTLOOK.COM]"),
    ("U", MAIL, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender"),
    ("U", DOT, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender"),
    (
        "U",
        DOT,
        554,
        "5.2.252 SendAsDenied; a@x.org not allowed to send as b@x.org; STOREDRV.Submission.Exception",
    ),
    ("U", DOT, 550, "5.7.705 Access denied, tenant has exceeded threshold"),
    ("U", RCPT, 550, "5.7.606 Access denied, banned sending IP [192.0.2.7]"),
    ("L", RCPT, 550, "5.4.1 Recipient address rejected: Access denied. [AM5EUR02FT035.eop-EUR02.prod.outlook.com]"),
    ("L", RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    ("L", DOT, 550, "5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; sender not authenticated for group"),
    ("L", DOT, 550, "5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient"),
    ("D", RCPT, 552, "5.5.3 too many recipients"),
    ("D", RCPT, 451, "4.7.500 Server busy. Please try again later from [192.0.2.7]."),
    ("D", DOT, 432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"),
    # Gmail and its relay
    (
        "L",
        RCPT,
        550,
        "5.1.1 The email account that you tried to reach does not exist. https://support.google.com/?p=relay - gsmtp",
    ),
    ("L", RCPT, 552, "5.2.2 The email account that you tried to reach is over quota. - gsmtp"),
    ("L", RCPT, 550, "5.2.1 The email account that you tried to reach is disabled. - gsmtp"),
    ("D", RCPT, 452, "4.2.2 The email account that you tried to reach is over quota. - gsmtp"),
    ("U", MAIL, 530, "5.5.1 Authentication Required. Learn more at https://support.google.com/ - gsmtp"),
    ("U", MAIL, 550, "5.7.1 Invalid credentials for relay [192.0.2.7]. The IP address you've registered - gsmtp"),
    ("U", DOT, 550, "5.4.5 Daily user sending limit exceeded. For more information - gsmtp"),
    ("U", DOT, 550, "5.4.5 Daily SMTP relay sending quota exceeded for user. - gsmtp"),
    ("U", DOT, 550, "5.7.25 The IP address sending this message does not have a PTR record setup - gsmtp"),
    ("L", DOT, 550, "5.7.26 this mail is unauthenticated (DMARC)"),
    ("L", DOT, 550, "5.7.1 Our system has detected that this message is likely unsolicited mail. - gsmtp"),
    ("L", DOT, 552, "5.7.0 This message was blocked because its content presents a potential security issue."),
    ("D", RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly. - gsmtp"),
    # Amazon SES
    (
        "U",
        DOT,
        554,
        "Message rejected: Email address is not verified. The following identities failed the check in region X: a@b",
    ),
    ("U", DOT, 554, "Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform `ses:SendRawEmail'"),
    ("U", DOT, 554, "Message rejected: Sending suspended for this account. For more information, please check"),
    ("D", DOT, 454, "Throttling failure: Daily message quota exceeded."),
    ("D", DOT, 454, "Throttling failure: Maximum sending rate exceeded."),
    ("U", MAIL, 530, "Authentication required"),
    ("L", RCPT, 501, "Invalid RCPT TO address provided"),
    ("L", DOT, 554, "Transaction failed: Invalid domain name: 'x..y'."),
    # Sendmail
    ("U", RCPT, 550, "5.7.1 <ada@example.org>... Relaying denied"),
    ("U", RCPT, 550, "5.7.1 <ada@example.org>... Relaying denied. Proper authentication required."),
    ("U", RCPT, 550, "5.7.1 ada@example.org... Relaying denied. IP name lookup failed [192.0.2.7]"),
    ("U", MAIL, 553, "5.1.8 <office@example.org>... Domain of sender address office@example.org does not exist"),
    ("U", MAIL, 550, "5.0.0 Access denied"),
    ("L", RCPT, 550, "5.1.1 <ada@example.org>... User unknown"),
    ("L", RCPT, 553, "5.3.0 <ada@example.org>... Spam blocked see: http://spamcop.net/bl.shtml?192.0.2.7"),
    ("L", RCPT, 550, "5.2.1 <ada@example.org>... Mailbox disabled for this recipient"),
    ("D", MAIL, 451, "4.1.8 Domain of sender address office@example.org does not resolve"),
    ("L", MAIL, 552, "5.2.3 Message size exceeds fixed maximum message size (1000)"),
    ("L", DATA, 503, "5.0.0 Need RCPT (recipient)"),
    # qmail
    ("U", RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
    ("U", RCPT, 553, "sorry, your envelope sender is in my badmailfrom list (#5.7.1)"),
    ("U", MAIL, 530, "Authorization required (#5.7.1)"),
    ("L", RCPT, 550, "sorry, no mailbox here by that name. (#5.1.1)"),
    ("L", RCPT, 511, "sorry, no mailbox here by that name (#5.1.1 - chkuser)"),
    ("L", DOT, 552, "sorry, that message size exceeds my databytes limit (#5.3.4)"),
    ("L", DOT, 554, "mail server permanently rejected message (#5.3.0)"),
    ("D", DOT, 451, "qq temporary problem (#4.3.0)"),
    # Others that relay
    ("U", DOT, 550, "The from address does not match a verified Sender Identity. Mail cannot be sent until"),
    ("U", RCPT, 550, "5.7.1 You are not authorized to send from this domain"),
    ("U", RCPT, 550, "5.7.27 Sender domain has a null MX"),
    ("U", RCPT, 550, "5.7.23 SPF validation failed"),
    # Bare codes
    ("L", RCPT, 550, ""),
    ("L", RCPT, 553, "no"),
    ("L", DOT, 554, "Transaction failed"),
    ("L", RCPT, 552, "Requested mail action aborted: exceeded storage allocation"),
    ("U", MAIL, 550, ""),
    ("U", MAIL, 501, "Syntax error in parameters"),
    ("U", MAIL, 555, "5.5.4 MAIL FROM parameters not recognized"),
]  # fmt: skip


@pytest.mark.parametrize(("leads_to", "phase", "code", "text"), REPLIES, ids=lambda value: str(value)[:48])
def test_replies_of_real_servers(leads_to, phase, code, text):
    reply = meaning(SmtpReply(code, (text.encode(),)), phase, TO)
    found = "U" if reply.ours else {Outcome.REFUSED: "L", Outcome.DEFERRED: "D"}[reply.outcome]
    assert found == leads_to


NASTY = [
    "relay.for.life@example.org",
    "relay@example.org",
    "sender-rejected@relay.example.org",
    "authentication.required@example.org",
    "helo@ptr.blacklist.example",
    "dnsbl@blocked-using.example.org",
    "Not.Permitted.To.Send@RELAY.example",
]


@pytest.mark.parametrize("to", NASTY)
@pytest.mark.parametrize("says", ["", "5.1.1 ", "5.2.1 ", "5.4.1 ", "5.7.1 ", "5.0.0 "])
@pytest.mark.parametrize(
    "words",
    [
        "<{}>: User unknown",
        "{}... no such user",
        "user {} unknown",
        "'{}' does not exist",
        "unknown: {}",
        "[{}] no",
        "{}",
    ],
)
@pytest.mark.parametrize("part", ["whole", "local"])
def test_what_a_server_repeats_of_the_recipient_is_no_reason(to, says, words, part):
    echoed = to if part == "whole" else to.partition("@")[0]
    reply = meaning(SmtpReply(550, ((says + words.format(echoed)).encode(),)), RCPT, to)
    assert (reply.outcome, reply.ours) == (Outcome.REFUSED, False)


@pytest.mark.parametrize("to", NASTY)
@pytest.mark.parametrize(
    "words", ["5.7.1 <{}>: Relay access denied", "{} relay not permitted", "relaying denied for {}"]
)
def test_what_it_says_beside_the_recipient_still_counts(to, words):
    assert meaning(SmtpReply(554, ((words.format(to)).encode(),)), RCPT, to).ours


@given(st.from_regex(r"[a-z0-9._-]{1,40}@[a-z0-9.-]{1,30}", fullmatch=True), st.sampled_from(["5.1.1 ", "5.2.2 "]))
def test_a_mailbox_that_is_not_there_is_its_own_matter_whoever_it_is(to, says):
    assert meaning(SmtpReply(550, ((f"{says}<{to}>: user unknown").encode(),)), RCPT, to).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5.1.1 no", (1, 1)),
        ("sorry (#5.7.1)", (7, 1)),
        ("5.7.708 x", (7, 708)),
        ("5.1.1", (1, 1)),
        ("5.1.1.1 is an address", None),
        ("no 5.1.1 here", None),
        ("6.1.1 no", None),
        ("", None),
    ],
)
def test_the_enhanced_code_stands_first_or_as_qmail_has_it(text, found):
    assert enhanced(text) == found


def test_links_hosts_and_quotations_are_no_reasons():
    said = without_echo(
        "5.1.1 see https://x.example/relay \"relay\" 'ptr' mx.relay.example [relay] it isn't one, isn't it"
    )
    assert "relay" not in said
    assert "ptr" not in said
    assert "isn't one, isn't" in said
