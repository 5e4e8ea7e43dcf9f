"""The way out without Kafka: straight from the store to the consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from wokibrain.events import dispatch, registry, tasks
from wokibrain.events.dispatch import TRANSIENT
from wokibrain.events.registry import Consumer, Mode
from wokibrain.events.store import Envelope


class OutletDown(Exception):
    """Where events go is away; what was given is to be given again, in the same order."""


class Outlet(Protocol):
    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        """Return when all events are safely handed on, each aggregate's in order. Raises ``OutletDown``.

        ``halfway``, if any, is called when half of them have gone out (fault tests).
        """

    def idle(self) -> None:
        """Called between batches, at least every half second: time for house-keeping."""


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
