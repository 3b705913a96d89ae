"""Letters from templates: who gets one, under which words, and that a repeat is the same to the byte."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import default

import pytest

from steward.documents.templates import Templates
from steward.errors import Rejected, TemplateError
from steward.mail.message.letter import MessageComposer
from steward.mail.message.message import compose
from steward.model.content import Attachment, Email

WHEN = datetime(2026, 11, 24, 8, 15, tzinfo=UTC)
TASK = "0198c0de-0000-7000-8000-000000000001"


@pytest.fixture
def templates(tmp_path):
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "subject.txt.j2").write_text("Hello, {{ name }}\n")
    (folder / "body.txt.j2").write_text("Dear {{ name }},\n\n{{ organization }} greets you.\n")
    (folder / "body.html.j2").write_text(
        "<style>p { color: red }</style><title>{{ subject }}</title><p>Dear {{ name }},</p>"
    )
    return tmp_path


@pytest.fixture
def letters(templates):
    return make(templates)


def make(templates, sender="Local 214 <office@example.org>"):
    domain = sender.rpartition("@")[2].rstrip(">")
    return MessageComposer(
        Templates([templates]),
        sender=sender,
        organization="Local 214",
        public_url="https://s.example.org",
        domain=domain,
    )


def write(letters, email=None, **changes):
    email = email or Email(**({"to": "ada@example.org", "template": "hello", "context": {"name": "Ada"}} | changes))
    return letters.write(email, task_id=TASK, created_at=WHEN)


def read(message):
    return BytesParser(policy=default).parsebytes(compose(message))


def test_each_recipient_gets_a_message_of_their_own(letters):
    messages = write(letters, to=["ada@example.org", "bob@example.org", "eve@example.org"])
    assert [m.recipient for m in messages] == ["ada@example.org", "bob@example.org", "eve@example.org"]
    assert len({m.message_id for m in messages}) == 3
    for message in messages:
        assert str(read(message)["To"]) == message.recipient
        assert b"bob@" not in compose(message) or message.recipient.startswith("bob@")


def test_an_empty_subject_is_refused_in_words(templates, letters):
    for text in ("", "  \n", "{{ nothing }}", "\u0007"):
        (templates / "hello" / "subject.txt.j2").write_text(text)
        with pytest.raises(TemplateError, match="'hello' has an empty subject"):
            write(make(templates), context={"name": "Ada", "nothing": ""})


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("office@example.org", "office@example.org"),
        ("Local 214 Büro <office@example.org>", "Local 214 Büro <office@example.org>"),
        ('"a@x.org, Inc." <office@example.org>', '"a@x.org, Inc." <office@example.org>'),
        ('"The \\"Hall\\"" <office@example.org>', '"The \\"Hall\\"" <office@example.org>'),
        ("<office@example.org>", "office@example.org"),
    ],
)
def test_the_sender_is_the_one_that_was_set(templates, sender, shown):
    letters = make(templates, sender)
    assert letters.envelope_sender == "office@example.org"
    assert str(read(write(letters)[0])["From"]) == shown


@pytest.mark.parametrize(
    "sender",
    [
        "a@x.org <office@example.org>",
        "a@x.org, office@example.org",
        "Local, Inc. <office@example.org>",
        "Local (214) <office@example.org>",
        "Local 214 office@example.org",
        "<office@example.org> Local",
        '"Local <office@example.org>',
        "Local <office@example.org",
        "Local <a@x.org> <office@example.org>",
        "Local <>",
        "office",
        "",
        "Local\r\nBcc: eve@x.org <office@example.org>",
    ],
)
def test_a_sender_that_could_be_read_in_two_ways_is_refused(templates, sender):
    with pytest.raises(Rejected):
        make(templates, sender)


PICTURE = bytes.fromhex("89504e470d0a1a0a")


def with_picture(templates, html):
    (templates / "assets" / "sub").mkdir(parents=True, exist_ok=True)
    (templates / "assets" / "logo.png").write_bytes(PICTURE)
    (templates / "assets" / "sub" / "sign.gif").write_bytes(b"GIF89a")
    (templates / "assets" / "list.txt").write_text("words")
    (templates / "hello" / "body.html.j2").write_text(f"<style>p {{ color: red }}</style>{html}")
    return make(templates)


def test_pictures_of_the_assets_travel_within_the_letter(templates):
    html = (
        "<img src=\"asset:logo.png\" alt=\"Local 214\"><p>asset: words stay</p><IMG alt='' SRC='asset:logo.png'>"
        '<div style="background: url(asset:sub/sign.gif)">x</div>'
    )
    (message,) = write(with_picture(templates, html), attachments=())
    parsed = read(replace(message, attachments=(Attachment("a.csv", b"1", "text/csv"),)))
    mixed = list(parsed.iter_parts())
    assert (parsed.get_content_type(), mixed[0].get_content_type()) == ("multipart/mixed", "multipart/alternative")
    text, related = mixed[0].iter_parts()
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    assert related.get_param("type") == "text/html"
    body, *pictures = related.iter_parts()
    shown = body.get_content()
    assert "asset:logo" not in shown
    assert "asset: words stay" in shown
    kept = {str(p["Content-ID"]).strip("<>"): (p.get_content_type(), p.get_content()) for p in pictures}
    assert sorted(kept.values()) == [("image/gif", b"GIF89a"), ("image/png", PICTURE)]
    assert set(re.findall(r"cid:([^\"')]+)", shown)) == set(kept)
    assert {p.get_content_disposition() for p in pictures} == {"inline"}
    assert [p.get_filename() for p in parsed.iter_attachments()] == ["a.csv"]
    assert compose(message) == compose(write(with_picture(templates, html))[0])


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ('<img src="asset:logo.png">', "has no alt"),
        ('<img src="asset:lgoo.png" alt="x">', "Did you mean 'logo.png'"),
        ('<img src="asset:../secret" alt="x">', "There is no asset"),
        ('<img src="asset:list.txt" alt="x">', "is no picture"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_refused_in_words(templates, html, words):
    with pytest.raises(TemplateError, match=re.escape(words)):
        write(with_picture(templates, html))


def test_one_mailbox_gets_one_copy_however_its_address_is_written(letters):
    given = [
        "Ada@example.org",
        "bob@example.org",
        "ada@EXAMPLE.org",
        "Ada@example.org",
        "x@bücher.example",
        "x@xn--bcher-kva.example",
    ]
    assert [m.recipient for m in write(letters, to=given)] == [
        "Ada@example.org",
        "bob@example.org",
        "x@xn--bcher-kva.example",
    ]


def test_a_repeat_is_the_same_to_the_byte(templates):
    def once():
        return [compose(m) for m in write(make(templates), to=["ada@example.org", "bob@example.org"])]

    first = once()
    assert once() == first
    assert len(set(first)) == 2
    parsed = BytesParser(policy=default).parsebytes(first[0])
    assert parsed["Message-ID"] == f"<{TASK}.0@example.org>"
    assert parsed["Date"].datetime == WHEN


@pytest.mark.parametrize(
    "name",
    [
        "Ada\r\nBcc: eve@evil.example",
        "Ada\0",
        "A\u2028da",
        "=?utf-8?q?Hi=0D=0ABcc:_eve@evil.example?=",
        "=?utf-8?b?SGkNCg==?=",
        "\x1b[31m",
    ],
)
def test_a_hostile_name_stays_text_and_fails_no_letter(letters, name):
    (message,) = write(letters, context={"name": name})
    parsed = read(message)
    assert parsed.get_all("Bcc") is None
    assert len(parsed.get_all("Subject")) == 1
    assert str(parsed["Subject"]).startswith("Hello, ")
    assert str(parsed["Subject"]).isprintable()
    assert str(parsed["To"]) == "ada@example.org"


@pytest.mark.parametrize(
    "name", ["{{ 7*7 }}", "<script>alert(1)</script>", "{% raw %}", "${7*7}", "Zoë 😀 Müller-Lüdenscheidt", "‮evil"]
)
def test_a_name_stays_what_it_is(letters, name):
    (message,) = write(letters, context={"name": name})
    parsed = read(message)
    assert str(parsed["Subject"]) == f"Hello, {name}"
    assert f"Dear {name}," in parsed.get_body(("plain",)).get_content()
    html = parsed.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "49" not in html


def test_styles_are_written_into_the_elements(letters):
    html = read(write(letters)[0]).get_body(("html",)).get_content()
    assert '<p style="color: red;">' in html.replace("color:red", "color: red")


def test_a_letter_without_html_is_text_alone(letters, templates):
    (templates / "hello" / "body.html.j2").unlink()
    parsed = read(write(make(templates))[0])
    assert parsed.get_content_type() == "text/plain"
    assert parsed.get_content().replace("\r\n", "\n") == "Dear Ada,\n\nLocal 214 greets you.\n"


def test_a_letter_without_text_is_refused_with_the_remedy(templates):
    (templates / "hello" / "body.txt.j2").unlink()
    with pytest.raises(TemplateError, match=r"Add hello/body\.txt\.j2"):
        write(make(templates))


def test_a_letter_to_nobody_is_refused(letters):
    with pytest.raises(Rejected, match="has no recipient"):
        write(letters, to=[])


@pytest.mark.parametrize(
    "to", ["", "a@x.org, b@y.org", "Ada <ada@example.org>", ["ada@example.org", "b@y.org;c@z.org"]]
)
def test_what_is_not_one_address_each_is_refused_whole(letters, to):
    with pytest.raises(Rejected, match="is not an address"):
        write(letters, to=to)


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("Local 214 <office@example.org>", "Local 214"),
        ("office@example.org", ""),
        ('"Training, Local 214" <office@example.org>', "Training, Local 214"),
        ("Büro Süd <office@example.org>", "Büro Süd"),
        ('"Büro, \\"Süd\\"" <office@example.org>', 'Büro, "Süd"'),
        ("Office <office@bücher.example>", "Office"),
    ],
)
def test_the_sender_is_shown_as_set(templates, sender, shown):
    letters = make(templates, sender)
    (message,) = write(letters)
    (found,) = read(message)["From"].addresses
    assert found.display_name == shown
    assert found.addr_spec == letters.envelope_sender
    assert letters.envelope_sender.isascii()
    assert message.message_id.isascii()


def test_files_and_addresses_for_replies_and_unsubscribing_go_along(letters):
    email = Email(
        "ada@example.org",
        "hello",
        {"name": "Ada"},
        reply_to="Dues@Example.org",
        unsubscribe="https://example.org/u/" + "x" * 200,
    )
    (message,) = letters.write(
        email, task_id=TASK, created_at=WHEN, first=7, attachments=[Attachment("Ä\r\n.csv", b"1", "text/csv")]
    )
    wire = compose(message)
    parsed = BytesParser(policy=default).parsebytes(wire)
    assert message.message_id.endswith(".7@example.org>")
    assert str(parsed["Reply-To"]) == "Dues@example.org"
    assert b"List-Unsubscribe: <https://example.org/u/" + b"x" * 200 + b">\r\n" in wire
    assert [p.get_filename() for p in parsed.iter_attachments()] == ["Ä .csv"]
