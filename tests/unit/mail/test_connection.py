"""Replies are read whole, however they are cut up on their way."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.mail.transports.smtp.connection import ConnectionLost, SmtpConnection

texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
replies = st.lists(st.tuples(st.integers(200, 599), st.lists(texts, min_size=1, max_size=4)), min_size=1, max_size=5)


def written(code: int, lines: list[str], end: str) -> bytes:
    return "".join(f"{code}{' ' if n == len(lines) - 1 else '-'}{line}{end}" for n, line in enumerate(lines)).encode()


@given(replies, st.lists(st.integers(1, 40), max_size=40), st.sampled_from(["\r\n", "\n"]))
def test_replies_are_the_same_however_they_are_cut_up(given_replies, cuts, end):
    line = SmtpConnection()
    data = b"".join(written(code, lines, end) for code, lines in given_replies)
    for cut in cuts:
        if data:
            line.data_received(data[:cut])
            data = data[cut:]
    if data:
        line.data_received(data)

    async def read() -> list[tuple[int, str]]:
        replies = [await line.reply(1) for _ in given_replies]
        return [(reply.code, reply.text) for reply in replies]

    assert asyncio.run(read()) == [(code, " ".join(part.strip() for part in lines)) for code, lines in given_replies]
    assert line.is_open


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n", b"2 50 ok\r\n", b"250ok\r\n", b"\r\n", b"25\r\n", b"250-a\r\n\xff\xff\xff x\r\n", b"x" * 70_000],
)
def test_what_is_no_smtp_ends_the_line(data):
    line = SmtpConnection()
    line.data_received(data)
    with pytest.raises(ConnectionLost):
        asyncio.run(line.reply(1))
    assert not line.is_open


@given(st.binary(max_size=400))
def test_no_noise_does_more_than_end_the_line(data):
    line = SmtpConnection()
    line.data_received(data)

    async def read() -> None:
        while True:
            reply = await line.reply(0.0)
            assert 0 <= reply.code <= 999

    with pytest.raises((ConnectionLost, TimeoutError)):
        asyncio.run(read())


def test_endless_replies_end_the_line():
    line = SmtpConnection()
    for _ in range(600):
        line.data_received(b"250-and so on\r\n")
    with pytest.raises(ConnectionLost, match="too long"):
        asyncio.run(line.reply(1))


def test_a_reply_that_nobody_asked_for_makes_a_line_unusable():
    line = SmtpConnection()
    assert line.is_open
    line.data_received(b"421 4.3.2 good")
    assert not line.is_open
    line.data_received(b"bye\r\n")
    assert not line.is_open


def test_a_line_that_ended_says_so_to_whoever_writes_or_waits():
    line = SmtpConnection()
    line.connection_lost(ConnectionResetError("reset"))
    with pytest.raises(ConnectionLost, match="reset"):
        line.write(b"QUIT\r\n")
    with pytest.raises(ConnectionLost, match="reset"):
        asyncio.run(line.reply(1))
    with pytest.raises(ConnectionLost, match="reset"):
        asyncio.run(line.drained(1))
