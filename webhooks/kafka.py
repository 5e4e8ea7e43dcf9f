"""Announce new deliveries on a Kafka topic, so that its consumers wake the senders.

A message holds the ids of one delivery, keyed by webhook. Postgres stays the truth: a lost message delays a
delivery by a few seconds, a repeated one has no effect.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import orjson
from confluent_kafka import KafkaException, Producer
from django.conf import settings

from webhooks.event_types import DELIVERIES
from webhooks.models import Delivery
from wokibrain.events.kafka_connection import Trouble, connection_settings, explain

log = logging.getLogger(__name__)

_producers: dict[int, Producer] = {}


def announce(deliveries: Sequence[Delivery]) -> None:
    """Announce the deliveries. Returns at once and never raises: ``tasks.sweep`` finds them anyway."""
    try:
        producer = _producer()
        for delivery in deliveries:
            value = {
                "deliveryId": delivery.pk,
                "webhookId": delivery.webhook_id,
                "eventId": delivery.message_id,
            }
            producer.produce(DELIVERIES, key=str(delivery.webhook_id), value=orjson.dumps(value))
        producer.poll(0)
    except (BufferError, KafkaException) as error:
        from_kafka = isinstance(error, KafkaException)
        log.warning("deliveries are not announced: %s", explain(error.args[0]) if from_kafka else error)


def _producer() -> Producer:
    """Return this process's own producer: one made before a fork delivers nothing."""
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
