"""Where the mail server is, read from one setting."""

import pytest

from steward.errors import ConfigurationError
from steward.mail.transports.smtp.url import SmtpUrl, parse


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtp://mail.example.org", SmtpUrl("mail.example.org", 587, "starttls")),
        ("smtps://mail.example.org", SmtpUrl("mail.example.org", 465, "tls")),
        ("smtp+plain://127.0.0.1", SmtpUrl("127.0.0.1", 25, "none")),
        ("smtp+plain://localhost:2525", SmtpUrl("localhost", 2525, "none")),
        ("smtp+plain://[::1]:2525", SmtpUrl("::1", 2525, "none")),
        (
            "smtp://office%40example.org:p%40ss%3Aw%2Frd@mail.example.org:2587",
            SmtpUrl("mail.example.org", 2587, "starttls", "office@example.org", "p@ss:w/rd"),
        ),
    ],
)
def test_scheme_host_port_and_who_we_are(url, found):
    assert parse(url) == found


@pytest.mark.parametrize(
    "host", ["mail.example.org", "10.0.0.5", "0.0.0.0", "[::]", "localhost.example.org", "128.0.0.1"]
)
def test_nothing_goes_in_clear_over_a_network(host):
    with pytest.raises(ConfigurationError, match="unencrypted"):
        parse(f"smtp+plain://{host}")


@pytest.mark.parametrize(
    "url", ["", "smtp:", "smtp://", "smtp://:587", "ftp://x", "smtp://x:99999", "smtp://x:y", "smtp://[x"]
)
def test_what_is_no_address_is_refused_with_examples_and_without_the_password(url):
    with pytest.raises(ConfigurationError, match="STEWARD_SMTP_URL"):
        parse(url)
    with pytest.raises(ConfigurationError) as caught:
        parse("smtq://user:the-password@mail.example.org")
    assert "the-password" not in str(caught.value)
    assert "smtps://" in str(caught.value)


def test_the_words_for_it_hold_no_password():
    found = parse("smtp://user:the-password@mail.example.org")
    assert str(found) == "mail.example.org:587"
    assert "the-password" not in repr(found)
