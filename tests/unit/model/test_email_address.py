"""One address, exactly, or a refusal in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, EmailStr, ValidationError

from steward.errors import Rejected
from steward.model.email_address import LONGEST, EmailAddress, address, normal

LOCAL_64 = "a" * 64
DOMAIN_189 = ".".join(["b" * 63, "c" * 63, "d" * 57, "org"])

GOOD = {
    "ada@example.org": "ada@example.org",
    "Ada.Lovelace@example.org": "Ada.Lovelace@example.org",
    "Ada@EXAMPLE.ORG": "Ada@example.org",
    "o'hara+dues=2026@example.org": "o'hara+dues=2026@example.org",
    "!#$%&'*+-/=?^_`{|}~@example.org": "!#$%&'*+-/=?^_`{|}~@example.org",
    "ada@bücher.example": "ada@xn--bcher-kva.example",
    "ada@xn--bcher-kva.example": "ada@xn--bcher-kva.example",
    "ada@例え.テスト": "ada@xn--r8jz45g.xn--zckzah",
    "root@localhost.localdomain": "root@localhost.localdomain",
    f"{LOCAL_64}@{DOMAIN_189}": f"{LOCAL_64}@{DOMAIN_189}",
}

BLANKS = [(" ", ""), ("", " "), (" ", " "), ("\t", ""), ("", "\u00a0"), ("\u3000", ""), ("", "\u2029"), ("\ufeff", "")]

BAD = [
    "",
    " ",
    "ada",
    "@example.org",
    "ada@",
    "ada@@example.org",
    "a@x.org, b@y.org",
    "a@x.org;b@y.org",
    "a@x.org b@y.org",
    "Ada <ada@example.org>",
    "<ada@example.org>",
    '"ada lovelace"@example.org',
    '"a@b"@example.org',
    "ada@[127.0.0.1]",
    "ada@exa mple.org",
    "ada@example..org",
    "ada@-example.org",
    ".ada@example.org",
    "ada.@example.org",
    "a..b@example.org",
    "ada@example.org\r\nRCPT TO:<eve@x.org>",
    "ada@example.org\n",
    "ada\0@example.org",
    "ada@example.org>",
    "ada(x)@example.org",
    "adä@example.org",
    "用户@example.org",
    "ada@example.org\u2028",
    "ada\u202e@example.org",
    "ada@example.org.",
    "ada@.org",
    f"{LOCAL_64}@{DOMAIN_189}x",
    "a@" + "b" * 64 + ".org",
    f"{LOCAL_64}a@example.org",
    f"{LOCAL_64}.a@bücher.example",
    "a@" + ".".join(["b" * 63] * 4),
    "a@" + ".".join(["b" * 63] * 4) + ".org",
    "a@" + ".".join(["ü" * 30] * 8) + ".org",
    *(f"{before}ada@example.org{after}" for before, after in BLANKS),
    "=?utf-8?q?a=40x?=@example.org\r",
]


@pytest.mark.parametrize(("text", "used"), GOOD.items())
def test_a_good_address_is_used_as_it_stands_with_its_domain_in_ascii(text, used):
    assert address(text) == used
    assert len(used) <= LONGEST
    assert address(used) == used


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_not_exactly_one_address_is_refused_in_words(text):
    with pytest.raises(Rejected, match="is not an address that mail can be sent to") as caught:
        address(text)
    assert caught.value.what.isprintable()
    assert caught.value.why


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-zA-Z0-9.+@\"<>, ]{1,20}@[a-z0-9.-]{1,20}", fullmatch=True)))
def test_whatever_comes_out_can_stand_at_rcpt(text):
    try:
        found = address(text)
    except Rejected:
        return
    assert found.isascii()
    assert found.isprintable()
    assert found.count("@") == 1
    assert not set(found) & set(' <>"\\,;:()[]')
    assert address(found) == found
    assert normal(found) == normal(text)


def test_one_mailbox_has_one_form_however_it_is_written():
    assert normal("Ada@Bücher.Example") == normal("ADA@XN--BCHER-KVA.EXAMPLE") == "ada@xn--bcher-kva.example"
    assert normal("not an äddress") == "not an äddress"


class Field(BaseModel):
    """A payload with an address."""

    email: EmailAddress


class Pydantics(BaseModel):
    """The same with pydantic's own type."""

    email: EmailStr


@pytest.mark.parametrize("text", [t for t in GOOD if "localhost" not in t])
def test_a_field_holds_the_address_as_it_will_be_used(text):
    assert Field(email=text).email == GOOD[text]


@pytest.mark.parametrize(
    "text", [*(b for b in BAD if b.strip()), "root@localhost", "root@printer", "a@b.test", "a@x.local"]
)
def test_a_field_refuses_what_no_letter_can_be_sent_to_in_the_words_of_pydantics_own(text):
    with pytest.raises(ValidationError) as ours:
        Field(email=text)
    try:
        Pydantics(email=text)
    except ValidationError as theirs:
        if text.isprintable():
            assert ours.value.errors()[0]["msg"] == theirs.errors()[0]["msg"]
    assert ours.value.errors()[0]["msg"].startswith("value is not a valid email address: ")


@given(st.from_regex(r"[a-z0-9.+-]{1,12}@[a-z0-9.-]{1,12}(\.org|\.test|\.localhost)?", fullmatch=True))
def test_a_field_takes_what_pydantics_own_takes(text):
    try:
        theirs = Pydantics(email=text).email
    except ValidationError:
        with pytest.raises(ValidationError):
            Field(email=text)
    else:
        assert Field(email=text).email == theirs


def test_a_field_says_in_its_schema_that_it_is_an_address():
    assert Field.model_json_schema()["properties"]["email"] == {"format": "email", "title": "Email", "type": "string"}
