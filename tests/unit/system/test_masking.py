"""A password is hidden in every way in which somebody may repeat it, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import quopri
from urllib.parse import quote, quote_plus

import pytest

from steward.system import masking
from steward.system.masking import masked

PASSWORDS = ["s3cret/Pass+word=1", "zwölf Boxkämpfer", "x'y\"z<&>;%41", "abcd", "correcthorse", "\\back\\slash"]


def auth(password: str, user: str = "ada") -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


WAYS = {
    "as it is": lambda p: p,
    "percent": lambda p: quote(p, safe=""),
    "percent in lower case": lambda p: quote(p, safe="").lower() if p.islower() else quote(p, safe=""),
    "as in a form": quote_plus,
    "as JSON": lambda p: json.dumps(p),
    "as Python": repr,
    "as HTML": html.escape,
    "quoted printable": lambda p: quopri.encodestring(p.encode(), quotetabs=True).decode().replace("=\n", ""),
    "AUTH LOGIN": lambda p: base64.b64encode(p.encode()).decode(),
    "AUTH PLAIN": auth,
    "AUTH PLAIN, longer name": lambda p: auth(p, "adal"),
    "AUTH PLAIN, longer name still": lambda p: auth(p, "adalo"),
    "base64 for addresses": lambda p: base64.urlsafe_b64encode(f"\0ada\0{p}".encode()).decode(),
    "in base64 with something behind": lambda p: base64.b64encode(f"user={p}\x01auth=x\x01".encode()).decode(),
    "hexadecimal": lambda p: p.encode().hex(),
    "hexadecimal in capitals": lambda p: p.encode().hex().upper(),
    "as an address": lambda p: f"smtp://ada:{quote(p, safe='')}@mail.example.org",
    "bytes": lambda p: repr(p.encode()),
}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_hidden", set())
    monkeypatch.setattr(masking, "_pattern", None)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_is_hidden_in_every_way_of_writing_it(password, way):
    masking.hide(password)
    written = way(password)
    shown = masked(f"535 5.7.8 refused: {written} (try again)")
    assert written not in shown
    assert password not in shown
    assert shown.startswith("535 5.7.8 refused: ")
    assert shown.endswith(" (try again)")


@pytest.mark.parametrize("user", ["", "a", "ad", "ada", "office@example.org"])
def test_of_a_sign_in_in_base64_no_letter_is_left(user):
    masking.hide("correcthorse")
    shown = masked(f"535 5.7.8 refused: {auth('correcthorse', user)} (try again, {auth('correcthorse', user)})")
    assert shown == "535 5.7.8 refused: *** (try again, ***)"


@pytest.mark.parametrize("length", [12, 16, 20])
def test_an_echo_that_was_cut_is_hidden_too(length):
    masking.hide("correcthorsebatterystaple")
    cut = base64.b64encode(b"correcthorsebatterystaple").decode()[:length]
    assert cut not in masked(f"500 unrecognized {cut}")


@pytest.mark.parametrize("way", ["PLAIN", "LOGIN", "plain", "XOAUTH2"])
def test_what_follows_a_way_of_signing_in_is_hidden_whatever_it_is(way):
    assert masked(f"502 AUTH {way} dGhpcyBpcyBub3Q= not understood") == f"502 AUTH {way} *** not understood"


def test_what_is_no_password_stays():
    masking.hide("correcthorse", "abcd", "abc")
    for text in (
        "250 2.0.0 Ok: queued as 4XyZ12AbCdEf",
        "abc",
        "abcde",
        "the horse is correct",
        "http://127.0.0.1:8480/v1",
    ):
        assert masked(text) == text


def test_the_passwords_in_addresses_are_hidden():
    masking.hide_passwords_of("amqp://guest:p%40ss%2Fword@broker//", "sqlite:///x", "redis://h:99999999/x", "")
    assert masked("refused p@ss/word and p%40ss%2Fword") == "refused *** and ***"
