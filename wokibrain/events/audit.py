"""The audit trail: one entry for every event, and for what is no event, such as a sign-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from wokibrain.core import clock, context
from wokibrain.events.models import AuditEntry
from wokibrain.events.registry import Mode, consumer
from wokibrain.events.store import Envelope, Payload, with_previous
from wokibrain.events.types import Group

PERSONAL: Final = frozenset(
    {
        "guestName",
        "guestEmail",
        "guestPhone",
        "notes",
        "guestNotes",
        "name",
        "email",
        "phone",
        "specialDayNames",
    }
)
"""Fields whose values never enter the trail; that they changed does."""
ABOUT_THE_CHANGE: Final = frozenset({"changes", "reason"})


def record(
    *,
    actor: str,
    action: str,
    target_type: str = "",
    target_id: str = "",
    restaurant_id: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    event_id: UUID | None = None,
) -> AuditEntry:
    """Enter what someone did now, through the door of the present context. Values of personal fields are left out.

    ``event_id`` is the event's that tells of it too, where there is one that the trail's consumer does not hear.
    """
    here = context.current()
    before, after = dict(before or {}), dict(after or {})
    return AuditEntry.objects.create(
        event_id=event_id,
        occurred_at=clock.now(),
        actor=actor,
        action=action,
        target_type=target_type,
        target_id=target_id,
        restaurant_id=restaurant_id,
        source=here.source,
        request_id=here.request_id,
        before=_impersonal(before),
        after=_impersonal(after),
        touched=sorted(PERSONAL & (before.keys() | after.keys())),
    )


@consumer(name="audit", group=Group.AUDIT, mode=Mode.BATCH)
def audit(events: Sequence[Envelope]) -> None:
    AuditEntry.objects.bulk_create([_entry(previous, event) for previous, event in with_previous(events)])


def _entry(previous: Envelope | None, event: Envelope) -> AuditEntry:
    before, after = _difference(previous.payload if previous else {}, event.payload)
    changes = event.payload.get("changes") or {}
    return AuditEntry(
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        actor=event.metadata.get("actor") or "",
        action=event.event_type,
        target_type=event.aggregate_type,
        target_id=event.aggregate_id,
        restaurant_id=event.payload.get("restaurantId") or "",
        source=event.metadata.get("source") or "",
        request_id=event.metadata.get("requestId") or "",
        before=before,
        after=after,
        touched=sorted(PERSONAL & changes.keys()),
    )


def _difference(before: Payload, after: Payload) -> tuple[Payload, Payload]:
    fields = [
        field
        for field in sorted((before.keys() | after.keys()) - ABOUT_THE_CHANGE)
        if before.get(field) != after.get(field)
    ]
    return (
        _impersonal({field: before[field] for field in fields if field in before}),
        _impersonal({field: after[field] for field in fields if field in after}),
    )


def _impersonal(values: Payload) -> Payload:
    return {field: value for field, value in values.items() if field not in PERSONAL}
