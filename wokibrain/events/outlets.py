"""The way out without Kafka: straight from the store to the consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings

from wokibrain.events import dispatch, registry, tasks
from wokibrain.events.dispatch import TRANSIENT
from wokibrain.events.registry import Consumer, Mode
from wokibrain.events.relay import Outlet, OutletDown
from wokibrain.events.store import Envelope


def outlet() -> Outlet:
    """Kafka where KAFKA_BROKERS names one, else the consumers themselves."""
    if settings.KAFKA_BROKERS:
        from wokibrain.events.kafka import KafkaOutlet

        return KafkaOutlet()
    return DirectOutlet()


class DirectOutlet:
    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        consumers = registry.consumers()
        for number, consumer in enumerate(consumers):
            if halfway is not None and number == len(consumers) // 2:
                halfway()
            mine = [event for event in events if event.aggregate_type in consumer.topics]
            if mine:
                hand_to(consumer, mine)

    def idle(self) -> None:
        pass


def hand_to(consumer: Consumer, events: Sequence[Envelope]) -> None:
    """Let an INLINE consumer act now, queue the events for any other. Raises ``OutletDown`` with the queue away."""
    ids = [event.event_id for event in events]
    if consumer.mode is Mode.INLINE:
        dispatch.handle(consumer.name, ids)
        return
    try:
        tasks.enqueue(consumer, ids)
    except TRANSIENT as error:
        raise OutletDown(f"the queue does not take work ({type(error).__name__})") from error
