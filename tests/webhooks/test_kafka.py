"""With Kafka, deliveries are announced on their topic, which wakes the senders."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from pytest_django import Settings

from bookings.event_types import BOOKING, TABLE
from tests.kafka import Broker, Kafka
from tests.ports import free_port
from tests.waiting import PATIENCE, until
from tests.webhooks import support
from webhooks import kafka as topic
from webhooks import tasks
from webhooks.event_types import DELIVERIES
from webhooks.models import Delivery
from wokibrain.core import env
from wokibrain.events import kafka_groups, registry
from wokibrain.events.kafka_connection import ensure_topics
from wokibrain.events.types import Group

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def announced(kafka: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Return the session's broker with the topic of deliveries, emptied if the broker is the real one."""
    print(f"ran on {kafka.kind}")
    settings.KAFKA_BROKERS = kafka.address
    monkeypatch.setattr(topic, "_producers", {})
    kafka.reset()
    if not isinstance(kafka, Kafka):
        # The mock creates a topic when it is asked about it, and has no other way.
        kafka.admin().list_topics(DELIVERIES, timeout=10)
    elif has_topic(kafka):
        kafka.delete(DELIVERIES)
        assert until(lambda: not has_topic(kafka))
    return kafka


def has_topic(broker: Broker) -> bool:
    return DELIVERIES in broker.admin().list_topics(timeout=10).topics


@contextmanager
def reading() -> Iterator[None]:
    """Run the reader of `manage.py consume webhook-workers` in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=kafka_groups.consume, args=([Group.WEBHOOKS], stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set when a sender is woken."""
    event = threading.Event()
    monkeypatch.setitem(registry._listeners, (Group.WEBHOOKS, DELIVERIES), event.set)
    return event


def test_announced_deliveries_wake_a_sender_once_committed(announced: Broker, woken: threading.Event) -> None:
    hook = support.webhook("https://example.com/")
    with reading():
        if isinstance(announced, Kafka):
            # It creates the missing topic; before, nothing can be announced.
            assert until(lambda: has_topic(announced))
        event = support.publish_event()
        assert woken.wait(PATIENCE)
    delivery = Delivery.objects.get()
    (message,) = announced.read(DELIVERIES)
    assert message.key() == str(hook.pk).encode()
    assert json.loads(message.value() or b"") == {
        "deliveryId": str(delivery.pk),
        "webhookId": str(hook.pk),
        "eventId": str(event.event_id),
    }


def test_announcement_queues_a_sender(announced: Broker, settings: Settings) -> None:
    number = env.redis_number(settings.REDIS_URL) + 1
    with redis.Redis.from_url(env.redis_database(settings.REDIS_URL, number)) as queues:
        queues.delete(tasks.QUEUE)
        support.webhook("https://example.com/")
        with reading():
            assert until(lambda: has_topic(announced))
            support.publish_event()
            assert until(lambda: queues.llen(tasks.QUEUE) == 1)
        queues.delete(tasks.QUEUE)


@pytest.mark.usefixtures("real_kafka")
def test_reader_continues_where_its_predecessor_stopped(announced: Broker, woken: threading.Event) -> None:
    ensure_topics(DELIVERIES)
    hooks = [support.webhook(f"https://example.com/{number}") for number in range(3)]
    for times in (1, 2):
        support.publish_event()
        with reading():
            assert woken.wait(PATIENCE)
            assert until(lambda times=times: committed(announced) == times * len(hooks))  # type: ignore[misc]
        woken.clear()
    with reading():
        assert until(lambda: members(announced) == [WHOLE])
    assert not woken.is_set()


WHOLE = {BOOKING.kafka, TABLE.kafka, DELIVERIES}


@pytest.mark.usefixtures("real_kafka", "woken")
def test_one_process_is_one_member_of_the_group_and_reads_all_its_topics(announced: Broker) -> None:
    with reading():
        assert until(lambda: members(announced) == [WHOLE])
    assert members(announced) == []


def members(broker: Broker) -> list[set[str]]:
    """Return the topics of each member of the group."""
    # Keep a reference: its futures are cancelled once it is collected.
    admin = broker.admin()
    group = admin.describe_consumer_groups([Group.WEBHOOKS.value])[Group.WEBHOOKS.value].result(PATIENCE)
    return [{part.topic for part in member.assignment.topic_partitions} for member in group.members]


def committed(broker: Broker) -> int:
    """Return how many messages of the topic the group has committed."""
    admin = broker.admin()
    futures = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(Group.WEBHOOKS.value)])
    parts = futures[Group.WEBHOOKS.value].result(PATIENCE).topic_partitions or []
    return sum(max(0, part.offset) for part in parts)


@pytest.mark.usefixtures("real_kafka")
def test_topic_is_created_once_with_the_configured_partitions(announced: Broker, settings: Settings) -> None:
    settings.KAFKA_PARTITIONS = 3
    ensure_topics(DELIVERIES)
    settings.KAFKA_PARTITIONS = 5
    ensure_topics(DELIVERIES)
    topic = announced.admin().list_topics(timeout=10).topics[DELIVERIES]
    assert len(topic.partitions) == 3


def test_reader_logs_an_error_and_continues(
    announced: Broker,
    woken: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The only error in place of a message that every broker can be made to return.
    monkeypatch.setattr(kafka_groups, "Client", lambda conf: Consumer(conf | {"enable.partition.eof": True}))
    support.webhook("https://example.com/")
    with reading():
        assert until(lambda: "webhook-workers: Fetch from broker" in caplog.text)
        support.publish_event()
        assert woken.wait(PATIENCE)


@pytest.mark.usefixtures("announced")
def test_group_restarts_when_its_client_fails(
    monkeypatch: pytest.MonkeyPatch, woken: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Consumer):
        def poll(self, timeout: float = -1) -> None:
            raise KafkaException(KafkaError(KafkaError._STATE, "the client is broken"))

    makers: Iterator[Callable[[dict[str, Any]], Consumer]] = iter([Broken, Consumer])
    monkeypatch.setattr(kafka_groups, "Client", lambda conf: next(makers)(conf))
    monkeypatch.setattr(kafka_groups, "OUTAGE_PAUSE_SECONDS", 0.01)
    support.webhook("https://example.com/")
    with reading():
        assert until(lambda: "webhook-workers waits: Kafka: the client is broken" in caplog.text)
        support.publish_event()
        assert woken.wait(PATIENCE)


def test_no_delivery_is_lost_without_a_broker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "_producers", {})
    settings.KAFKA_BROKERS = f"127.0.0.1:{free_port()}"
    support.webhook("https://example.com/")
    support.publish_event()
    # The announcement goes nowhere, and the commit does not wait for it.
    (producer,) = topic._producers.values()
    assert len(producer) > 0
    assert Delivery.objects.get().status == "PENDING"
