"""A broker that is killed, wiped, cut off or sent forgeries: what was accepted waits in the ledger, and goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery
from kombu import Connection
from kombu.serialization import registry
from tests.journeys.installation import Installation, Program
from tests.journeys.sending import account, sending
from tests.servers.ports import wait_until
from tests.servers.rabbitmq import RabbitMq
from tests.servers.redis import Redis
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tcp_proxy import TcpProxy

from steward.model.declaration.queues import QUEUES
from steward.storage.fleet import leases, workers
from steward.system.clock import now
from steward.worker.engines.celery.app import DEAD, TASK, application, dead_letters
from steward.worker.engines.celery.publisher import DUTY

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]
Broker = RabbitMq | Redis
RESUMED = 30
"""Seconds within which everything goes on once the broker is back."""


@pytest.fixture(scope="module", params=["rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker that this file may kill."""
    with RabbitMq() if request.param == "rabbitmq" else Redis() as server:
        yield server


def celery_on(server: Broker) -> dict[str, Any]:
    return {"engine": "celery", "broker_url": server.url}


def state_of_broker(house: Installation) -> str:
    return str(httpx.get(f"{house.url}/readyz", timeout=5).json().get("broker"))


def relay_of(house: Installation) -> str | None:
    with house.steward.ledger.read() as connection:
        return leases.holder_of(connection, DUTY, now())


def letters(count: int) -> Iterator[dict[str, Any]]:
    return ({"to": f"m{n}@example.org", "number": n} for n in range(count))


LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("kills", "down"), [(1, 2.0), pytest.param(10, 2.0, marks=LONG), pytest.param(1, 60.0, marks=LONG)]
)
@pytest.mark.timeout(600)
def test_a_broker_that_is_killed_loses_nothing_and_delays_nobody(
    install: Install, broker: Broker, smtp_sink: Sink, kills: int, down: float
) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **celery_on(broker))
    house.serve()
    house.work()
    house.wait_until(lambda: state_of_broker(house) == "reachable", "the relay has found the broker")
    if isinstance(broker, RabbitMq):
        for lane in (*QUEUES, DEAD):
            broker.settle(lane)
    pause = threading.Event()
    with sending(house, pace=30) as sender:
        for _ in range(kills):
            pause.wait(1)
            broker.kill()
            house.wait_until(lambda: state_of_broker(house) == "unreachable", "readyz says so", 15)
            before, moment = len(sender.accepted), time.monotonic()
            pause.wait(down)
            assert len(sender.accepted) - before > (time.monotonic() - moment) * 5, "callers wait for the broker"
            broker.start()
            house.wait_until(lambda: state_of_broker(house) == "reachable", "readyz says so", RESUMED)
    house.wait_settled(RESUMED)
    result = account(house, sink, sender)
    assert result.accepted > kills * 30
    assert (result.lost, result.unexpected, result.duplicated, result.open) == (0, 0, 0, 0)
    assert house.broken_rules() == []


@pytest.mark.parametrize("cut", [6.0, pytest.param(60.0, marks=pytest.mark.long)])
@pytest.mark.timeout(300)
def test_a_partition_between_worker_and_broker_loses_nothing(install: Install, broker: Broker, cut: float) -> None:
    with TcpProxy(broker.port) as between:
        url = broker.url.replace(f":{broker.port}", f":{between.port}")
        house = install(engine="celery", broker_url=url)
        house.serve()
        house.work()
        assert house.wait_for(house.enqueue("letter", to="first@example.org")).state == "succeeded"
        between.cut()
        started = time.monotonic()
        ids = [house.post("letter", each).json()["id"] for each in letters(20)]
        assert time.monotonic() - started < 5
        house.wait_until(lambda: state_of_broker(house) == "unreachable", "readyz says so", 20)
        threading.Event().wait(max(0.0, cut - (time.monotonic() - started)))
        between.heal()
        healed = time.monotonic()
        for each in ids:
            assert house.wait_for(each, seconds=RESUMED).state == "succeeded"
        assert time.monotonic() - healed < RESUMED
        house.wait_until(lambda: state_of_broker(house) == "reachable", "readyz says so", 15)
        assert house.counts() == {"succeeded": 21}


def test_the_web_server_never_speaks_to_the_broker(install: Install, redis_server: Redis) -> None:
    house = install(engine="celery", broker_url=redis_server.url)
    web, worker = house.serve(), house.work()
    assert house.post("letter", {"to": "ada@example.org"}).status_code == 202
    house.wait_settled(RESUMED)
    assert _speaks_to(worker, redis_server.port)
    assert not _speaks_to(web, redis_server.port)


def test_what_a_wiped_broker_had_is_published_again(install: Install, redis_server: Redis) -> None:
    house = install(engine="celery", broker_url=redis_server.url)
    relay = house.start("engine", "relay")
    ids = house.enqueue_many("letter", letters(30))
    house.wait_until(lambda: int(redis_server.command("LLEN", "mail")) > 0, "they are with the broker")
    redis_server.flushall()
    house.work()
    for each in ids:
        assert house.wait_for(each, seconds=RESUMED).state == "succeeded"
    assert relay.alive
    assert house.counts() == {"succeeded": 30}


def test_one_relays_and_another_is_ready(install: Install, redis_server: Redis) -> None:
    house = install(engine="celery", broker_url=redis_server.url)
    first = house.start("engine", "relay")
    house.wait_until(lambda: relay_of(house) is not None, "the first relays")
    leader = relay_of(house)
    house.work()
    assert house.wait_for(house.enqueue("letter", to="ada@example.org")).state == "succeeded"
    assert relay_of(house) == leader
    first.kill9()
    task_id = house.enqueue("letter", to="grace@example.org")
    assert house.wait_for(task_id, seconds=RESUMED).state == "succeeded"
    assert relay_of(house) not in (None, leader)


def test_a_poison_pill_stops_after_four_starts_although_redis_never_would(
    install: Install, redis_server: Redis, tmp_path: Path
) -> None:
    house = install(engine="celery", broker_url=redis_server.url)
    house.up()
    neighbours = house.enqueue_many("letter", letters(20))
    pill = house.enqueue("kill_worker", file=str(tmp_path / "runs"))
    for each in neighbours:
        assert house.wait_for(each, seconds=90).state == "succeeded"
    task = house.wait_for(pill, seconds=90)
    assert (task.state, task.attempt) == ("failed", 4)
    assert "4 starts" in (task.error or "")
    assert len((tmp_path / "runs").read_text().splitlines()) == 4


def test_a_stock_celery_worker_performs_and_outlives_a_killed_child(
    install: Install, rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    house = install(engine="celery", broker_url=rabbitmq.url)
    command = [sys.executable, "-m", "celery", "-A", "steward.services.celery", "worker", "-c", "2", "-Q"]
    worker = Program([*command, ",".join(QUEUES)], house.folder / "celery.log", env=house.environment, cwd=house.folder)
    worker.start()
    house.programs.append(worker)
    for each in house.enqueue_many("letter", letters(10)):
        assert house.wait_for(each, seconds=40).state == "succeeded"
    gate = tmp_path / "gate"
    task_id = house.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate))
    owner = house.wait_for(task_id, "running", seconds=RESUMED).worker
    house.wait_until((tmp_path / "runs").exists, "it has begun")
    with house.steward.ledger.read() as connection:
        child = next(w.pid for w in workers.living(connection, now()) if w.id == owner)
    assert child != worker.pid
    os.kill(child, signal.SIGKILL)
    house.wait_until(lambda: house.task(task_id).worker not in (None, owner), "another child has it", RESUMED)
    gate.touch()
    assert house.wait_for(task_id).state == "succeeded"
    assert worker.alive
    assert worker.terminate() < RESUMED


def test_forged_messages_run_nothing(install: Install, broker: Broker, tmp_path: Path) -> None:
    house = install(**celery_on(broker))
    worker = house.work()
    sentinel = tmp_path / "forged"
    forger = Celery("forger", broker=broker.url, set_as_current=False)
    forger.conf.task_serializer = "pickle"
    registry.enable("pickle")
    queue = next(q for q in application(house.steward.settings).amqp.queues.values() if q.name == "mail")
    try:
        with Connection(broker.url) as connection:
            bound = queue(connection.channel())
            for name, args, how in (
                (TASK, [[_Bomb(sentinel)]], "pickle"),
                (TASK, [["../../etc/passwd"]], "json"),
                (TASK, [[{"id": 1}]], "json"),
                (TASK, [[now() and "x" * 36] * 2000], "json"),
                ("celery.map", [{"task": TASK, "args": [], "kwargs": {}}, [["x"]]], "json"),
                ("os.system", [f"touch {sentinel}"], "json"),
            ):
                forger.send_task(name, args=args, queue=bound, connection=connection, serializer=how)
    finally:
        registry.disable("pickle")
    task_id = house.enqueue("letter", to="ada@example.org")
    assert house.wait_for(task_id).state == "succeeded"
    house.wait_until(lambda: "none of ours" in worker.log.read_text(), "the forgeries have come")
    assert not sentinel.exists()
    assert house.counts() == {"succeeded": 1}
    assert worker.alive


UNREADABLE: list[bytes] = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"null",
    b"[1, 2]",
    b'"text"',
    b"{}",
    b'{"body": "W10=", "properties": null, "headers": null}',
    b'{"body": 5, "properties": {"delivery_tag": 1, "delivery_info": 7}, "headers": [1]}',
    b'{"__type__": "datetime", "__value__": 5}',
    b"[" * 100_000,
]


def test_messages_that_cannot_be_read_are_skipped_and_the_worker_lives_on(install: Install, broker: Broker) -> None:
    house = install(**celery_on(broker))
    worker = house.work()
    headers: list[Any] = [{}, {"task": TASK}, {"task": TASK, "id": 5, "eta": "x"}, {"task": [1]}, {"lang": "py"}]
    queue = next(q for q in application(house.steward.settings).amqp.queues.values() if q.name == "mail")
    with Connection(broker.url) as connection:
        channel = connection.channel()
        if isinstance(broker, Redis):
            for raw in UNREADABLE:
                channel.client.lpush("mail", raw)
                channel.client.hset("unacked", f"forged{len(raw)}", raw)
                channel.client.zadd("unacked_index", {f"forged{len(raw)}": 1})
        with connection.Producer(channel) as producer:
            for raw in UNREADABLE:
                for head in headers:
                    producer.publish(
                        raw,
                        headers=head,
                        content_type="application/json",
                        content_encoding="utf-8",
                        exchange="steward",
                        routing_key="mail",
                        declare=[queue(channel)],
                        serializer=None,
                    )
    tasks = house.enqueue_many("letter", letters(5))
    for task_id in tasks:
        assert house.wait_for(task_id, seconds=60).state == "succeeded"
    house.wait_until(lambda: "none of ours" in worker.log.read_text(), "they are named")
    assert worker.alive
    assert "Traceback" not in worker.log.read_text()
    assert worker.log.read_text().count("is ready") == 1


def test_a_message_delivered_too_often_becomes_a_dead_letter(install: Install, rabbitmq: RabbitMq) -> None:
    house = install(engine="celery", broker_url=rabbitmq.url)
    relay = house.start("engine", "relay")
    house.enqueue("letter", to="ada@example.org")
    queue = next(q for q in application(house.steward.settings).amqp.queues.values() if q.name == "mail")
    with Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        bound, dead = queue(channel), dead_letters()(channel)
        house.wait_until(lambda: relay.alive and _count(bound) > 0, "it is published")
        deliveries = 0
        while (message := bound.get()) is not None and deliveries < 20:
            deliveries += 1
            message.reject(requeue=True)
        assert deliveries == 5  # the first, and four more
        wait_until(lambda: _count(dead) >= 1, "it is a dead letter", 10)
    # Only the message is dead: the task is not begun, and the relay publishes it again.
    house.work()
    assert house.wait_settled(RESUMED) == {"succeeded": 1}


class _Bomb:
    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._sentinel}",)


def _count(queue: Any) -> int:
    return int(queue.queue_declare().message_count)


def _speaks_to(program: Program, port: int) -> bool:
    """Return whether the process, or one that it started, has a connection to the loopback port."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in table if line.split()[2].endswith(f":{port:04X}")}
    held = set()
    for descriptor in Path(f"/proc/{program.pid}/fd").iterdir():
        try:
            held.add(os.readlink(descriptor))
        except OSError:
            continue  # closed since
    return any(f"socket:[{inode}]" in held for inode in inodes)
