"""A booking's history and past states, folded from its events.

The functions without a ``caller`` check no permission; that is up to their callers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bookings.availability import plan as plans
from bookings.event_types import BOOKING, BOOKING_CANCELLED, without_guest
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
"""The payload fields that describe the change and not the booking after it."""


def evolve(state: Payload | None, event: Envelope) -> Payload:
    """Return the booking after ``event``, whose payload is the whole booking and NOT_STATE.

    A field that newer versions of the payload no longer have keeps its last value.
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
    """Return the booking's events, oldest first; none for an unknown id."""
    return store.load(BOOKING, str(booking_id))


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """One event of a booking's story: ``actor`` is a display name, ``changed`` the names of the changed fields."""

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
    """Return the booking as it was at ``instant`` (inclusive), or None if it did not exist yet."""
    return snapshots.fold(BOOKING, str(booking_id), evolve, until=instant).state


def day_as_of(restaurant_id: str, sector_id: str | None, day: date, instant: datetime) -> list[Payload]:
    """Return the bookings of that service date as they were at ``instant``, by start and id.

    ``sector_id`` None means all sectors. Cancelled bookings are included.
    """
    # Also matches bookings that were later moved to another day or sector; the filter below drops them.
    ever_on_day: dict[str, Any] = {
        "aggregate_type": BOOKING,
        "payload__restaurantId": restaurant_id,
        "payload__serviceDate": day.isoformat(),
        "occurred_at__lte": instant,
    }
    ids = StoredEvent.objects.filter(**ever_on_day).values("aggregate_id")
    latest = (
        StoredEvent.objects.filter(aggregate_type=BOOKING, aggregate_id__in=ids, occurred_at__lte=instant)
        .order_by("aggregate_id", "-version")
        .distinct("aggregate_id")
    )
    states = [evolve(None, Envelope.from_row(row)) for row in latest]
    return sorted(
        (
            booking
            for booking in states
            if booking["restaurantId"] == restaurant_id
            and booking["serviceDate"] == day.isoformat()
            and sector_id in (None, booking["sectorId"])
        ),
        key=lambda booking: (datetime.fromisoformat(booking["start"]), booking["id"]),
    )


def booking_history(*, caller: Caller, booking: str) -> tuple[list[Envelope], ZoneInfo]:
    """Return the booking's events, oldest first, and its time zone. Raises as ``find_booking``.

    They name the guest, by id, only to a caller with ``guest:read``.
    """
    record = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    events = history(record.id)
    if not caller.may(Permission.GUEST_READ, record.restaurant_id):
        events = [replace(event, payload=without_guest(event.payload)) for event in events]
    return events, clock.zone_or_utc(record.zone)


def booking_as_of(*, caller: Caller, booking: str, instant: datetime) -> tuple[Payload, ZoneInfo]:
    """Return the booking as it was at ``instant``, and its time zone. Raises NotFound if it did not exist yet.

    The state has the guest's id and no notes, since events contain no personal data.
    """
    record = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    state = as_of(record.id, instant)
    if state is None:
        raise NotFound
    return state, clock.zone_or_utc(record.zone)


def list_as_of(
    *, caller: Caller, day_list: DayList, instant: datetime
) -> tuple[list[Payload], int, ZoneInfo]:
    """Return a page of a day's bookings as they were at ``instant``, the number on all pages, and the time zone.

    Raises NotFound for an unknown restaurant or sector, Forbidden.
    """
    caller.require(Permission.BOOKING_READ, day_list.restaurant_id)
    plan = plans.current(day_list.restaurant_id)
    plan.rooms(day_list.sector_id)
    bookings = [
        booking
        for booking in day_as_of(day_list.restaurant_id, day_list.sector_id, day_list.service_date, instant)
        if day_list.status is None or booking["status"] == day_list.status
    ]
    first = (day_list.page - 1) * day_list.limit
    return bookings[first : first + day_list.limit], len(bookings), clock.zone_or_utc(plan.zone_name)
