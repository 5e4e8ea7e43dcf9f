"""From an event to one delivery for each webhook that wants to hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q

from webhooks import payload
from webhooks.models import Delivery, Message, Webhook
from webhooks.names import HAPPENINGS
from wokibrain import clock
from wokibrain.events.store import Envelope


class Wake(Protocol):
    def __call__(self) -> None: ...


def fan_out(events: Sequence[Envelope], *, only: Webhook | None = None) -> list[Delivery]:
    """Write the deliveries of these events; once for each (event, webhook), however often it is called.

    Runs within a transaction. ``only`` limits it to one webhook. Returns those written now. Raises KeyError for
    a payload that lacks what receivers are promised.
    """
    made: list[Delivery] = []
    for event in events:
        if (happening := HAPPENINGS.get(event.event_type)) is None:
            continue
        restaurant_id: str = event.payload["restaurantId"]
        hearing = Webhook.objects.filter(
            Q(restaurant_id=restaurant_id) | Q(restaurant_id=None), events__contains=[happening.value]
        ).exclude(status=Webhook.Status.INACTIVE)
        if only is not None:
            hearing = hearing.filter(pk=only.pk)
        webhooks = list(hearing.values_list("pk", flat=True))
        if not webhooks:
            continue
        now = clock.now()
        Message.objects.bulk_create(
            [
                Message(
                    id=event.event_id,
                    event=happening,
                    restaurant_id=restaurant_id,
                    reference=event.payload.get("reference", ""),
                    body=payload.body(
                        happening,
                        event.payload,
                        event_id=event.event_id,
                        at=event.occurred_at,
                        zone=zone_of(restaurant_id),
                    ),
                    created_at=now,
                )
            ],
            ignore_conflicts=True,
        )
        there = set(Delivery.objects.filter(message_id=event.event_id).values_list("webhook_id", flat=True))
        wanted = [
            Delivery(
                webhook_id=webhook_id,
                message_id=event.event_id,
                stream=f"{event.aggregate_type}:{event.aggregate_id}",
                sequence=event.version,
                due_at=now,
                created_at=now,
            )
            for webhook_id in webhooks
            if webhook_id not in there
        ]
        Delivery.objects.bulk_create(wanted, ignore_conflicts=True)
        made += wanted
    return made


def zone_of(restaurant_id: str | None) -> ZoneInfo:
    """The restaurant's zone; UTC where there is no such restaurant (any more)."""
    restaurants = Webhook._meta.get_field("restaurant").related_model
    assert not isinstance(restaurants, str)
    name = restaurants._default_manager.filter(pk=restaurant_id).values_list("zone", flat=True).first()
    return clock.zone(name) if name else ZoneInfo("UTC")
