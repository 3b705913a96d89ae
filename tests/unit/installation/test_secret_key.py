"""A chosen key is judged; what is random passes, and what can be guessed does not."""

from __future__ import annotations

import random
import string
import uuid

import pytest

from steward.errors import ConfigurationError
from steward.installation import secret_key, settings

GUESSED = {
    "one letter": "a" * 40,
    "two letters": "ab" * 20,
    "a word again and again": "tomato-" * 6,
    "a long unit twice": "mQ7x!pZ2rT9" * 4,
    "hexadecimal digits in order": "0123456789abcdef" * 2,
    "the alphabet": string.ascii_lowercase + "012345",
    "backwards": (string.ascii_lowercase + "012345")[::-1],
    "a keyboard": "qwertyuiopasdfghjklzxcvbnm1234567890",
    "an example": "change-me-change-this-your-secret-key-here",
    "another": "your_secret_key_here_test_password1",
    "mixed case": "aAaAaAaAaAbBbBbBbBbBcCcCcCcCcCdDdDdD",
    "blanks": " " * 40,
}
ALPHABETS = {
    "digits": (string.digits, 40),
    "hexadecimal": (string.hexdigits[:16], 32),
    "base32": (string.ascii_uppercase + "234567", 32),
    "lower case": (string.ascii_lowercase, 32),
    "base64": (string.ascii_letters + string.digits + "-_", 43),
    "printable": (string.printable[:95], 32),
}


@pytest.mark.parametrize("key", GUESSED.values(), ids=GUESSED)
def test_what_can_be_guessed_is_refused_in_words_that_do_not_show_it(key):
    with pytest.raises(ConfigurationError, match="STEWARD_SECRET_KEY can be guessed") as refused:
        _ = settings.load(secret_key=key).key
    assert key not in str(refused.value)


@pytest.mark.parametrize(("letters", "length"), ALPHABETS.values(), ids=ALPHABETS)
def test_what_is_random_passes(letters, length):
    chance = random.Random(214)
    weak = [k for k in ("".join(chance.choices(letters, k=length)) for _ in range(5000)) if secret_key.weakness(k)]
    assert not weak


def test_a_uuid_and_a_marked_key_pass():
    chance = random.Random(214)
    for _ in range(1000):
        assert not secret_key.weakness(str(uuid.UUID(int=chance.getrandbits(128), version=4)))
        assert not secret_key.weakness("django-insecure-" + "".join(chance.choices(string.ascii_letters, k=50)))


def test_a_short_key_is_refused():
    with pytest.raises(ConfigurationError, match="too short"):
        secret_key.chosen("mQ7x!pZ2rT9")
