"""What follows from events: deliveries, and somebody to send them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from webhooks import fanout, queue, tasks
from webhooks.event_types import DELIVERIES
from wokibrain.events.envelope import Envelope
from wokibrain.events.registry import Mode, Start, consumer, listener
from wokibrain.events.types import Group


@consumer(
    name=queue.CONSUMER,
    group=Group.WEBHOOKS,
    mode=Mode.BATCH,
    # What happened before there were webhooks is nobody's to hear; `recover` sends it to who asks.
    start=Start.NOW,
)
def deliveries(events: Sequence[Envelope]) -> None:
    if made := fanout.fan_out(events):
        transaction.on_commit(lambda: tasks.wake(made))


@listener(group=Group.WEBHOOKS, topic=DELIVERIES)
def announced() -> None:
    tasks.call()
