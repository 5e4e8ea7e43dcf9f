"""Deliveries over Kafka, where it runs: announced on a topic by who wrote them, read by who wakes the senders.

The topic carries no more than which deliveries there are, keyed by webhook; Postgres stays the truth, so
what the topic loses costs a few seconds, and what it repeats costs nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

import orjson
from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Producer
from django.conf import settings

from webhooks.models import Delivery
from wokibrain.events.broker import Trouble, connection_settings, ensure_topics, explain
from wokibrain.events.names import Group
from wokibrain.events.relay import OutletDown

log = logging.getLogger(__name__)

TOPIC: Final = "wokibrain.webhooks.deliveries"
FETCH: Final = 500

_producers: dict[int, Producer] = {}


def announce(made: Sequence[Delivery]) -> None:
    """Put the deliveries on the topic. Returns at once and never raises: ``tasks.sweep`` finds them anyway."""
    try:
        producer = _producer()
        for delivery in made:
            value = {
                "deliveryId": delivery.pk,
                "webhookId": delivery.webhook_id,
                "eventId": delivery.message_id,
            }
            producer.produce(TOPIC, key=str(delivery.webhook_id), value=orjson.dumps(value))
        producer.poll(0)
    except (BufferError, KafkaException) as error:
        known = isinstance(error, KafkaException)
        log.warning("deliveries are not announced: %s", explain(error.args[0]) if known else error)


def _producer() -> Producer:
    """This process's own: one made before a fork delivers nothing."""
    pid = os.getpid()
    if pid not in _producers:
        _producers.clear()
        _producers[pid] = Producer(
            connection_settings(settings.KAFKA_BROKERS)
            | {
                "error_cb": Trouble("announce"),
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": 10_000,
            }
        )
    return _producers[pid]


def read(stop: threading.Event, wake: Callable[[], None]) -> int:
    """Call ``wake`` whenever deliveries are announced, until ``stop`` is set. Returns how many there were.

    Offsets are committed after the call. Raises ``OutletDown`` when no broker answers where the topic is to be made,
    or the client gives up.
    """
    try:
        return _read(stop, wake)
    except KafkaException as error:
        raise OutletDown(f"Kafka: {explain(error.args[0])}") from error


def _read(stop: threading.Event, wake: Callable[[], None]) -> int:
    ensure_topics(TOPIC)
    trouble = Trouble("read_deliveries")
    client = Client(
        connection_settings(settings.KAFKA_BROKERS)
        | {
            "error_cb": trouble,
            "group.id": Group.WEBHOOKS.value,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
        }
    )
    seen = 0
    try:
        client.subscribe([TOPIC])
        while not stop.is_set():
            first = client.poll(0.25)
            messages = [] if first is None else [first, *client.consume(FETCH - 1, 0)]
            errors = [error for message in messages if (error := message.error()) is not None]
            if any(map(_topic_is_missing, errors)):
                ensure_topics(TOPIC)
            for error in errors:
                if not _topic_is_missing(error):
                    trouble(error)
            if good := len(messages) - len(errors):
                wake()
                _commit(client)
                seen += good
    finally:
        client.close()
    return seen


def _topic_is_missing(error: KafkaError) -> bool:
    return error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _commit(client: Client) -> None:
    try:
        client.commit(asynchronous=False)
    except KafkaException as error:
        log.warning("offsets are not committed: %s", error)
