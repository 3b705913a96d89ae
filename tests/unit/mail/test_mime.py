"""Header texts, bodies and file names, held against the standard library's own reading of them."""

import quopri
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser
from email.policy import default

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steward.errors import UnsafeMail
from steward.mail.message import mime

text = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
        st.sampled_from("aé😀 =?_\"\\(),<>@:;.%'*٣שֹׁ‮"),
    ),
    max_size=300,
)
anything = st.text(st.one_of(st.characters(), st.sampled_from("\r\n\0\u2028\u2029\x85\x7f=?")), max_size=200)
HIDING = [
    "=?utf-8?q?Hi=0D=0ABcc:_eve@x.org?=",
    "=?utf-8?b?SGkNCkJjYzogZXZl?=",
    "a =?iso-8859-1?Q?=00?= b",
    "=?utf-8?q?=E2=80=A8?=",
]


def read(header: bytes, *, strict: bool = True):
    return BytesParser(policy=default if strict else policy.compat32).parsebytes(header + b"\r\n\r\nbody\r\n")


@given(text)
@example("")
@example("é" * 300)
@example("x" * 3000)
@example("a " * 400)
@example("=?utf-8?q?Hello?=")
@example("👩‍👩‍👧‍👦" * 40)
def test_a_subject_reads_back_as_it_was_written(subject):
    value = mime.header_text(subject, "Subject")
    lines = value.split(b"\r\n")
    assert max(map(len, lines)) <= mime.LONGEST_LINE
    assert all(line[:1] == b" " and line.strip() for line in lines[1:])
    assert b"\n" not in value.replace(b"\r\n", b"")
    parsed = read(b"Subject: " + value)
    assert parsed.keys() == ["Subject"]
    assert parsed.get_payload() == "body\r\n"
    # A parser unfolds at will and drops blanks at the ends; the words are the same.
    assert str(parsed["Subject"]).split() == subject.split()


@given(text)
def test_encoded_words_are_as_short_as_the_standard_asks(subject):
    for line in mime.header_text(f"é{subject}", "Subject").split(b"\r\n "):
        assert len(line) <= 75


@pytest.mark.parametrize(
    "subject", ["a\r\nBcc: eve@x.org", "a\nb", "a\rb", "a\0b", "\u2028", "\u2029", "\x85", "\x7f", *HIDING]
)
def test_a_subject_that_could_begin_another_header_is_refused(subject):
    with pytest.raises(UnsafeMail, match="control character"):
        mime.header_text(subject, "Subject")


@given(anything)
@example(HIDING[0])
@example("==??utf-8?q?=0A?=")
def test_what_was_made_neutral_is_never_refused_and_stays_text(given_text):
    made = mime.neutral(given_text)
    mime.refuse_controls(made, "Subject")
    assert len(read(b"Subject: " + mime.header_text(made, "Subject")).keys()) == 1
    assert "=?" not in made


@given(text)
@example('Ada "the first" Lovelace, Countess')
@example("Büro (Nord), <x@y>")
@example("a" * 300)
@example("é" * 300)
def test_a_sender_reads_back_as_name_and_address(name):
    parsed = read(b"From: " + mime.mailbox(name, "office@example.org"))
    assert parsed.keys() == ["From"]
    (found,) = parsed["From"].addresses
    assert found.addr_spec == "office@example.org"
    # The library's own reader puts a blank between encoded words (RFC 2047, section 6.2, says none), so read by hand.
    words, _, _ = mime.mailbox(name, "office@example.org").decode().rpartition(" ")
    phrase = words[1:-1].replace('\\"', '"').replace("\\\\", "\\") if words.startswith('"') else words
    assert str(make_header(decode_header(phrase))).split() == name.split()


@given(anything)
@example("no line end")
@example("x" * 5000)
@example("trailing \n\t\nblank ")
@example(".\n..\nFrom me\n--=_boundary\n--\n")
@example("\x00\x01")
def test_a_body_reads_back_as_it_was_written(body):
    encoding, octets = mime.text_body(body)
    assert octets.endswith(b"\r\n")
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 76
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert b"--=_" not in octets
    head = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding
    parsed = BytesParser(policy=default).parsebytes(head + b"\r\n\r\n" + octets)
    wanted = body.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    got = parsed.get_payload(decode=True).decode().replace("\r\n", "\n")
    assert got == wanted if wanted.endswith("\n") else got == wanted + "\n"


@given(st.binary(max_size=2000))
def test_a_file_reads_back_byte_for_byte(content):
    encoded = mime.file_body(content)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    parsed = read(b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded)
    parsed = BytesParser(policy=default).parsebytes(
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded
    )
    assert parsed.get_payload(decode=True) == content


@given(text.map(str.strip))
@example("Quartalsbericht – Büro №7.pdf")
@example("a" * 500 + ".pdf")
@example("é" * 200 + ".pdf")
@example('with "quotes" and \\backslash\\.pdf')
@example("100%.pdf")
@example("it's.pdf")
@example("")
def test_a_file_name_reads_back_as_it_was_written(name):
    value = mime.file_name(name)
    assert max(map(len, value.split(b"\r\n"))) <= 78
    parsed = read(b"Content-Disposition: attachment;\r\n " + value)
    assert parsed.keys() == ["Content-Disposition"]
    assert parsed.get_content_disposition() == "attachment"
    assert parsed.get_filename("") == name


@pytest.mark.parametrize("name", ["a\r\nBcc: x", "a\0b", *HIDING])
def test_a_file_name_that_could_begin_another_header_is_refused(name):
    with pytest.raises(UnsafeMail):
        mime.file_name(name)


@pytest.mark.parametrize(
    ("given_type", "sent"),
    [
        ("application/pdf", b"application/pdf"),
        ("text/csv; charset=utf-8", b"text/csv; charset=utf-8"),
        ('text/x; a="b c"', b'text/x; a="b c"'),
        ("image/svg+xml", b"image/svg+xml"),
        ("message/rfc822", b"application/octet-stream"),
        ("multipart/mixed; boundary=x", b"application/octet-stream"),
    ],
)
def test_a_media_type_goes_as_given_unless_base64_is_forbidden_for_it(given_type, sent):
    assert mime.media_type(given_type) == sent


@pytest.mark.parametrize(
    "given_type", ["", "pdf", "a/b\r\nBcc: x", "a/b; c", "é/x", "a/b c", 'a/b; c="d', "a/b;\n c=d"]
)
def test_what_is_no_media_type_is_refused(given_type):
    with pytest.raises(UnsafeMail):
        mime.media_type(given_type)


@given(st.one_of(st.text(), st.text("ab= \t\n.é-\r", max_size=600), st.text("=aé", min_size=70, max_size=400)))
def test_a_body_decodes_to_what_it_was(text):
    encoding, body = mime.text_body(text)
    content = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    content += b"" if content.endswith(b"\n") else b"\n"
    assert b"\r" not in body.replace(b"\r\n", b"") and b"\n" not in body.replace(b"\r\n", b"")
    if encoding == b"quoted-printable":
        assert body.isascii()
        assert all(len(line) <= 76 and not line.endswith((b" ", b"\t")) for line in body.split(b"\r\n"))
        body = quopri.decodestring(body)
    assert body.replace(b"\r\n", b"\n") == content


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a" * 998, b"7bit"),
        ("a" * 999, b"quoted-printable"),
        ("é", b"quoted-printable"),
        ("\0", b"quoted-printable"),
        ("--=_", b"quoted-printable"),  # it could be taken for a boundary
    ],
    ids=["as long as mail allows", "longer", "not ASCII", "a zero", "a boundary"],
)
def test_only_what_mail_carries_as_it_is_goes_as_it_is(text, encoding):
    assert mime.text_body(f"{text}\nb")[0] == encoding
