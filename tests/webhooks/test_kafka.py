"""Where Kafka runs, deliveries are announced on their topic and wake the senders from there."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from django.core.management import call_command
from pytest_django import Settings

from tests.kafka import Broker, Kafka
from tests.waiting import until
from tests.webhooks import support
from webhooks import kafka as topic
from webhooks.management.commands import read_deliveries
from webhooks.models import Delivery
from wokibrain.events.broker import ensure_topics
from wokibrain.events.names import Group

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def announced(kafka: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """The session's broker, with the topic of deliveries as on the first day where it is the real one."""
    print(f"ran on {kafka.kind}")
    settings.KAFKA_BROKERS = kafka.address
    monkeypatch.setattr(topic, "_producers", {})
    kafka.reset()
    if not isinstance(kafka, Kafka):
        # The mock makes what it is asked about, and knows no other way.
        kafka.admin().list_topics(topic.TOPIC, timeout=10)
    elif has_topic(kafka):
        kafka.delete(topic.TOPIC)
        assert until(lambda: not has_topic(kafka))
    return kafka


def has_topic(broker: Broker) -> bool:
    return topic.TOPIC in broker.admin().list_topics(timeout=10).topics


class Reader:
    """``kafka.read`` in a thread: what `manage.py read_deliveries` runs."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.seen: list[int] = []
        self.stop = threading.Event()


@contextmanager
def reading() -> Iterator[Reader]:
    reader = Reader()
    thread = threading.Thread(target=lambda: reader.seen.append(topic.read(reader.stop, reader.woken.set)))
    thread.start()
    try:
        yield reader
    finally:
        reader.stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_announced_deliveries_wake_a_sender_once_committed(announced: Broker) -> None:
    hook = support.webhook("https://example.com/")
    with reading() as reader:
        if isinstance(announced, Kafka):
            # It makes the topic that is missing; before that there is nowhere to announce anything.
            assert until(lambda: has_topic(announced))
        event = support.happen()
        assert reader.woken.wait(30)
    assert reader.seen == [1]
    sent = Delivery.objects.get()
    (message,) = announced.read(topic.TOPIC)
    assert message.key() == str(hook.pk).encode()
    assert json.loads(message.value() or b"") == {
        "deliveryId": str(sent.pk),
        "webhookId": str(hook.pk),
        "eventId": str(event.event_id),
    }


@pytest.mark.usefixtures("real_kafka")
def test_reader_goes_on_where_the_one_before_it_stopped(announced: Broker) -> None:
    ensure_topics(topic.TOPIC)
    hooks = [support.webhook(f"https://example.com/{number}") for number in range(3)]
    support.happen()
    with reading() as first:
        assert first.woken.wait(30)
        assert until(lambda: committed(announced) == len(hooks))
    assert first.seen == [3]
    support.happen()
    with reading() as second:
        assert second.woken.wait(30)
        assert until(lambda: committed(announced) == 2 * len(hooks))
    assert second.seen == [3]


def committed(broker: Broker) -> int:
    """How many messages of the topic the group says it has read."""
    admin = broker.admin()
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(Group.WEBHOOKS.value)])
    parts = asked[Group.WEBHOOKS.value].result(10).topic_partitions or []
    return sum(max(0, part.offset) for part in parts)


@pytest.mark.usefixtures("real_kafka")
def test_topic_is_made_once_with_the_partitions_that_are_set(announced: Broker, settings: Settings) -> None:
    settings.KAFKA_PARTITIONS = 3
    ensure_topics(topic.TOPIC)
    settings.KAFKA_PARTITIONS = 5
    ensure_topics(topic.TOPIC)
    found = announced.admin().list_topics(timeout=10).topics[topic.TOPIC]
    assert len(found.partitions) == 3


def test_reader_says_what_is_wrong_and_goes_on(
    announced: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The one error among messages that any broker can be brought to.
    monkeypatch.setattr(topic, "Client", lambda conf: Consumer(conf | {"enable.partition.eof": True}))
    support.webhook("https://example.com/")
    with reading() as reader:
        assert until(lambda: "read_deliveries waits: Kafka: Fetch from broker" in caplog.text)
        support.happen()
        assert reader.woken.wait(30)
    assert reader.seen == [1]


@pytest.fixture
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_restored", "announced")
def test_command_begins_again_when_the_client_gives_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Consumer):
        def poll(self, timeout: float = -1) -> None:
            raise KafkaException(KafkaError(KafkaError._STATE, "the client is broken"))

    def stopping(conf: dict[str, Any]) -> Consumer:
        os.kill(os.getpid(), signal.SIGTERM)
        return Consumer(conf)

    makers: Iterator[Callable[[dict[str, Any]], Consumer]] = iter([Broken, stopping])
    monkeypatch.setattr(topic, "Client", lambda conf: next(makers)(conf))
    monkeypatch.setattr(read_deliveries, "AFTER_TROUBLE", 0.01)
    call_command("read_deliveries")
    assert capsys.readouterr().err.splitlines() == [
        "read_deliveries waits: Kafka: the client is broken",
        "0 deliveries announced",
    ]


def test_broker_that_is_away_loses_no_delivery(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "_producers", {})
    settings.KAFKA_BROKERS = f"127.0.0.1:{support.free_port()}"
    support.webhook("https://example.com/")
    began = time.monotonic()
    support.happen()
    assert time.monotonic() - began < 2
    assert Delivery.objects.get().status == "PENDING"
