"""The audit trail: an entry for every event, and for actions that are no events, such as a sign-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from wokibrain.core import clock, context
from wokibrain.events.envelope import Envelope, Payload
from wokibrain.events.models import AuditEntry
from wokibrain.events.registry import Mode, consumer
from wokibrain.events.store import with_previous
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
"""Fields of which the trail records only that they changed, never a value."""
ABOUT_THE_CHANGE: Final = frozenset({"changes", "reason"})
"""Fields of a payload that describe the change, not the aggregate after it."""


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
    """Enter an action of now, with the source and request of the present context. Return the entry.

    Values of personal fields are left out. Pass ``event_id`` where an event tells of the same action and has no topic,
    so that the trail's consumer never receives it.
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
    """Enter one row for each event, with the fields that differ from the aggregate's previous event."""
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
