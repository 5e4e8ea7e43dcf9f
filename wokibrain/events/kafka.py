"""Kafka: the relay's way out and the consumer groups' way in.

A client must be made in the process that uses it: after a fork it silently does nothing. The relay and
`manage.py consume`, whose clients these are, never fork.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from django.conf import settings
from django.db import close_old_connections, connection

from wokibrain.core import clock
from wokibrain.events import dispatch, outlets, registry, store
from wokibrain.events.kafka_connection import (
    Trouble,
    connection_settings,
    ensure_topics,
    event_topics,
    explain,
)
from wokibrain.events.models import Failure
from wokibrain.events.outlets import OutletDown
from wokibrain.events.store import Envelope, Unreadable
from wokibrain.events.types import Group, Topic, topics
from wokibrain.postgres import diagnosis as trouble

log = logging.getLogger(__name__)

SEND_TIMEOUT: Final = 5.0
FETCH: Final = 500
GATHER: Final = 0.03
AFTER_TROUBLE: Final = 5.0
MAX_RAW: Final = 65_536
UNREADABLE_SPACE: Final = UUID("6b1c0c3e-5a3d-4f0e-9a55-9d7a3f0f6a11")


class KafkaOutlet:
    """Sends with an idempotent producer, acks from all replicas, key = aggregate id."""

    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._trouble = Trouble()

    def _ready(self) -> Producer:
        if self._producer is None:
            ensure_topics(*event_topics())
            self._trouble = Trouble()
            self._producer = Producer(
                connection_settings(settings.KAFKA_BROKERS)
                | {
                    "error_cb": self._trouble,
                    "enable.idempotence": True,
                    # After a message that could not be delivered no later one of its partition may be.
                    "enable.gapless.guarantee": True,
                    "acks": "all",
                    "compression.type": "lz4",
                    "linger.ms": 5,
                    "message.timeout.ms": int(SEND_TIMEOUT * 1000),
                }
            )
        return self._producer

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        self._send_all([_message(event) for event in events if event.aggregate_type in topics()], halfway)

    def _send_all(
        self, messages: Sequence[dict[str, Any]], halfway: Callable[[], None] | None = None
    ) -> None:
        producer = self._ready()
        # What was wrong with an earlier batch may be mended.
        self._trouble.sentence = ""
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for number, message in enumerate(messages):
                if halfway is not None and number == len(messages) // 2:
                    producer.flush(SEND_TIMEOUT)
                    halfway()
                producer.produce(**message, on_delivery=delivered)
            left = producer.flush(SEND_TIMEOUT + 2)
        except (KafkaException, BufferError) as error:
            self._give_up(producer)
            raise OutletDown(f"Kafka: {error}") from error
        if left or errors:
            self._give_up(producer)
            raise OutletDown(f"Kafka: {_cause(errors, self._trouble)}")

    def _give_up(self, producer: Producer) -> None:
        # What is still under way must not arrive after what is sent again.
        producer.purge()
        producer.flush(1)
        self._producer = None

    def idle(self) -> None:
        """Announce new dead letters on the topics' `.dlq`."""
        dead = list(Failure.objects.filter(dead_at__isnull=False, announced_at=None).order_by("id")[:100])
        if not dead:
            return
        events = {event.event_id: event for event in store.by_ids(failure.event_id for failure in dead)}
        self._send_all([_dead_letter(failure, events.get(failure.event_id)) for failure in dead])
        Failure.objects.filter(pk__in=[failure.pk for failure in dead]).update(announced_at=clock.now())


def _cause(errors: Sequence[KafkaError], trouble: Trouble) -> str:
    """Why messages were not delivered; that they timed out says less than what the connection last said."""
    if errors and errors[0].code() != KafkaError._MSG_TIMED_OUT:
        return explain(errors[0])
    return trouble.sentence or (explain(errors[0]) if errors else "no answer")


def _message(event: Envelope) -> dict[str, Any]:
    headers = [
        ("content-type", b"application/json"),
        ("event-type", event.event_type.encode()),
        ("event-id", str(event.event_id).encode()),
    ]
    if traceparent := event.metadata.get("traceparent"):
        headers.append(("traceparent", str(traceparent).encode()))
    return {
        "topic": Topic(event.aggregate_type).kafka,
        "key": event.aggregate_id.encode(),
        "value": event.to_bytes(),
        "headers": headers,
    }


def _dead_letter(failure: Failure, event: Envelope | None) -> dict[str, Any]:
    source = failure.origin.split("/")[0]
    topic = next((one for one in topics() if one.kafka == source), topics()[0])
    if event is not None and event.aggregate_type in topics():
        topic = Topic(event.aggregate_type)
    return {
        "topic": topic.dead_letters,
        "key": (event.aggregate_id if event else str(failure.event_id)).encode(),
        "value": event.to_bytes() if event else bytes(failure.raw or b""),
        "headers": [
            ("consumer", failure.consumer.encode()),
            ("event-id", str(failure.event_id).encode()),
            ("error", failure.error.encode()),
            ("attempts", str(failure.attempts).encode()),
        ],
    }


# --- the way in ------------------------------------------------------------------------------------------------------


def consume(groups: Iterable[Group], stop: threading.Event) -> None:
    """Run these groups, a thread each, until ``stop`` is set; return when all have given back what they held."""
    threads = [threading.Thread(target=_serve, args=(group, stop), name=group.value) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve(group: Group, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            GroupReader(group).run(stop)
        except KafkaException as error:
            log.warning("%s waits: Kafka: %s", group.value, explain(error.args[0]))
            stop.wait(AFTER_TROUBLE)
        except OutletDown as error:
            log.warning("%s waits: %s", group.value, error)
            stop.wait(AFTER_TROUBLE)
        except Exception as error:
            # Whatever it was, the group goes on from its committed offsets; a crash loop shows in the log and the lag.
            said = trouble.sentence(error)
            log.warning("%s starts over: %s", group.value, said or "", exc_info=None if said else error)
            stop.wait(1)
        finally:
            connection.close()


class GroupReader:
    def __init__(self, group: Group) -> None:
        self.group = group
        self.consumers = registry.consumers(group)
        self.listeners = registry.listeners(group)
        self.client = Client(
            connection_settings(settings.KAFKA_BROKERS)
            | {
                "error_cb": Trouble(group.value),
                "group.id": group.value,
                "enable.auto.commit": False,
                # Stored when the work is handed on, not when the message is fetched.
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 10_000,
                # With the queue away for longer the partitions go to another process; nothing is committed.
                "max.poll.interval.ms": 600_000,
                "allow.auto.create.topics": False,
                "fetch.message.max.bytes": 4_194_304,
            }
        )

    def run(self, stop: threading.Event) -> None:
        topics = {topic.kafka for consumer in self.consumers for topic in consumer.topics}
        try:
            self._make_own_topics()
            self.client.subscribe(sorted(topics | set(self.listeners)))
            while not stop.is_set():
                messages = self._fetch()
                if messages and self._hand_on(messages, stop):
                    self._done_with(messages)
                    self._commit(asynchronous=True)
        finally:
            self._commit(asynchronous=False)
            self.client.close()

    def _make_own_topics(self) -> None:
        """Those of the listeners; the relay makes those of events. Raises ``OutletDown``."""
        if self.listeners:
            ensure_topics(*self.listeners)

    def _fetch(self) -> list[Message]:
        first = self.client.poll(0.25)
        if first is None:
            return []
        # A little more patience: work is done in batches, and partitions arrive one after another.
        messages = [first, *self.client.consume(FETCH - 1, GATHER)]
        for message in messages:
            if (error := message.error()) is not None:
                log.warning("%s: %s", self.group.value, error.str())
                if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self._make_own_topics()
        return [message for message in messages if message.error() is None]

    def _hand_on(self, messages: Sequence[Message], stop: threading.Event) -> bool:
        """Hand the batch to the group's consumers; keep at it while the queue or Postgres is away."""
        pause = 0.1
        while not stop.is_set():
            try:
                close_old_connections()
                for topic in self.listeners.keys() & {message.topic() for message in messages}:
                    self.listeners[topic]()
                events = self._read([each for each in messages if each.topic() not in self.listeners])
                for consumer in self.consumers:
                    if mine := [event for event in events if event.aggregate_type in consumer.topics]:
                        outlets.hand_to(consumer, mine)
                return True
            except (OutletDown, *dispatch.TRANSIENT) as error:
                log.warning("%s waits: %s", self.group.value, trouble.sentence(error) or error)
                stop.wait(pause)
                pause = min(pause * 2, 2.0)
        return False

    def _read(self, messages: Sequence[Message]) -> list[Envelope]:
        events = []
        for message in messages:
            try:
                events.append(Envelope.from_bytes(message.value() or b""))
            except Unreadable as error:
                bury(self.group, message, error)
        return events

    def _done_with(self, messages: Sequence[Message]) -> None:
        reached: dict[tuple[str, int], int] = {}
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is not None and partition is not None and offset is not None:
                reached[topic, partition] = offset
        for (topic, partition), offset in reached.items():
            try:
                self.client.store_offsets(offsets=[TopicPartition(topic, partition, offset + 1)])
            except KafkaException as error:
                # It went to another process of the group meanwhile.
                log.info("%s: %s/%s: %s", self.group.value, topic, partition, error)

    def _commit(self, *, asynchronous: bool) -> None:
        try:
            if asynchronous:
                self.client.commit(asynchronous=True)
            else:
                self.client.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._NO_OFFSET:
                return
            # The messages will come again, and meet their receipts.
            log.warning("%s could not commit its offsets: %s", self.group.value, error)


def bury(group: Group, message: Message, error: Exception) -> None:
    """Dead-letter a message that is no event. Once, however often it is delivered."""
    raw = bytes(message.value() or b"")
    _, stamp = message.timestamp()
    origin = f"{message.topic()}/{message.partition()}/{message.offset()}"
    Failure.objects.bulk_create(
        [
            Failure(
                consumer=group.value,
                event_id=uuid5(UNREADABLE_SPACE, f"{group.value} {origin} {stamp}"),
                attempts=1,
                error=f"{error} ({len(raw)} bytes)",
                dead_at=datetime.now(UTC),
                origin=origin,
                raw=raw[:MAX_RAW],
            )
        ],
        ignore_conflicts=True,
    )
    log.warning("%s: message %s is no event", group.value, origin)
