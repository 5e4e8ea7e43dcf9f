"""The relay's outlet to Kafka.

A client must be made in the process that uses it: after a fork it silently does nothing. The relay never forks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from django.conf import settings

from wokibrain.core import clock
from wokibrain.events import store
from wokibrain.events.envelope import Envelope
from wokibrain.events.kafka_connection import (
    Trouble,
    connection_settings,
    ensure_topics,
    event_topics,
    explain,
)
from wokibrain.events.models import Failure
from wokibrain.events.outlets import OutletDown
from wokibrain.events.types import Topic, topics

DELIVERY_SECONDS: Final = 5.0
"""How long the brokers have to acknowledge a batch."""
FLUSH_MARGIN_SECONDS: Final = 2.0
"""On top of it, for the client to report its time-outs."""
MAX_ANNOUNCED: Final = 100
"""Dead letters announced between two batches of events, so that events do not wait for them."""


class KafkaOutlet:
    """Sends with an idempotent producer that waits for all replicas; the key is the aggregate's id."""

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
                    "message.timeout.ms": int(DELIVERY_SECONDS * 1000),
                }
            )
        return self._producer

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        """Send the events that have a topic, and wait until the brokers have them. Raises ``OutletDown``."""
        self._send_all([_message(event) for event in events if event.aggregate_type in topics()], halfway)

    def _send_all(
        self, messages: Sequence[dict[str, Any]], halfway: Callable[[], None] | None = None
    ) -> None:
        producer = self._ready()
        # Trouble with an earlier batch may be over.
        self._trouble.sentence = ""
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for number, message in enumerate(messages):
                if halfway is not None and number == len(messages) // 2:
                    producer.flush(DELIVERY_SECONDS)
                    halfway()
                producer.produce(**message, on_delivery=delivered)
            undelivered = producer.flush(DELIVERY_SECONDS + FLUSH_MARGIN_SECONDS)
        except (KafkaException, BufferError) as error:
            self._give_up(producer)
            raise OutletDown(f"Kafka: {error}") from error
        if undelivered or errors:
            self._give_up(producer)
            raise OutletDown(f"Kafka: {_cause(errors, self._trouble)}")

    def _give_up(self, producer: Producer) -> None:
        # A message still in flight must not arrive after the same one sent again.
        producer.purge()
        producer.flush(1)
        self._producer = None

    def idle(self) -> None:
        """Announce new dead letters on the topics' `.dlq`."""
        dead = list(
            Failure.objects.filter(dead_at__isnull=False, announced_at=None).order_by("id")[:MAX_ANNOUNCED]
        )
        if not dead:
            return
        events = {event.event_id: event for event in store.by_ids(failure.event_id for failure in dead)}
        self._send_all([_dead_letter(failure, events.get(failure.event_id)) for failure in dead])
        Failure.objects.filter(pk__in=[failure.pk for failure in dead]).update(announced_at=clock.now())


def _cause(errors: Sequence[KafkaError], trouble: Trouble) -> str:
    """Return why messages were not delivered. A time-out says less than the connection's last error, if any."""
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
    """Return the message that announces a dead letter: its event, or the raw bytes where it is none."""
    if event is not None and event.aggregate_type in topics():
        topic = Topic(event.aggregate_type)
    else:
        source = failure.origin.split("/")[0]
        topic = next((topic for topic in topics() if topic.kafka == source), topics()[0])
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
