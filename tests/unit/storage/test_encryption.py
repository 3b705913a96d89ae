"""Encryption at rest."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import ConfigurationError
from steward.storage.encryption import Seal

SEAL = Seal(b"k" * 32)


@given(st.binary(max_size=2000), st.text(max_size=40))
def test_what_is_sealed_opens_only_for_its_owner(content, owner):
    sealed = SEAL.close(content, owner)
    assert SEAL.open(sealed, owner) == content
    with pytest.raises(ConfigurationError):
        SEAL.open(sealed, owner + "x")
    with pytest.raises(ConfigurationError):
        Seal(b"j" * 32).open(sealed, owner)
    with pytest.raises(ConfigurationError):
        SEAL.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), owner)


def test_nothing_of_the_text_is_readable():
    text = "https://example.org/reset/0123456789abcdef"
    sealed = SEAL.close_texts([text], "t")
    for form in (text.encode(), base64.b64encode(text.encode())[:20], zlib.compress(text.encode())[:16]):
        assert form not in sealed
    assert SEAL.open_texts(sealed, "t") == [text]
    assert SEAL.close_texts([], "t") is None
    assert SEAL.open_texts(None, "t") == []


def test_the_same_text_is_never_sealed_the_same_way():
    assert SEAL.close(b"x", "t") != SEAL.close(b"x", "t")
    assert SEAL.digest(b"x") == SEAL.digest(b"x") != SEAL.digest(b"y")
