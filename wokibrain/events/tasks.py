"""The Celery task that runs consumers, and its queues, one for each consumer group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from celery import current_app, shared_task

from wokibrain.core import context
from wokibrain.events import dispatch
from wokibrain.events.registry import Consumer, Mode

MAX_EVENTS_PER_TASK: Final = 500
"""A task must end well within Celery's time limit."""


@shared_task(name="wokibrain.events.handle")  # type: ignore[untyped-decorator]
def handle(consumer: str, event_ids: list[str], retrying: bool = False) -> None:
    """Let the consumer handle these events; see ``dispatch.handle``."""
    with context.entered(context.Context(source="worker")):
        dispatch.handle(consumer, map(UUID, event_ids), retrying=retrying)


def enqueue(consumer: Consumer, event_ids: Sequence[UUID], *, retrying: bool = False) -> None:
    """Queue the events for the consumer, one task each or in batches. Raises when the queue is away."""
    ids = [str(event_id) for event_id in event_ids]
    size = 1 if consumer.mode is Mode.EACH else MAX_EVENTS_PER_TASK
    for first in range(0, len(ids), size):
        handle.apply_async((consumer.name, ids[first : first + size], retrying), queue=consumer.group.value)


def queued(consumer: Consumer) -> int:
    """Return how many tasks wait in the queue of the consumer's group. Raises when the queue is away."""
    with current_app.connection_for_read() as link:
        channel = link.default_channel
        return int(channel._size(consumer.group.value))
