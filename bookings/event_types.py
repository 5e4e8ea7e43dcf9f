"""The events that bookings emit, and what each is called in the audit trail and in a booking's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from wokibrain.events.types import EventType, Topic, register

BOOKING: Final = Topic("booking")
TABLE: Final = Topic("table")

BOOKING_FIELDS: Final = (
    "id", "reference", "restaurantId", "sectorId", "tableIds", "serviceDate", "partySize", "start", "end",
    "durationMinutes", "status", "channel", "guestId", "createdAt", "attention",
)  # fmt: skip
"""``BookingRecord.payload``; events of older versions lack ``attention``. A change adds ``changes``, a cancellation
``reason``, an undo ``undoes``, a swap ``swappedWith``."""
PRIVATE: Final = {"from": None, "to": None, "redacted": True}
"""What stands for the old and new values of a change in an event whose reader must not learn them."""
BLOCK_FIELDS: Final = ("restaurantId", "sectorId", "tableId", "blockId", "start", "end")

BOOKING_CREATED: Final = register(
    EventType("BookingCreated", BOOKING, _("booking created"), BOOKING_FIELDS, _("Booked"))
)
BOOKING_UPDATED: Final = register(
    EventType("BookingUpdated", BOOKING, _("booking changed"), BOOKING_FIELDS, _("Changed"))
)
BOOKING_CANCELLED: Final = register(
    EventType("BookingCancelled", BOOKING, _("booking cancelled"), BOOKING_FIELDS, _("Cancelled"))
)
BOOKING_SEATED: Final = register(
    EventType("BookingSeated", BOOKING, _("party seated"), BOOKING_FIELDS, _("Seated"))
)
BOOKING_COMPLETED: Final = register(
    EventType("BookingCompleted", BOOKING, _("party left"), BOOKING_FIELDS, _("Completed"))
)
BOOKING_NO_SHOW: Final = register(
    EventType("BookingNoShow", BOOKING, _("party did not come"), BOOKING_FIELDS, _("No-show"))
)
TABLE_BLOCKED: Final = register(
    EventType("TableBlocked", TABLE, _("table taken out of service"), BLOCK_FIELDS)
)
TABLE_UNBLOCKED: Final = register(
    EventType("TableUnblocked", TABLE, _("table put back into service"), BLOCK_FIELDS)
)


def without_guest(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's payload for a reader without ``guest:read``: without the guest's id, which reveals regulars."""
    shown = dict(payload)
    if "guestId" in shown:
        shown["guestId"] = None
    if "guestId" in (changes := shown.get("changes") or {}):
        shown["changes"] = changes | {"guestId": PRIVATE}
    return shown
