"""How Celery is set, and what it refuses."""

import pytest

from steward.errors import BrokerUnavailable, ConfigurationError
from steward.installation.settings import load
from steward.model.declaration.queues import QUEUES
from steward.worker.engines.celery.app import TASK, application
from steward.worker.engines.celery.broker import CeleryBroker
from steward.worker.engines.celery.worker import registered

RABBITMQ = "amqp://guest:secret-word@127.0.0.1:1//"
REDIS = "redis://127.0.0.1:1/0"


def settings(url):
    return load(engine="celery", broker_url=url)


@pytest.mark.parametrize("url", ["", "sqla+sqlite:///queue", "filesystem://", "memory://", "mq.example.org"])
def test_a_broker_that_loses_what_is_in_flight_is_refused_in_words(url):
    with pytest.raises(ConfigurationError, match="STEWARD_BROKER_URL"):
        application(settings(url))


def test_on_rabbitmq_the_lanes_are_quorum_queues_that_give_up():
    queues = application(settings(RABBITMQ)).amqp.queues
    assert set(queues) == set(QUEUES)
    for queue in queues.values():
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-delivery-limit"] == 4
        assert queue.queue_arguments["x-dead-letter-exchange"] == "steward.dead"


@pytest.mark.parametrize("url", [RABBITMQ, REDIS])
def test_what_makes_it_safe_is_set(url):
    conf = application(settings(url)).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert list(conf.accept_content) == ["json"]
    assert not conf.worker_enable_remote_control
    if url == RABBITMQ:
        assert conf.broker_transport_options["confirm_publish"]
    else:
        assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit


def test_there_is_one_task_and_it_takes_ids_alone():
    performed = []
    app = registered(application(settings(REDIS)), performed.append)
    assert list(app.tasks) == [TASK]
    one = "0199aaaa-0000-7000-8000-000000000000"
    for forged in ("x", [1], ["short"], {"ids": [one]}, [one] * 1001):
        app.tasks[TASK](forged)
    assert performed == []
    app.tasks[TASK]([one])
    assert performed == [[one]]


@pytest.mark.parametrize("url", [RABBITMQ, REDIS])
def test_a_broker_that_is_away_is_told_in_words_and_without_its_password(url):
    broker = CeleryBroker(settings(url))
    with pytest.raises(BrokerUnavailable) as caught:
        broker.publish("mail", ["0199aaaa-0000-7000-8000-000000000000"])
    assert "127.0.0.1" in str(caught.value)
    assert "secret-word" not in str(caught.value)
    broker.close()
