"""Finished messages, held against `EmailMessage` and against whoever would like another header in them."""

from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, default
from email.utils import parseaddr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steward.errors import ConfigurationError, UnsafeMail
from steward.mail.message.message import Message, compose, sender_of
from steward.model.content import Attachment

WHEN = datetime(2026, 11, 24, 8, 15, 30, tzinfo=UTC)
LETTER = Message(
    sender="Local 214 <office@example.org>",
    recipient="ada@example.org",
    subject="Welcome, Ada",
    text="Dear Ada,\n\nwelcome.\n",
    html="<p>Dear Ada,</p>\n<p>welcome.</p>\n",
    message_id="<0198-1.0@example.org>",
    date=WHEN,
)
ONCE = ("Date", "From", "To", "Message-ID", "Subject", "MIME-Version", "Auto-Submitted")

words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=120)
bodies = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), st.just("\n")), max_size=400
)
attachments = st.builds(
    Attachment,
    words.filter(lambda name: name.strip() == name and "=?" not in name and name),
    st.binary(max_size=300),
    st.sampled_from(["application/pdf", "text/csv", "image/png", "application/octet-stream"]),
)
letters = st.builds(
    Message,
    sender=st.builds('"{}" <office@example.org>'.format, words.filter(lambda w: '"' not in w and "\\" not in w)),
    recipient=st.sampled_from(["ada@example.org", "a" * 64 + "@" + "b" * 63 + ".example.org", "o'hara+x@example.org"]),
    subject=words.filter(lambda s: "=?" not in s),
    text=bodies,
    html=st.one_of(st.none(), bodies),
    message_id=st.just("<0198.0@example.org>"),
    date=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    attachments=st.lists(attachments, max_size=3).map(tuple),
    reply_to=st.one_of(st.none(), st.just("reply@example.org")),
)


def parse(wire: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=default).parsebytes(wire)


def standard(letter: Message) -> EmailMessage:
    """Return the same letter as the standard library would write and read it."""
    made = EmailMessage(policy=SMTP)
    made["Date"] = letter.date
    made["From"] = Address(parseaddr(letter.sender)[0], addr_spec="office@example.org")
    made["To"] = letter.recipient
    made["Message-ID"] = letter.message_id
    made["Subject"] = letter.subject
    made["Auto-Submitted"] = "auto-generated"
    if letter.reply_to:
        made["Reply-To"] = letter.reply_to
    made.set_content(letter.text, cte="base64")
    if letter.html is not None:
        made.add_alternative(letter.html, subtype="html", cte="base64")
    for file in letter.attachments:
        main, sub = file.media_type.split("/")
        made.add_attachment(file.content, main, sub, filename=file.name)
    return parse(made.as_bytes())


def facts(message: EmailMessage) -> dict:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    files = [(p.get_filename(), p.get_content_type(), p.get_payload(decode=True)) for p in message.iter_attachments()]
    names = ("Date", "From", "To", "Message-ID", "Subject", "Reply-To", "Auto-Submitted", "MIME-Version")
    # The library's reader puts blanks between the encoded words of a name (RFC 2047, section 6.2, says none).
    return {
        "headers": {name: "".join(str(message[name]).split()) for name in names},
        "text": plain.get_content().replace("\r\n", "\n").rstrip("\n"),
        "html": html.get_content().replace("\r\n", "\n").rstrip("\n") if html else None,
        "files": files,
    }


def sound(wire: bytes) -> None:
    lines = wire.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    assert wire.endswith(b"\r\n")
    assert wire.isascii()


@settings(max_examples=150, deadline=None)
@given(letters)
@example(LETTER)
@example(replace(LETTER, html=None))
@example(replace(LETTER, attachments=(Attachment("Büro – Übersicht 📎.pdf", b"%PDF\0\r\n.\r\n", "application/pdf"),)))
def test_a_letter_says_what_the_standard_library_would_say(letter):
    wire = compose(letter)
    sound(wire)
    message = parse(wire)
    assert facts(message) == facts(standard(letter))
    assert [len(message.get_all(name)) for name in ONCE] == [1] * len(ONCE)
    assert not message.defects
    assert not [d for part in message.walk() for d in part.defects]


def test_the_same_letter_is_the_same_to_the_byte():
    one = replace(LETTER, attachments=(Attachment("a.csv", b"1,2\n", "text/csv"),))
    assert compose(one) == compose(replace(one))
    assert compose(one) != compose(replace(one, message_id="<other@example.org>"))


HOSTILE = [
    "x\r\nBcc: eve@evil.example",
    "x\nBcc: eve@evil.example",
    "x\r\n\r\nAnother body",
    "x\rBcc: eve@evil.example",
    "=?utf-8?q?Hi=0D=0ABcc:_eve@evil.example?=",
    "=?utf-8?b?SGkNCkJjYzogZXZlQGV2aWwuZXhhbXBsZQ==?=",
    "=?utf-8?q?Hi=0D=0A=0D=0Abody?=",
    "x\0y",
    "x\u2028Bcc: eve@evil.example",
    "x\x85Bcc: eve@evil.example",
    "=?nonsense?q?=0D=0A?=",
    "=?utf-8?b?!!!!?=",
    "é" * 5000,
    "x" * 20_000,
    "‮gpj.exe",
    "👩‍🚒" * 500,
    "{{ 7*7 }}<script>alert(1)</script>",
]
FIELDS = ["sender", "recipient", "subject", "message_id", "reply_to", "unsubscribe", "text", "html", "file", "type"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_any_field_is_refused_or_stays_text(field, hostile):
    if field == "file":
        letter = replace(LETTER, attachments=(Attachment(hostile, b"content"),))
    elif field == "type":
        letter = replace(LETTER, attachments=(Attachment("a", b"content", hostile),))
    elif field == "sender":
        letter = replace(LETTER, sender=f"{hostile} <office@example.org>")
    else:
        letter = replace(LETTER, **{field: hostile})
    try:
        wire = compose(letter)
    except UnsafeMail as error:
        assert field not in ("text", "html", "file"), error
        return
    sound(wire)
    message = parse(wire)
    assert set(message.keys()) <= {
        *ONCE, "Content-Type", "Content-Transfer-Encoding", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post",
    }  # fmt: skip
    assert [len(message.get_all(name)) for name in ONCE] == [1] * len(ONCE)
    assert "eve@evil.example" not in str(message["To"])
    parts = [p.get_content_type() for p in message.walk() if not p.is_multipart()]
    assert parts == ["text/plain", "text/html", *(["application/octet-stream"] * (field in ("file", "type")))]
    if field == "subject":
        assert str(message["Subject"]).split() == hostile.split()


def test_an_address_for_unsubscribing_is_never_folded():
    url = "https://members.example.org/unsubscribe/" + "a1b2" * 100 + "?list=x&member=1"
    wire = compose(replace(LETTER, unsubscribe=url))
    assert b"\r\nList-Unsubscribe: <" + url.encode() + b">\r\n" in wire
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in wire


@pytest.mark.parametrize(
    "url", ["http://x.org/u", "javascript:alert(1)", "https://x.org/a b", "https://x.org/é", "", "https://x>"]
)
def test_an_address_for_unsubscribing_is_a_plain_https_url(url):
    if url == "":
        assert b"List-Unsubscribe" not in compose(replace(LETTER, unsubscribe=url))
        return
    with pytest.raises(UnsafeMail, match="https"):
        compose(replace(LETTER, unsubscribe=url))


def test_a_url_too_long_for_one_line_is_refused_and_not_broken():
    with pytest.raises(UnsafeMail, match="longer than mail allows"):
        compose(replace(LETTER, unsubscribe="https://x.org/" + "a" * 1000))


@pytest.mark.parametrize("size", [0, 1, 57, 58, 5_000_000])
def test_attachments_arrive_byte_for_byte(size):
    content = bytes(n * 7 % 256 for n in range(1024)) * (size // 1024 + 1)
    files = (
        Attachment("Prüfbericht №1.pdf", content[:size], "application/pdf"),
        Attachment("letter.eml", b"Subject: inner\r\n\r\nbody\r\n", "message/rfc822"),
        Attachment("../../etc/passwd", b"\xff\xfe\r\n.\r\n", "text/plain"),
    )
    wire = compose(replace(LETTER, attachments=files))
    sound(wire)
    found = list(parse(wire).iter_attachments())
    assert [(p.get_filename(), p.get_payload(decode=True)) for p in found] == [(f.name, f.content) for f in files]


NO_SENDERS = {
    "nothing": "",
    "a name alone": "Local 214",
    "an address that is none": "office@",
    "two": "office@example.org, post@example.org",
    "a name without brackets": "Office office@example.org",
    "an address as a name": "a@x.org <office@y.org>",
    "nobody": "MAILER-DAEMON <>",
    "a blank in the address": "Office < office@example.org >",
    "another header": "Office <office@example.org>\nBcc: x@y.org",
    "a line that ends": '"Office\u2028Bcc" <office@example.org>',
    "a C1 control": "Off\x85ice <office@example.org>",
    "a line end in disguise": '"=?utf-8?q?Hi=0D=0ABcc:_x@y.org?=" <office@example.org>',
    "a name longer than a line": f"{'N' * 1000} <office@example.org>",
}


@pytest.mark.parametrize("setting", NO_SENDERS.values(), ids=NO_SENDERS)
def test_what_is_no_usable_sender_is_refused_in_words(setting):
    with pytest.raises(ConfigurationError) as refused:
        sender_of(setting)
    assert refused.value.what == "STEWARD_MAIL_FROM is not one sender"
    assert "Local 214 <office@example.org>" in refused.value.remedy
    assert str(refused.value).isprintable()


@given(
    st.one_of(st.text(), st.builds('"{}" <office@example.org>'.format, st.text()), st.text().map("{} <o@x.org>".format))
)
@example("Büro <office@exämple.org>")
@example(f"{'é' * 500} <office@example.org>")
def test_with_every_sender_that_is_taken_a_letter_can_be_made(setting):
    try:
        written, address = sender_of(setting)
    except ConfigurationError:
        return
    message = BytesParser(policy=default).parsebytes(compose(replace(LETTER, sender=written)))
    (found,) = message["From"].addresses
    assert found.addr_spec == address
