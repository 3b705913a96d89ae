"""What every transport promises, and what SMTP makes of a server that misbehaves in each phase."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Literal

import pytest
from tests.servers.certificates import Authority
from tests.servers.ports import wait_until
from tests.servers.scripted_smtp import DROP, RESET, SILENCE, Act, ScriptedSmtp, say
from tests.servers.smtp_sink import SmtpSink

from steward.contracts.transport import SOON, WIRE, TransportContract, parcel
from steward.errors import ConfigurationError, UnsafeMail
from steward.mail.transport import Parcel, Phase, Reply, Transport
from steward.mail.transports.captured import CaptureTransport, messages
from steward.mail.transports.smtp import reach
from steward.mail.transports.smtp.transport import MOST_UNANSWERED, SmtpTransport
from steward.model.results import Outcome

SHORT = {"connect_seconds": 0.5, "greeting_seconds": 0.5, "command_seconds": 0.5, "final_seconds": 0.5}


class TestSmtp(TransportContract):
    @pytest.fixture
    def server(self) -> Iterator[ScriptedSmtp]:
        with ScriptedSmtp() as server:
            yield server

    @pytest.fixture
    def transport(self, server: ScriptedSmtp) -> Iterator[Transport]:
        made = SmtpTransport(server.url())
        yield made
        made.close()

    @pytest.fixture
    def carried(self, server: ScriptedSmtp) -> Callable[[], list[bytes]]:
        return lambda: [transaction.message or b"" for transaction in server.accepted]

    @pytest.fixture
    def unreachable(self) -> Iterator[Transport]:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        made = SmtpTransport(f"smtp+plain://127.0.0.1:{port}", connect_seconds=0.5)
        yield made
        made.close()


class TestCaptured(TransportContract):
    outcome = Outcome.CAPTURED

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Iterator[Transport]:
        made = CaptureTransport(tmp_path / "outbox")
        yield made
        made.close()

    @pytest.fixture
    def carried(self, tmp_path: Path) -> Callable[[], list[bytes]]:
        return lambda: [message.path.read_bytes() for message in messages(tmp_path / "outbox")]

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> Iterator[Transport]:
        made = CaptureTransport(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        yield made
        made.close()


@pytest.fixture
def smtp() -> Iterator[Callable[..., SmtpTransport]]:
    """Makes transports that are closed after the test."""
    made: list[SmtpTransport] = []

    def make(url: str, **options: object) -> SmtpTransport:
        made.append(SmtpTransport(url, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def send(transport: SmtpTransport, *, marked: list[bool] | None = None, **more: object) -> Reply:
    async def before_dot() -> None:
        if marked is not None:
            marked.append(True)

    return transport.send(parcel(**more), before_dot).result(SOON)  # type: ignore[arg-type]


D, R, U = Outcome.DEFERRED, Outcome.REFUSED, Outcome.UNCERTAIN
FAULTS: list[tuple[str, Act, Outcome, Phase, int | None]] = [
    ("greet", say("421 4.3.2 not now", drop=True), D, Phase.CONNECT, 421),
    ("greet", say("554 5.7.1 not you", drop=True), D, Phase.CONNECT, 554),
    ("greet", say("hello?"), D, Phase.CONNECT, None),
    ("greet", DROP, D, Phase.CONNECT, None),
    ("greet", SILENCE, D, Phase.CONNECT, None),
    ("ehlo", DROP, D, Phase.CONNECT, None),
    ("ehlo", SILENCE, D, Phase.CONNECT, None),
    ("ehlo", say("421 4.3.2 closing", drop=True), D, Phase.CONNECT, 421),
    ("mail", say("450 4.1.8 later"), D, Phase.MAIL, 450),
    ("mail", say("421 4.7.0 too many", drop=True), D, Phase.MAIL, 421),
    ("mail", DROP, D, Phase.MAIL, None),
    ("mail", RESET, D, Phase.MAIL, None),
    ("mail", say("what is MAIL?"), D, Phase.MAIL, None),
    ("mail", SILENCE, D, Phase.MAIL, None),
    ("rcpt", say("450 4.2.0 greylisted"), D, Phase.RCPT, 450),
    ("rcpt", say("550 5.1.1 nobody"), R, Phase.RCPT, 550),
    ("rcpt", say("452 4.5.3 too many"), D, Phase.RCPT, 452),
    ("rcpt", say("552 5.5.3 too many recipients"), D, Phase.RCPT, 552),
    ("rcpt", say("550 5.1.1 <ada@example.org>: relaying user unknown"), R, Phase.RCPT, 550),
    ("rcpt", say("550 5.1.1 nobody", drop=True), R, Phase.RCPT, 550),
    ("rcpt", say("550-5.1.1 nobody\r\n550 5.1.1 of this name"), R, Phase.RCPT, 550),
    ("rcpt", say("421 4.7.0 bye", drop=True), D, Phase.RCPT, 421),
    ("rcpt", say("354 wrong place"), D, Phase.RCPT, 354),
    ("rcpt", DROP, D, Phase.RCPT, None),
    ("rcpt", SILENCE, D, Phase.RCPT, None),
    ("data", say("451 4.3.0 later"), D, Phase.DATA, 451),
    ("data", say("554 5.7.1 no"), R, Phase.DATA, 554),
    ("data", say("250 2.0.0 ok?"), D, Phase.DATA, 250),
    ("data", DROP, D, Phase.DATA, None),
    # What came before the dot cannot answer it; a refusal is heard all the same, and then no dot is sent.
    ("data", say("354 go on\r\n552 5.3.4 too big"), R, Phase.DATA, 552),
    ("data", say("354 go on\r\n552 5.3.4 too big", drop=True), R, Phase.DATA, 552),
    ("data", say("354 go on\r\n421 4.3.2 closing", drop=True), D, Phase.DATA, 421),
    ("data", say(b"354 go on\r\n250"), D, Phase.DATA, None),
    ("data", SILENCE, D, Phase.DATA, None),
    ("dot", say("451 4.3.0 local error"), D, Phase.DOT, 451),
    ("dot", say("552 5.2.2 full"), R, Phase.DOT, 552),
    ("dot", say("421 4.3.2 shutting down", drop=True), D, Phase.DOT, 421),
    ("dot", DROP, U, Phase.DOT, None),
    ("dot", say("552 5.2.2 full", drop=True), R, Phase.DOT, 552),
    ("dot", say("250 2.0.0 ok\r\n550 5.0.0 no"), U, Phase.DOT, None),
    ("dot", RESET, U, Phase.DOT, None),
    ("dot", SILENCE, U, Phase.DOT, None),
    ("dot", say(b"25"), U, Phase.DOT, None),
    ("dot", say(b"250-2.0.0 half\r\n", drop=True), U, Phase.DOT, None),
    ("dot", say("354 again?"), U, Phase.DOT, None),
    ("dot", say("HTTP/1.1 200 OK"), U, Phase.DOT, None),
]


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "one-by-one"])
class TestAServerThatMisbehaves:
    @pytest.mark.parametrize(("key", "act", "outcome", "phase", "code"), FAULTS)
    def test_the_phase_and_the_first_digit_decide(
        self,
        smtp: Callable[..., SmtpTransport],
        pipelining: bool,
        key: str,
        act: Act,
        outcome: Outcome,
        phase: Phase,
        code: int | None,
    ) -> None:
        marked: list[bool] = []
        with ScriptedSmtp({key: act}, pipelining=pipelining) as server:
            transport = smtp(server.url(), **SHORT)
            reply = send(transport, marked=marked)
            assert (reply.outcome, reply.phase, reply.code, reply.ours) == (outcome, phase, code, False)
            assert reply.text
            assert bool(marked) is (phase is Phase.DOT), "uncertain is recorded at the dot, and only there"
            # Whatever happened, the next letter goes out whole, over this line or another.
            server.follow({})
            assert send(transport, wire=b"Subject: next\r\n\r\nhello\r\n").outcome is Outcome.ACCEPTED
            assert server.accepted[-1].message == b"Subject: next\r\n\r\nhello\r\n"

    @pytest.mark.parametrize("key", ["greet", "ehlo", "mail", "rcpt", "data", "dot"])
    def test_a_slow_reply_is_awaited_and_nothing_is_repeated(
        self, smtp: Callable[..., SmtpTransport], pipelining: bool, key: str
    ) -> None:
        with ScriptedSmtp({key: [Act(wait=0.4, drip=0.002)]}, pipelining=pipelining) as server:
            assert send(smtp(server.url(), connect_seconds=5, command_seconds=5, final_seconds=5)).outcome is (
                Outcome.ACCEPTED
            )
            assert len(server.transactions) == 1
            assert len(server.sessions) == 1

    def test_the_final_reply_has_its_own_long_limit(self, smtp: Callable[..., SmtpTransport], pipelining: bool) -> None:
        with ScriptedSmtp({"dot": Act(wait=1.2)}, pipelining=pipelining) as server:
            transport = smtp(server.url(), **SHORT | {"final_seconds": 10})
            assert send(transport).outcome is Outcome.ACCEPTED
            assert len(server.transactions) == 1

    def test_a_refused_letter_leaves_the_line_usable(
        self, smtp: Callable[..., SmtpTransport], pipelining: bool
    ) -> None:
        with ScriptedSmtp({"rcpt:no@example.org": say("550 5.1.1 nobody")}, pipelining=pipelining) as server:
            transport = smtp(server.url(), connections=1)
            outcomes = [send(transport, to=to).outcome for to in ("a@x.org", "no@example.org", "b@x.org")]
            assert outcomes == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED]
            assert len(server.sessions) == 1
            assert "RSET" in server.verbs()
            assert [t.recipients for t in server.accepted] == [[b"a@x.org"], [b"b@x.org"]]


def test_a_server_that_takes_data_after_it_refused_the_only_recipient_gets_no_message(
    smtp: Callable[..., SmtpTransport],
) -> None:
    with ScriptedSmtp({"rcpt": say("550 5.1.1 nobody"), "data": say("354 go on anyway")}) as server:
        server.script["rcpt"] = [say("550 5.1.1 nobody")]
        transport = smtp(server.url(), **SHORT)
        assert send(transport).outcome is Outcome.REFUSED
        assert server.transactions == []
        server.follow({})
        assert send(transport).outcome is Outcome.ACCEPTED


def test_a_kept_line_that_has_gone_stale_costs_nothing(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp(close_after=1) as server:
        transport = smtp(server.url(), connections=1)
        for _ in range(5):
            assert send(transport).outcome is Outcome.ACCEPTED
        assert len(server.transactions) == 5
        assert len(server.sessions) == 5


def test_a_kept_line_that_the_server_is_about_to_close_is_replaced_at_once(
    smtp: Callable[..., SmtpTransport],
) -> None:
    with ScriptedSmtp({"mail": [None, say("421 4.4.2 idle too long", drop=True)]}) as server:
        transport = smtp(server.url(), connections=1)
        assert [send(transport).outcome for _ in range(2)] == [Outcome.ACCEPTED] * 2
        assert len(server.sessions) == 2
        assert len(server.transactions) == 2


def test_a_line_lost_at_the_dot_is_never_tried_again_by_the_transport(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp({"dot": [None, DROP]}) as server:
        transport = smtp(server.url(), connections=1)
        assert send(transport).outcome is Outcome.ACCEPTED
        assert send(transport).outcome is Outcome.UNCERTAIN
        assert len(server.transactions) == 2


class TestLettersThatFollowEachOther:
    """The commands of the next letter go with the dot of the one before, over a line that answers at once."""

    @staticmethod
    def start(transport: SmtpTransport, count: int) -> list[Future[Reply]]:
        transport.send(parcel()).result(SOON)  # the line is open, and known to be prompt
        return [transport.send(parcel(f"m{n}@example.org", b"Subject: %d\r\n\r\n" % n)) for n in range(count)]

    def test_the_next_is_asked_for_with_the_dot(self, smtp: Callable[..., SmtpTransport]) -> None:
        # Were the second letter to wait for the reply to the first, the server would not hear of it before.
        seen: list[int] = []
        with ScriptedSmtp({"dot:m0@example.org": Act(wait=0.2)}) as server:

            async def before_dot() -> None:
                seen.append(server.verbs().count("RCPT"))

            transport = smtp(server.url(), connections=1)
            transport.send(parcel()).result(SOON)
            first = transport.send(parcel("m0@example.org"), before_dot)
            second = transport.send(parcel("m1@example.org"))
            server.wait_for("RCPT", 2)
            assert not second.done()
            assert {f.result(SOON).outcome for f in (first, second)} == {Outcome.ACCEPTED}
        assert len(server.sessions) == 1
        assert server.verbs() == ["EHLO", *(["MAIL", "RCPT", "DATA"] * 3), *["QUIT"][: "QUIT" in server.verbs()]]

    @pytest.mark.parametrize("pipelining", [True, False])
    def test_all_arrive_once_and_whole(self, smtp: Callable[..., SmtpTransport], pipelining: bool) -> None:
        with ScriptedSmtp(pipelining=pipelining) as server:
            replies = self.start(smtp(server.url(), connections=2), 200)
            assert {f.result(SOON).outcome for f in replies} == {Outcome.ACCEPTED}
        assert sorted(t.message or b"" for t in server.accepted) == sorted(
            [WIRE, *(b"Subject: %d\r\n\r\n" % n for n in range(200))]
        )

    @pytest.mark.parametrize("act", [DROP, RESET, say("421 4.3.2 closing", drop=True), say("what?")])
    def test_a_line_lost_at_a_dot_leaves_the_next_letter_untouched(
        self, smtp: Callable[..., SmtpTransport], act: Act
    ) -> None:
        with ScriptedSmtp({"dot:m1@example.org": act}) as server:
            replies = [f.result(SOON) for f in self.start(smtp(server.url(), connections=1), 5)]
        lost = Outcome.DEFERRED if replies[1].code == 421 else Outcome.UNCERTAIN
        assert [r.outcome for r in replies] == [Outcome.ACCEPTED, lost, *[Outcome.ACCEPTED] * 3]
        assert sorted(t.recipients[0] for t in server.accepted if t.recipients[0] != b"m1@example.org") == [
            b"ada@example.org",
            *(b"m%d@example.org" % n for n in (0, 2, 3, 4)),
        ]

    @pytest.mark.parametrize(
        ("key", "act", "code"),
        [
            ("dot:m1@example.org", say("552 5.2.2 full"), 552),
            ("rcpt:m1@example.org", say("550 5.1.1 nobody"), 550),
            ("rcpt:m1@example.org", say("450 4.2.0 later"), 450),
        ],
    )
    def test_a_refusal_is_of_one_letter(
        self, smtp: Callable[..., SmtpTransport], key: str, act: Act, code: int
    ) -> None:
        with ScriptedSmtp({key: act}) as server:
            replies = [f.result(SOON) for f in self.start(smtp(server.url(), connections=1), 5)]
        assert [r.code for r in replies] == [250, code, 250, 250, 250]
        assert len(server.sessions) == 1

    def test_a_slow_reply_to_a_dot_does_not_hold_the_next_letter(self, smtp: Callable[..., SmtpTransport]) -> None:
        with ScriptedSmtp({"dot:m0@example.org": Act(wait=4)}) as server:
            slow, *others = self.start(smtp(server.url(), connections=2), 4)
            assert {f.result(3.5).outcome for f in others} == {Outcome.ACCEPTED}
            assert not slow.done()
            assert slow.result(SOON).outcome is Outcome.ACCEPTED
        assert sorted(t.recipients[0] for t in server.accepted) == [
            b"ada@example.org",
            *(b"m%d@example.org" % n for n in range(4)),
        ]

    def test_a_server_that_is_slow_with_every_letter_is_never_asked_ahead(
        self, smtp: Callable[..., SmtpTransport]
    ) -> None:
        with ScriptedSmtp({"dot": Act(wait=0.4)}) as server:
            replies = self.start(smtp(server.url(), connections=1), 4)
            assert {f.result(SOON).outcome for f in replies} == {Outcome.ACCEPTED}
        assert len(server.sessions) == 1

    @pytest.mark.parametrize("ahead", ["forget", "close"])
    def test_a_server_that_loses_what_comes_with_a_dot_is_soon_asked_one_by_one(
        self, smtp: Callable[..., SmtpTransport], ahead: Literal["forget", "close"]
    ) -> None:
        with ScriptedSmtp(ahead=ahead) as server:
            replies = self.start(smtp(server.url(), connections=1, **SHORT), 20)
            assert {f.result(SOON).outcome for f in replies} == {Outcome.ACCEPTED}
        assert len(server.accepted) == 21
        assert len(server.sessions) == 1 + MOST_UNANSWERED


def test_an_urgent_letter_goes_before_all_that_wait(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp({"dot": Act(wait=0.02)}) as server:
        transport = smtp(server.url(), connections=1)
        waiting = [transport.send(parcel(n=n)) for n in range(30)]
        server.wait_for("DATA")
        urgent = [transport.send(Parcel("office@example.org", f"urgent{n}@x.org", WIRE, urgent=True)) for n in range(3)]
        wait_for([*waiting, *urgent], SOON)
        order = [t.recipients[0].partition(b"@")[0] for t in server.accepted]
        places = [order.index(b"urgent%d" % n) for n in range(3)]
        assert places == sorted(places)
        assert places[-1] < 10
        assert len(order) == 33


@pytest.mark.parametrize("lines", [1, 3])
def test_never_more_lines_than_allowed(smtp: Callable[..., SmtpTransport], lines: int) -> None:
    with ScriptedSmtp({"dot": Act(wait=0.01)}) as server:
        transport = smtp(server.url(), connections=lines)
        replies = [transport.send(parcel(n=n)) for n in range(30)]
        wait_for(replies, SOON)
        assert len(server.accepted) == 30
        assert server.most_open <= lines
        assert len(server.sessions) <= lines


def test_a_large_letter_lost_on_its_way_up_is_not_uncertain(smtp: Callable[..., SmtpTransport]) -> None:
    marked: list[bool] = []
    wire = b"Subject: large\r\n\r\n" + b"0123456789" * 7 + b"\r\n"
    wire += (b"x" * 76 + b"\r\n") * 400_000
    # After its 354 the server reads nothing and hangs up.
    with ScriptedSmtp({"data": Act("354 go on", wait=0.0, drop=True)}) as server:
        reply = send(smtp(server.url()), marked=marked, wire=wire)
        assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.DATA)
        assert not marked
        assert server.transactions == []


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("stray", "answer", "outcome"),
    [
        ("250 2.0.0 ok", say("550 5.7.1 spam"), R),
        ("250 2.0.0 ok", say("451 4.3.0 later"), D),
        ("250 2.0.0 ok", None, Outcome.ACCEPTED),
        ("354 go on, please", say("550 5.7.1 spam"), R),
        ("250 2.0.0 ok\r\n250 2.0.0 ok", say("550 5.7.1 spam"), R),
        ("250 2.0.0 ok", DROP, U),
    ],
)
def test_what_was_there_before_the_dot_does_not_answer_it(
    smtp: Callable[..., SmtpTransport], pipelining: bool, stray: str, answer: Act | None, outcome: Outcome
) -> None:
    with ScriptedSmtp({"data": [say(f"354 go on\r\n{stray}")], "dot": [answer]}, pipelining=pipelining) as server:
        transport = smtp(server.url(), **SHORT)
        assert send(transport).outcome is outcome
        assert send(transport).outcome is Outcome.ACCEPTED
        assert len(server.sessions) == 2, "a line on which nobody knows what answers what carries no other letter"


LARGE_WIRE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 200_000


@pytest.mark.parametrize("then", ["hangs up", "resets", "stays"])
@pytest.mark.parametrize(("words", "outcome"), [("552 5.3.4 too big", R), ("452 4.3.1 no room", D)])
def test_a_refusal_in_mid_upload_is_heard(
    smtp: Callable[..., SmtpTransport], then: str, words: str, outcome: Outcome
) -> None:
    marked: list[bool] = []
    act = Act(f"354 go on\r\n{words}", drop=then == "hangs up", reset=then == "resets")
    with ScriptedSmtp({"data": act if then != "stays" else Act(f"354 go on\r\n{words}")}) as server:
        for _ in range(5):
            reply = send(smtp(server.url()), marked=marked, wire=LARGE_WIRE)
            if then == "resets" and reply.code is None:
                continue  # the reset may overtake what was said before it
            assert (reply.outcome, reply.phase, reply.code) == (outcome, Phase.DATA, int(words[:3]))
        assert not marked
        assert server.transactions == []


def test_a_large_letter_arrives_whole(smtp: Callable[..., SmtpTransport]) -> None:
    wire = b"Subject: large\r\n\r\n" + b"".join(b".%075d\r\n" % n for n in range(40_000))
    with ScriptedSmtp() as server:
        assert send(smtp(server.url()), wire=wire).outcome is Outcome.ACCEPTED
        assert server.accepted[0].message == wire


def test_a_letter_above_the_servers_limit_is_refused_without_being_sent(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp(size=1000) as server:
        transport = smtp(server.url())
        small, large = b"S: x\r\n\r\n", b"S: x\r\n\r\n" + b"y" * 1000
        assert send(transport, wire=small).outcome is Outcome.ACCEPTED
        assert (f" SIZE={len(small)}").encode() in server.accepted[0].arguments[0]
        reply = send(transport, wire=large)
        assert (reply.outcome, reply.code) == (Outcome.REFUSED, 552)
        assert "1,008 bytes" in reply.text
        assert len(server.transactions) == 1


def test_nobody_listening_is_a_matter_of_time(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp() as server:
        url = server.url()
    reply = send(smtp(url))
    assert (reply.outcome, reply.phase, reply.ours) == (Outcome.DEFERRED, Phase.CONNECT, False)


@pytest.mark.parametrize(
    "address",
    ["a@x.org>\r\nRCPT TO:<eve@x.org", "a@x.org\r\nDATA", "a b@x.org", "", "a@x.org>", "<a@x.org", "é@x.org", "a\0@x"],
)
def test_an_address_cannot_become_a_command(smtp: Callable[..., SmtpTransport], address: str) -> None:
    with ScriptedSmtp() as server:
        with pytest.raises(UnsafeMail):
            send(smtp(server.url()), to=address)
        assert "RCPT" not in server.verbs()


# Who we are, and whom we trust


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("127.0.0.1")


USERS = {"office": "correct horse"}


@pytest.mark.parametrize(("scheme", "implicit"), [("smtp", False), ("smtps", True)])
def test_signs_in_and_sends_only_under_tls(
    smtp: Callable[..., SmtpTransport], authority: Authority, certificate: Path, scheme: str, implicit: bool
) -> None:
    with ScriptedSmtp(certificate=certificate, implicit_tls=implicit, users=USERS) as server:
        transport = smtp(server.url(scheme, "office", "correct%20horse"), ca_file=authority.certificate)
        assert transport.check().outcome is Outcome.ACCEPTED
        assert send(transport).outcome is Outcome.ACCEPTED
        assert (server.accepted[0].in_tls, server.accepted[0].user) == (True, "office")
        in_clear = {line.split()[0].upper() for line, in_tls in server.commands() if not in_tls}
        assert in_clear <= {b"EHLO", b"STARTTLS"}


def tls_faults(authority: Authority, certificate: Path) -> dict[str, tuple[dict[str, object], str]]:
    """What can be wrong with the way to a mail server, and the scheme that meets it."""
    stranger = Authority(authority.certificate.parent / "..").issue("127.0.0.1")
    return {
        "STARTTLS stripped": ({"certificate": certificate, "offer_starttls": False}, "smtp"),
        "STARTTLS refused": ({"certificate": certificate, "script": {"starttls": say("454 4.7.0 not now")}}, "smtp"),
        "STARTTLS broken": ({"certificate": certificate, "script": {"starttls": say("220 go\r\n220 ok")}}, "smtp"),
        "reply injected": ({"certificate": certificate, "injected": b"250 2.0.0 ok\r\n"}, "smtp"),
        "many replies injected": ({"certificate": certificate, "injected": b"250 2.0.0 ok\r\n" * 9}, "smtp"),
        "unknown authority": ({"certificate": stranger}, "smtp"),
        "another host": ({"certificate": authority.issue("mail.example.net")}, "smtp"),
        "expired": ({"certificate": authority.issue("127.0.0.1", expired=True)}, "smtp"),
        "unknown authority, implicit": ({"certificate": stranger, "implicit_tls": True}, "smtps"),
        "another host, implicit": ({"certificate": authority.issue("x.example.net"), "implicit_tls": True}, "smtps"),
    }


FAULTY = [
    "STARTTLS stripped", "STARTTLS refused", "STARTTLS broken", "reply injected", "many replies injected",
    "unknown authority", "another host", "expired", "unknown authority, implicit", "another host, implicit",
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_over_a_line_that_is_not_safe_goes_no_password_and_no_mail(
    smtp: Callable[..., SmtpTransport], authority: Authority, certificate: Path, fault: str, tmp_path: Path
) -> None:
    options, scheme = tls_faults(authority, certificate)[fault]
    with ScriptedSmtp(users=USERS, **options) as server:  # type: ignore[arg-type]
        transport = smtp(
            server.url(scheme, "office", "correct%20horse"), ca_file=authority.certificate, connect_seconds=3
        )
        marked: list[bool] = []
        reply = send(transport, marked=marked)
        assert reply.outcome is Outcome.DEFERRED
        assert (reply.phase, reply.ours) == (Phase.TLS, True), reply
        assert transport.check().ours
        assert not marked
        assert not {"AUTH", "MAIL", "RCPT", "DATA"} & set(server.verbs())


@pytest.mark.parametrize(
    "code", ["535 5.7.8 wrong password", "454 4.7.0 not now", "534 5.7.9 too weak", "530 5.7.0 no"]
)
def test_a_refused_sign_in_is_our_own_trouble(
    smtp: Callable[..., SmtpTransport], authority: Authority, certificate: Path, code: str
) -> None:
    with ScriptedSmtp({"auth": say(code)}, certificate=certificate, users=USERS) as server:
        transport = smtp(server.url("smtp", "office", "x"), ca_file=authority.certificate)
        reply = send(transport)
        assert (reply.outcome, reply.phase, reply.code, reply.ours) == (D, Phase.AUTH, int(code[:3]), True)
        assert server.verbs().count("AUTH") == 1, "failures are counted, and lock accounts"
        assert "MAIL" not in server.verbs()


def test_a_way_of_signing_in_that_the_server_only_claims_to_know_is_passed_over(
    smtp: Callable[..., SmtpTransport],
) -> None:
    with ScriptedSmtp({"auth": [say("504 5.5.4 mechanism not available")]}, users=USERS) as server:
        transport = smtp(server.url(user="office", password="correct%20horse"))
        assert send(transport).outcome is Outcome.ACCEPTED
        assert [line.split()[1] for line, _ in server.commands() if line.startswith(b"AUTH")] == [b"PLAIN", b"LOGIN"]


def test_a_server_that_refuses_us_is_not_asked_for_each_letter_that_waits(smtp: Callable[..., SmtpTransport]) -> None:
    all_wait = threading.Event()
    with ScriptedSmtp({"greet": Act(until=all_wait), "auth": say("535 5.7.8 wrong password")}, users=USERS) as server:
        transport = smtp(server.url(user="office", password="x"), connections=2)
        replies = [transport.send(parcel(n=n)) for n in range(100)]
        all_wait.set()
        wait_for(replies, SOON)
        assert {(r.result().phase, r.result().ours) for r in replies} == {(Phase.AUTH, True)}
        assert len(server.sessions) == 1


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_a_server_that_refuses_us_late_is_asked_by_one_letter_alone(
    smtp: Callable[..., SmtpTransport], phase: str
) -> None:
    all_wait = threading.Event()
    with ScriptedSmtp({"greet": Act(until=all_wait), phase: say("554 5.7.1 Relay access denied")}) as server:
        transport = smtp(server.url(), connections=8)
        replies = [transport.send(parcel(n=n)) for n in range(100)]
        all_wait.set()
        assert not wait_for(replies, SOON).not_done
        assert all(r.result().ours for r in replies)
        assert sum(not r.result().shared for r in replies) == 1
        assert server.verbs().count("MAIL") == 1


def test_a_first_letter_that_is_answered_slowly_does_not_hold_the_others_for_long(
    smtp: Callable[..., SmtpTransport],
) -> None:
    with ScriptedSmtp({"dot:m0@example.org": Act(wait=30)}) as server:
        transport = smtp(server.url(), connections=3)
        slow, *others = [transport.send(parcel(to=f"m{n}@example.org", n=n)) for n in range(20)]
        assert not wait_for(others, SOON).not_done
        assert {each.result().outcome for each in others} == {Outcome.ACCEPTED}
        assert not slow.done()


def test_a_server_that_is_away_is_not_waited_for_by_each_letter(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp({"greet": SILENCE}) as server:
        transport = smtp(server.url(), connections=2, greeting_seconds=0.5)
        replies = [transport.send(parcel(n=n)) for n in range(100)]
        assert not wait_for(replies, 5).not_done
        assert {(r.result().outcome, r.result().phase) for r in replies} == {(D, Phase.CONNECT)}


@pytest.mark.parametrize("phase", ["greet", "ehlo", "auth"])
def test_a_server_that_falls_silent_before_it_takes_a_letter_is_told_of_once_and_asked_anew_on_demand(
    smtp: Callable[..., SmtpTransport], phase: str
) -> None:
    with ScriptedSmtp({phase: SILENCE}, users=USERS) as server:
        transport = smtp(server.url(user="office", password="correct%20horse"), connections=2)
        replies = [transport.send(parcel(n=n)) for n in range(20)]
        wait_until(lambda: transport.silent(0.3) == 1, "it is told of", SOON)
        assert not wait_for(replies, 0.5).done, "it is waited for all the same"
        assert transport.silent(0.3) == 0, "but told of once"
        assert len(server.sessions) == 1
        server.follow({})
        transport.reconnect()
        assert not wait_for(replies, SOON).not_done
        assert {each.result().outcome for each in replies} == {Outcome.ACCEPTED}


HANGS, REFUSES, MUTE = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Host names and the addresses that they stand for, as a name server would give them."""
    given: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: object, **more: object) -> list[object]:
        return [each for address in given.get(host, [host]) for each in real(address, port, *args, **more)]  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return given


@contextlib.contextmanager
def black_hole(address: str, port: int) -> Iterator[None]:
    """Take no connection and refuse none: the queue of a socket that nobody serves is full."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(3):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(deaf.getsockname())
        yield


@pytest.mark.parametrize(
    "before", [[HANGS], [REFUSES], [MUTE], [REFUSES, HANGS, REFUSES], [HANGS, "127.0.0.1", HANGS]], ids=" ".join
)
def test_each_address_of_a_mail_servers_name_is_tried(
    smtp: Callable[..., SmtpTransport],
    names: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    before: list[str],
) -> None:
    monkeypatch.setattr(reach, "MUTE", 0.5)
    with ScriptedSmtp() as server, contextlib.ExitStack() as stack:
        if HANGS in before:
            stack.enter_context(black_hole(HANGS, server.port))
        if MUTE in before:
            stack.enter_context(socket.create_server((MUTE, server.port)))
        names["localhost"] = [*before, "127.0.0.1"]
        transport = smtp(server.url(host="localhost"))
        assert transport.send(parcel()).result(SOON).outcome is Outcome.ACCEPTED
        assert len(server.sessions) == 1


def test_if_no_address_answers_each_reason_is_told_once(
    smtp: Callable[..., SmtpTransport], names: dict[str, list[str]]
) -> None:
    with ScriptedSmtp({"greet": say("421 4.3.2 not now", drop=True)}) as server, black_hole(HANGS, server.port):
        names["localhost"] = [HANGS, REFUSES, "127.0.0.5", "127.0.0.1"]
        reply = send(smtp(server.url(host="localhost"), **SHORT))
    assert (reply.outcome, reply.phase, reply.code, reply.ours) == (D, Phase.CONNECT, 421, False)
    head, _, reasons = reply.text.partition(" cannot be reached: ")
    assert head == f"localhost:{server.port}"
    assert sorted(reasons.split(", ")) == ["4.3.2 not now", "Connection refused", "it did not answer in time"]


@pytest.mark.parametrize("refusal", ["500 what?", "502 5.5.1 not implemented", "504 no"])
def test_a_server_that_knows_no_ehlo_is_greeted_the_old_way(smtp: Callable[..., SmtpTransport], refusal: str) -> None:
    with ScriptedSmtp({"ehlo": [say(refusal)]}) as server:
        assert send(smtp(server.url(), hello="app.example.org")).outcome is Outcome.ACCEPTED
        assert [line for line, _ in server.commands()][:2] == [b"EHLO app.example.org", b"HELO app.example.org"]


def test_we_greet_by_the_name_that_is_set_on_every_line(
    smtp: Callable[..., SmtpTransport], authority: Authority, certificate: Path
) -> None:
    with ScriptedSmtp(certificate=certificate, users=USERS) as server:
        url = server.url("smtp", "office", "correct%20horse")
        transport = smtp(url, ca_file=authority.certificate, hello="app.example.org")
        assert send(transport).outcome is Outcome.ACCEPTED
        greetings = [line for line, _ in server.commands() if line.startswith(b"EHLO")]
        assert greetings == [b"EHLO app.example.org"] * 2


@pytest.mark.parametrize("octets", [b"\xe9chec", b"\xff\xfe\x00\x1b[31m no", "failé".encode("utf-16"), b"a\x85b\x00c"])
@pytest.mark.parametrize("key", ["greet", "ehlo", "auth", "mail", "rcpt", "data", "dot"])
def test_whatever_bytes_a_server_says_the_code_counts_and_the_words_can_be_written(
    smtp: Callable[..., SmtpTransport], key: str, octets: bytes
) -> None:
    said = b"535 5.7.8 " + octets.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n"
    with ScriptedSmtp({key: say(said)}, users=USERS) as server:
        reply = send(smtp(server.url(user="office", password="x"), **SHORT))
        assert (reply.outcome, reply.code, reply.ours) == (D, 535, key not in ("greet", "ehlo"))
        assert reply.text.encode()
        assert reply.text.isprintable()
        assert server.verbs().count("AUTH") <= 1


def test_one_line_that_cannot_be_had_does_not_put_off_what_others_can_carry(
    smtp: Callable[..., SmtpTransport],
) -> None:
    busy = say("421 4.7.0 too many connections from you", drop=True)
    with ScriptedSmtp({"greet": [None, *[busy] * 200], "dot": Act(wait=0.01)}) as server:
        transport = smtp(server.url(), connections=4)
        assert send(transport).outcome is Outcome.ACCEPTED
        replies = [transport.send(parcel(n=n)) for n in range(40)]
        wait_for(replies, SOON)
        assert {r.result().outcome for r in replies} == {Outcome.ACCEPTED}
        assert len(server.accepted) == 41


def test_a_server_without_sign_in_is_our_own_trouble(smtp: Callable[..., SmtpTransport]) -> None:
    with ScriptedSmtp() as server:
        reply = send(smtp(server.url(user="office", password="x")))
        assert (reply.outcome, reply.phase, reply.ours) == (D, Phase.AUTH, True)


@pytest.mark.parametrize(
    ("key", "words", "phase"),
    [
        ("mail", "530 5.7.0 Authentication required", Phase.MAIL),
        ("mail", "550 5.1.8 no", Phase.MAIL),
        ("mail", "553 5.1.8 Sender address rejected: Domain not found", Phase.MAIL),
        ("rcpt", "553 5.1.8 <office@example.org>: Sender address rejected: Domain not found", Phase.RCPT),
        ("mail", "550 5.7.1 office@example.org: Sender address rejected: not owned by user", Phase.MAIL),
        ("rcpt", "554 5.7.1 <ada@example.org>: Relay access denied", Phase.RCPT),
        ("rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Phase.RCPT),
    ],
)
def test_a_server_that_will_not_send_for_us_is_our_own_trouble(
    smtp: Callable[..., SmtpTransport], key: str, words: str, phase: Phase
) -> None:
    with ScriptedSmtp({key: say(words)}) as server:
        reply = send(smtp(server.url()))
        assert (reply.outcome, reply.phase, reply.ours) == (D, phase, True)
        assert reply.text == words[4:]
        assert server.transactions == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtp+plain://mail.example.org", "unencrypted"),
        ("smtp+plain://192.0.2.1:25", "unencrypted"),
        ("http://mail.example.org", "not the address of a mail server"),
        ("mail.example.org:587", "not the address"),
        ("smtp://", "not the address"),
        ("smtp://host:port", "cannot be read"),
    ],
)
def test_an_address_that_would_send_in_clear_or_nowhere_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        SmtpTransport(url)
    assert "smtps://" in str(caught.value)


def test_a_real_mail_server_takes_what_is_sent(
    smtp: Callable[..., SmtpTransport], smtp_sink: Callable[..., SmtpSink]
) -> None:
    sink = smtp_sink()
    transport = smtp(sink.url)
    wires = [b"Subject: %d\r\n\r\n.%d\r\n" % (n, n) for n in range(40)]
    wait_for([transport.send(parcel(wire=wire, n=n)) for n, wire in enumerate(wires)], SOON)
    assert sorted(m.raw for m in sink.messages()) == sorted(w.replace(b"\r\n", b"\n") for w in wires)
    assert {m.recipients for m in sink.messages()} == {("ada@example.org",)}
