"""The tests' own servers: each starts, answers, loses or keeps what it should, and stops."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import kombu
import psycopg
import pytest
from redis import Redis as RedisClient
from tests.servers.ports import LOOPBACK, listens, wait_until
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMq
from tests.servers.redis import Redis
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.tmpfs import fill, small_disk

ROOT = Path(__file__).parent.parent.parent
LETTER = b"Subject: Dues\r\nTo: ada@example.org\r\n\r\nDear Ada,\r\n..\r\n"


def dsn(url: str) -> str:
    return url.replace("+psycopg", "")


class TestPostgres:
    def test_each_database_is_its_own_and_keeps_what_was_committed_through_a_kill(self) -> None:
        with Postgres() as server:
            first, second = server.create(), server.create()
            with psycopg.connect(dsn(first)) as connection:
                connection.execute("CREATE TABLE t AS SELECT 7 AS n")
            server.kill()
            assert not listens(server.port)
            server.start()
            with psycopg.connect(dsn(first)) as connection:
                assert connection.execute("SELECT n FROM t").fetchone() == (7,)
            with psycopg.connect(dsn(second)) as connection, pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("SELECT n FROM t")
        assert not listens(server.port)
        assert not server.folder.exists()

    def test_restart_cuts_open_connections_off(self, postgres: Postgres, postgres_url: str) -> None:
        with psycopg.connect(dsn(postgres_url)) as connection:
            postgres.restart()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")


class TestRedis:
    def test_answers_and_is_emptied(self, redis_server: Redis, redis_url: str) -> None:
        client = RedisClient.from_url(redis_url)
        client.set("a", "1")
        assert client.get("a") == b"1"
        redis_server.flushall()
        assert client.get("a") is None

    @pytest.mark.parametrize("kept", [True, False])
    def test_only_the_append_only_file_outlives_a_kill(self, kept: bool) -> None:
        with Redis(appendonly=kept) as server:
            server.command("SET", "a", "1")
            server.kill()
            server.start()
            assert server.command("EXISTS", "a") == str(int(kept))


def test_rabbitmq_keeps_a_confirmed_message_of_a_quorum_queue_through_a_kill(rabbitmq: RabbitMq) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 3}
    confirmed = {"confirm_publish": True}
    with kombu.Connection(rabbitmq.url, transport_options=confirmed) as connection:
        connection.SimpleQueue("kept", queue_args=arguments).put({"id": 1})
    rabbitmq.settle("kept")
    rabbitmq.kill()
    assert not listens(rabbitmq.port)
    started = time.monotonic()
    rabbitmq.start()
    assert time.monotonic() - started < 20
    with kombu.Connection(rabbitmq.url) as connection:
        queue = connection.SimpleQueue("kept", queue_args=arguments)
        message = queue.get(timeout=20)
        assert message.payload == {"id": 1}
        message.ack()


class TestSmtpSink:
    def test_keeps_envelope_and_message(self, smtp_sink: Callable[..., SmtpSink]) -> None:
        sink = smtp_sink()
        with smtplib.SMTP(LOOPBACK, sink.port) as client:
            client.sendmail("office@example.org", ["ada@example.org", "bob@example.org"], LETTER)
            client.sendmail("office@example.org", ["eve@example.org"], LETTER)
        mails = {mail.recipients: mail for mail in sink.messages()}
        assert set(mails) == {("ada@example.org", "bob@example.org"), ("eve@example.org",)}
        for mail in mails.values():
            assert mail.sender == "office@example.org"
            assert mail.raw == LETTER.replace(b"\r\n", b"\n")
            assert mail.message["Subject"] == "Dues"

    def test_leaves_out_a_mail_that_broke_off_before_its_dot(self, smtp_sink: Callable[..., SmtpSink]) -> None:
        sink = smtp_sink()
        client = smtplib.SMTP(LOOPBACK, sink.port)
        client.ehlo()
        client.mail("office@example.org")
        client.rcpt("ada@example.org")
        client.docmd("DATA")
        client.send(LETTER)
        client.close()
        with smtplib.SMTP(LOOPBACK, sink.port) as other:
            other.sendmail("office@example.org", ["bob@example.org"], LETTER)
        assert [mail.recipients for mail in sink.messages()] == [("bob@example.org",)]

    def test_misbehaves_as_told(self, smtp_sink: Callable[..., SmtpSink]) -> None:
        sink = smtp_sink("-f", "rcpt")
        with smtplib.SMTP(LOOPBACK, sink.port) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("office@example.org", ["ada@example.org"], LETTER)


class TestTcpProxy:
    def test_a_cut_is_silent_and_what_waited_passes_when_it_heals(self, redis_server: Redis) -> None:
        with TcpProxy(redis_server.port) as proxy, socket.create_connection((LOOPBACK, proxy.port)) as client:
            client.settimeout(0.3)
            client.sendall(b"PING\r\n")
            assert client.recv(10) == b"+PONG\r\n"
            proxy.cut()
            client.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                client.recv(10)
            proxy.heal()
            client.settimeout(5)
            assert client.recv(10) == b"+PONG\r\n"
            assert proxy.connections == 1

    def test_drop_resets(self, redis_server: Redis) -> None:
        with TcpProxy(redis_server.port) as proxy, socket.create_connection((LOOPBACK, proxy.port)) as client:
            client.settimeout(5)
            client.sendall(b"PING\r\n")
            client.recv(10)
            proxy.drop()
            try:
                ended = client.recv(10) == b""
            except ConnectionResetError:
                ended = True
            assert ended

    def test_delay_counts_each_way(self, redis_server: Redis) -> None:
        with (
            TcpProxy(redis_server.port, delay=0.1) as proxy,
            socket.create_connection((LOOPBACK, proxy.port)) as client,
        ):
            started = time.monotonic()
            client.sendall(b"PING\r\n")
            client.recv(10)
            assert time.monotonic() - started >= 0.2


def test_a_small_disk_is_soon_full_and_gets_relief() -> None:
    with small_disk(2) as folder:
        ballast = fill(folder)
        with pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(bytes(8192))
        ballast.unlink()
        (folder / "more").write_bytes(bytes(8192))
    assert not folder.exists()


def test_servers_end_with_the_process_that_started_them() -> None:
    program = (
        "import signal\n"
        "from tests.servers.redis import Redis\n"
        "from tests.servers.postgres import Postgres\n"
        "servers = Redis().start(), Postgres().start()\n"
        "print(*(s.port for s in servers), *(s.folder for s in servers), flush=True)\n"
        "signal.pause()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    try:
        words = owner.stdout.readline().split()
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
    ports = [int(word) for word in words[:2]]
    assert len(ports) == 2
    wait_until(lambda: not any(listens(port) for port in ports), "the servers end", 10)
    for folder in words[2:]:
        subprocess.run(["rm", "-rf", folder], check=True)
