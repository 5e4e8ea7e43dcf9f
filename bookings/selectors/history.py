"""What a booking was, and when: folds over its events. Callers see to it who may look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bookings.availability import plan as plans
from bookings.event_types import BOOKING, BOOKING_CANCELLED
from bookings.repository.statements import find_booking
from bookings.selectors.bookings import DayList
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound, Text
from wokibrain.core.permissions import Permission
from wokibrain.events import snapshots, store, types
from wokibrain.events.envelope import Envelope, Payload
from wokibrain.events.models import StoredEvent
from wokibrain.office.actors import actors_named

NOT_STATE = frozenset({"changes", "reason", "undoes", "swappedWith"})
"""What an event says about the change and not about the booking after it."""


def evolve(state: Payload | None, event: Envelope) -> Payload:
    """The booking after ``event``: its payload is the whole of it, but for what tells of the change.

    A field that later shapes of the payload no longer carry stays as it last was.
    """
    after = {key: value for key, value in event.payload.items() if key not in NOT_STATE}
    return {
        **(state or {}),
        **after,
        "version": event.version,
        "updatedAt": event.occurred_at.isoformat(),
        "cancelReason": event.payload.get("reason")
        if event.event_type == BOOKING_CANCELLED.name
        else (state or {}).get("cancelReason"),
    }


def history(booking_id: UUID | str) -> list[Envelope]:
    """The booking's events, oldest first; empty for a booking that never was."""
    return store.load(BOOKING, str(booking_id))


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """One event of a booking's story. ``actor`` is a name for people, ``changed`` the fields that changed."""

    event_type: str
    label: Text
    occurred_at: datetime
    actor: str
    is_undo: bool
    changed: tuple[str, ...]


def story(booking_id: UUID | str) -> list[StoryEntry]:
    """Return what happened to a booking, oldest first, with who did it."""
    events = history(booking_id)
    names = actors_named(event.metadata.get("actor", "") for event in events)
    return [
        StoryEntry(
            event_type=event.event_type,
            label=types.label(event.event_type),
            occurred_at=event.occurred_at,
            actor=names[event.metadata.get("actor", "")],
            is_undo=bool(event.payload.get("undoes")),
            changed=tuple(sorted(event.payload.get("changes") or {})),
        )
        for event in events
    ]


def as_of(booking_id: UUID | str, instant: datetime) -> Payload | None:
    """The booking as it stood at ``instant`` (inclusive), or None before it was made."""
    return snapshots.fold(BOOKING, str(booking_id), evolve, until=instant).state


def day_as_of(restaurant_id: str, sector_id: str | None, day: date, instant: datetime) -> list[Payload]:
    """The bookings that at ``instant`` stood in the book of that service date, by start and id.

    ``sector_id`` None means all sectors. Cancelled bookings are among them, with that status.
    """
    once_there: dict[str, Any] = {
        "aggregate_type": BOOKING,
        "payload__restaurantId": restaurant_id,
        "payload__serviceDate": day.isoformat(),
        "occurred_at__lte": instant,
    }
    ids = StoredEvent.objects.filter(**once_there).values("aggregate_id")
    latest = (
        StoredEvent.objects.filter(aggregate_type=BOOKING, aggregate_id__in=ids, occurred_at__lte=instant)
        .order_by("aggregate_id", "-version")
        .distinct("aggregate_id")
    )
    found = [evolve(None, Envelope.from_row(row)) for row in latest]
    return sorted(
        (
            booking
            for booking in found
            if booking["restaurantId"] == restaurant_id
            and booking["serviceDate"] == day.isoformat()
            and sector_id in (None, booking["sectorId"])
        ),
        key=lambda booking: (datetime.fromisoformat(booking["start"]), booking["id"]),
    )


def booking_history(*, caller: Caller, booking: str) -> tuple[list[Envelope], ZoneInfo]:
    """The booking's events, oldest first, and its zone. Raises NotFound for one the caller may not see."""
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    return history(found.id), clock.zone(found.zone)


def booking_as_of(*, caller: Caller, booking: str, instant: datetime) -> tuple[Payload, ZoneInfo]:
    """The booking as it stood at ``instant``, and its zone. Raises NotFound before it was made.

    Folded from its events, which name the guest by id only and hold no notes.
    """
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    state = as_of(found.id, instant)
    if state is None:
        raise NotFound
    return state, clock.zone(found.zone)


def list_as_of(
    *, caller: Caller, day_list: DayList, instant: datetime
) -> tuple[list[Payload], int, ZoneInfo]:
    """The page of a service date's bookings as they stood at ``instant``, how many there were, and their zone."""
    caller.require(Permission.BOOKING_READ, day_list.restaurant_id)
    plan = plans.current(day_list.restaurant_id)
    plan.rooms(day_list.sector_id)
    there = [
        each
        for each in day_as_of(day_list.restaurant_id, day_list.sector_id, day_list.service_date, instant)
        if day_list.status is None or each["status"] == day_list.status
    ]
    first = (day_list.page - 1) * day_list.limit
    return there[first : first + day_list.limit], len(there), plan.zone
