"""Where the relay hands events on; without Kafka, straight to the consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from wokibrain.events import dispatch, registry, tasks
from wokibrain.events.envelope import Envelope
from wokibrain.events.registry import Consumer, Mode
from wokibrain.events.retries import TRANSIENT


class OutletDown(Exception):
    """The outlet is away: the same events must be sent again, in the same order."""


class Outlet(Protocol):
    """Where the relay hands events on."""

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        """Hand on all events, those of an aggregate in order, and return when they are safe. Raises ``OutletDown``.

        Fault tests pass ``halfway``, which is called when half of them have gone out.
        """

    def idle(self) -> None:
        """Do housekeeping. The relay calls this between batches, at least every half second."""


class DirectOutlet:
    """Hands events to the consumers: INLINE ones act in the relay, for the others it queues tasks."""

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        consumers = registry.consumers()
        for number, consumer in enumerate(consumers):
            if halfway is not None and number == len(consumers) // 2:
                halfway()
            mine = [event for event in events if event.aggregate_type in consumer.topics]
            if mine:
                hand_to(consumer, mine)

    def idle(self) -> None:
        """Do nothing: dead letters are announced only on Kafka."""


def hand_to(consumer: Consumer, events: Sequence[Envelope]) -> None:
    """Let an INLINE consumer act now; queue the events for any other. Raises ``OutletDown`` when the queue is away."""
    ids = [event.event_id for event in events]
    if consumer.mode is Mode.INLINE:
        dispatch.handle(consumer.name, ids)
        return
    try:
        tasks.enqueue(consumer, ids)
    except TRANSIENT as error:
        raise OutletDown(f"the queue does not take work ({type(error).__name__})") from error
