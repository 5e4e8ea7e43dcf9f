"""Events for tests: bookings' events as the services write them, without the services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from bookings.event_types import BOOKING
from wokibrain.core.ids import uuid7
from wokibrain.events import registry, store
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent
from wokibrain.events.registry import Mode
from wokibrain.events.types import Group

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def payload(booking_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": booking_id,
        "reference": "B1",
        "restaurantId": "R1",
        "sectorId": "S1",
        "tableIds": ["T1"],
        "serviceDate": "2026-05-04",
        "partySize": 2,
        "start": "2026-05-04T20:00:00-03:00",
        "end": "2026-05-04T21:30:00-03:00",
        "durationMinutes": 90,
        "status": "CONFIRMED",
        "channel": "api",
        "guestId": None,
        "createdAt": "2026-05-04T09:00:00-03:00",
        **fields,
    }


def append(
    booking_id: str = "",
    version: int = 1,
    event_type: str = "BookingCreated",
    at: datetime = NOON,
    **fields: Any,
) -> StoredEvent:
    """Append one booking event, in a new transaction if there is none."""
    booking_id = booking_id or str(uuid7())
    with transaction.atomic():
        return store.append(
            aggregate_type=BOOKING,
            aggregate_id=booking_id,
            expected_version=version - 1,
            event_type=event_type,
            payload=payload(booking_id, **fields),
            actor="user:1",
            occurred_at=at + timedelta(minutes=version - 1),
        )


def append_many(count: int, **fields: Any) -> list[UUID]:
    return [append(**fields).event_id for _ in range(count)]


@contextmanager
def consumer(
    handler: Callable[[Sequence[Envelope]], None], *, name: str = "probe", mode: Mode = Mode.BATCH
) -> Iterator[registry.Consumer]:
    """A consumer registered for the block."""
    registry.consumer(name=name, group=Group.PROJECTIONS, topics=[BOOKING], mode=mode)(handler)
    try:
        yield registry.get(name)
    finally:
        registry.unregister(name)
