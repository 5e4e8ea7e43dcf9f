"""From an event to one delivery for each webhook that subscribes to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from webhooks import payload
from webhooks.event_types import WEBHOOK_EVENTS
from webhooks.models import Delivery, Message, Webhook
from wokibrain.core import clock, tenants
from wokibrain.events.envelope import Envelope

# The lock lasts until the deliveries are committed, so that none is left without its webhook: a deletion waits, or came
# first and the webhook is not found. Locked in order, before anything is written. Other updates do not wait: only a
# change of the key conflicts with FOR KEY SHARE.
SUBSCRIBED: Final = """
SELECT id, restaurant_id, events FROM webhooks_webhook
WHERE (restaurant_id = ANY (%(restaurants)s::text[]) OR restaurant_id IS NULL) AND status <> 'INACTIVE'
  AND events && %(webhook_events)s::varchar[] AND (%(only)s::uuid IS NULL OR id = %(only)s::uuid)
ORDER BY id FOR KEY SHARE
"""


def fan_out(events: Sequence[Envelope], *, only: Webhook | None = None) -> list[Delivery]:
    """Write the deliveries of these events: one per (event, webhook), however often this is called.

    Runs within a transaction. ``only`` limits it to one webhook. Return the new deliveries. Raises KeyError for a
    payload that lacks a field that receivers are promised.
    """
    relevant = [event for event in events if event.event_type in WEBHOOK_EVENTS]
    webhooks = _subscribed(relevant, only)
    pairs = {
        (event.event_id, webhook.pk): event
        for event in relevant
        for webhook in webhooks
        if WEBHOOK_EVENTS[event.event_type] in webhook.events
        and webhook.restaurant_id in (None, event.payload["restaurantId"])
    }
    existing = set(
        Delivery.objects.filter(message_id__in={event_id for event_id, _ in pairs}).values_list(
            "message_id", "webhook_id"
        )
    )
    missing = {pair: event for pair, event in pairs.items() if pair not in existing}
    if not missing:
        return []
    Message.objects.bulk_create(
        _messages(list({event.event_id: event for event in missing.values()}.values())), ignore_conflicts=True
    )
    now = clock.now()
    deliveries = [
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
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    return deliveries


def _subscribed(events: Collection[Envelope], only: Webhook | None) -> list[Webhook]:
    return list(
        Webhook.objects.raw(
            SUBSCRIBED,
            {
                "restaurants": list({event.payload["restaurantId"] for event in events}),
                "webhook_events": list({WEBHOOK_EVENTS[event.event_type].value for event in events}),
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
            event=WEBHOOK_EVENTS[event.event_type],
            restaurant_id=event.payload["restaurantId"],
            reference=event.payload.get("reference", ""),
            body=payload.body(
                WEBHOOK_EVENTS[event.event_type],
                event.payload,
                event_id=event.event_id,
                at=event.occurred_at,
                zone=zones[event.payload["restaurantId"]],
            ),
            created_at=now,
        )
        for event in events
    ]
