"""From an event to one delivery for each webhook that wants to hear of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from webhooks import payload
from webhooks.event_types import HAPPENINGS
from webhooks.models import Delivery, Message, Webhook
from wokibrain.core import clock, tenants
from wokibrain.events.envelope import Envelope

# Held until the deliveries are committed, so that none is left without its webhook: whoever deletes that waits, or
# was first and it is not here any more. In order, and before anything is written. Nobody else is kept waiting: what
# writes to a webhook without touching its key is allowed beside this lock.
HEARING: Final = """
SELECT id, restaurant_id, events FROM webhooks_webhook
WHERE (restaurant_id = ANY (%(restaurants)s::text[]) OR restaurant_id IS NULL) AND status <> 'INACTIVE'
  AND events && %(happenings)s::varchar[] AND (%(only)s::uuid IS NULL OR id = %(only)s::uuid)
ORDER BY id FOR KEY SHARE
"""


def fan_out(events: Sequence[Envelope], *, only: Webhook | None = None) -> list[Delivery]:
    """Write the deliveries of these events; once for each (event, webhook), however often it is called.

    Runs within a transaction. ``only`` limits it to one webhook. Returns those written now. Raises KeyError for
    a payload that lacks what receivers are promised.
    """
    told = [event for event in events if event.event_type in HAPPENINGS]
    hearing = _hearing(told, only)
    wanted = {
        (event.event_id, webhook.pk): event
        for event in told
        for webhook in hearing
        if HAPPENINGS[event.event_type] in webhook.events
        and webhook.restaurant_id in (None, event.payload["restaurantId"])
    }
    there = set(
        Delivery.objects.filter(message_id__in={event_id for event_id, _ in wanted}).values_list(
            "message_id", "webhook_id"
        )
    )
    missing = {pair: event for pair, event in wanted.items() if pair not in there}
    if not missing:
        return []
    Message.objects.bulk_create(
        _messages(list({event.event_id: event for event in missing.values()}.values())), ignore_conflicts=True
    )
    now = clock.now()
    made = [
        Delivery(
            webhook_id=webhook_id,
            message_id=event_id,
            stream=f"{event.aggregate_type}:{event.aggregate_id}",
            sequence=event.version,
            due_at=now,
            created_at=now,
        )
        for (event_id, webhook_id), event in missing.items()
    ]
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return made


def _hearing(told: Collection[Envelope], only: Webhook | None) -> list[Webhook]:
    return list(
        Webhook.objects.raw(
            HEARING,
            {
                "restaurants": list({event.payload["restaurantId"] for event in told}),
                "happenings": list({HAPPENINGS[event.event_type].value for event in told}),
                "only": only.pk if only is not None else None,
            },
        )
    )


def _messages(events: Sequence[Envelope]) -> list[Message]:
    now = clock.now()
    zones = {
        restaurant_id: tenants.zone_of(restaurant_id) or payload.UTC
        for restaurant_id in {event.payload["restaurantId"] for event in events}
    }
    return [
        Message(
            id=event.event_id,
            event=HAPPENINGS[event.event_type],
            restaurant_id=event.payload["restaurantId"],
            reference=event.payload.get("reference", ""),
            body=payload.body(
                HAPPENINGS[event.event_type],
                event.payload,
                event_id=event.event_id,
                at=event.occurred_at,
                zone=zones[event.payload["restaurantId"]],
            ),
            created_at=now,
        )
        for event in events
    ]
