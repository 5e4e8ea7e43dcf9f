"""Events become deliveries, and new deliveries wake a sender."""

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
    # Events from before webhooks were introduced are not delivered; `recover` sends them on request.
    start=Start.NOW,
)
def deliveries(events: Sequence[Envelope]) -> None:
    if new := fanout.fan_out(events):
        transaction.on_commit(lambda: tasks.announce(new))


@listener(group=Group.WEBHOOKS, topic=DELIVERIES)
def announced() -> None:
    tasks.wake_sender()
