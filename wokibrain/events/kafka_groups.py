"""The consumer groups that read events from Kafka, a thread each.

A client must be made in the process that uses it: after a fork it silently does nothing. `manage.py consume` never
forks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from django.conf import settings
from django.db import close_old_connections, connection

from wokibrain.events import outlets, registry, retries
from wokibrain.events.envelope import Envelope, Unreadable
from wokibrain.events.kafka_connection import Trouble, connection_settings, ensure_topics, explain
from wokibrain.events.models import Failure
from wokibrain.events.outlets import OutletDown
from wokibrain.events.types import Group
from wokibrain.postgres import diagnosis

log = logging.getLogger(__name__)

MAX_MESSAGES: Final = 500
"""Read in one batch."""
POLL_SECONDS: Final = 0.25
"""How long a batch waits for its first message; also how soon a group notices that it is to stop."""
GATHER_SECONDS: Final = 0.03
"""How long a batch waits for more: consumers work in batches, and partitions arrive one after another."""
OUTAGE_PAUSE_SECONDS: Final = 5.0
"""Between two tries to reach Kafka."""
RESTART_PAUSE_SECONDS: Final = 1.0
HAND_ON_PAUSE_SECONDS: Final = 0.1
"""Before the first repeat while the queue or Postgres is away; doubles up to MAX_HAND_ON_PAUSE_SECONDS."""
MAX_HAND_ON_PAUSE_SECONDS: Final = 2.0
MAX_RAW_BYTES: Final = 65_536
"""What is stored of a message that is no event."""
UNREADABLE_NAMESPACE: Final = UUID("6b1c0c3e-5a3d-4f0e-9a55-9d7a3f0f6a11")
"""Gives such a message the same id each time it is delivered."""


def consume(groups: Iterable[Group], stop: threading.Event) -> None:
    """Run these groups until ``stop`` is set. Return when all have committed their offsets and left."""
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
            stop.wait(OUTAGE_PAUSE_SECONDS)
        except OutletDown as error:
            log.warning("%s waits: %s", group.value, error)
            stop.wait(OUTAGE_PAUSE_SECONDS)
        except Exception as error:
            # The group goes on from its committed offsets in any case; a crash loop shows in the log and the lag.
            cause = diagnosis.sentence(error)
            log.warning("%s starts over: %s", group.value, cause or "", exc_info=None if cause else error)
            stop.wait(RESTART_PAUSE_SECONDS)
        finally:
            connection.close()


class GroupReader:
    """One member of a consumer group: reads its topics and hands each batch to the group's consumers."""

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
        """Read until ``stop`` is set, then commit and leave the group. Raises KafkaException, ``OutletDown``."""
        topics = {topic.kafka for consumer in self.consumers for topic in consumer.topics}
        try:
            self._make_own_topics()
            self.client.subscribe(sorted(topics | set(self.listeners)))
            while not stop.is_set():
                messages = self._fetch()
                if messages and self._hand_on(messages, stop):
                    self._store_offsets(messages)
                    self._commit(asynchronous=True)
        finally:
            self._commit(asynchronous=False)
            self.client.close()

    def _make_own_topics(self) -> None:
        """Make the listeners' topics; the relay makes those of events. Raises ``OutletDown``."""
        if self.listeners:
            ensure_topics(*self.listeners)

    def _fetch(self) -> list[Message]:
        first = self.client.poll(POLL_SECONDS)
        if first is None:
            return []
        messages = [first, *self.client.consume(MAX_MESSAGES - 1, GATHER_SECONDS)]
        for message in messages:
            if (error := message.error()) is not None:
                log.warning("%s: %s", self.group.value, error.str())
                if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self._make_own_topics()
        return [message for message in messages if message.error() is None]

    def _hand_on(self, messages: Sequence[Message], stop: threading.Event) -> bool:
        """Hand the batch to the group's consumers, again and again while the queue or Postgres is away.

        Return False when ``stop`` was set before that succeeded.
        """
        pause = HAND_ON_PAUSE_SECONDS
        while not stop.is_set():
            try:
                close_old_connections()
                for topic in self.listeners.keys() & {message.topic() for message in messages}:
                    self.listeners[topic]()
                events = self._read(
                    [message for message in messages if message.topic() not in self.listeners]
                )
                for consumer in self.consumers:
                    if mine := [event for event in events if event.aggregate_type in consumer.topics]:
                        outlets.hand_to(consumer, mine)
                return True
            except (OutletDown, *retries.TRANSIENT) as error:
                log.warning("%s waits: %s", self.group.value, diagnosis.sentence(error) or error)
                stop.wait(pause)
                pause = min(pause * 2, MAX_HAND_ON_PAUSE_SECONDS)
        return False

    def _read(self, messages: Sequence[Message]) -> list[Envelope]:
        events = []
        for message in messages:
            try:
                events.append(Envelope.from_bytes(message.value() or b""))
            except Unreadable as error:
                dead_letter(self.group, message, error)
        return events

    def _store_offsets(self, messages: Sequence[Message]) -> None:
        reached: dict[tuple[str, int], int] = {}
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is not None and partition is not None and offset is not None:
                reached[topic, partition] = offset
        for (topic, partition), offset in reached.items():
            try:
                self.client.store_offsets(offsets=[TopicPartition(topic, partition, offset + 1)])
            except KafkaException as error:
                # The partition went to another process of the group meanwhile.
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
            # The messages will come again, and find their receipts.
            log.warning("%s could not commit its offsets: %s", self.group.value, error)


def dead_letter(group: Group, message: Message, error: Exception) -> None:
    """Store a message that is no event as a dead letter: one row, however often it is delivered."""
    raw = bytes(message.value() or b"")
    _, stamp = message.timestamp()
    origin = f"{message.topic()}/{message.partition()}/{message.offset()}"
    Failure.objects.bulk_create(
        [
            Failure(
                consumer=group.value,
                event_id=uuid5(UNREADABLE_NAMESPACE, f"{group.value} {origin} {stamp}"),
                attempts=1,
                error=f"{error} ({len(raw)} bytes)",
                dead_at=datetime.now(UTC),
                origin=origin,
                raw=raw[:MAX_RAW_BYTES],
            )
        ],
        ignore_conflicts=True,
    )
    log.warning("%s: message %s is no event", group.value, origin)
