"""The buttons that take a booking from one status to the next, and what the browser knows about statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bookings.floor.bookings import OCCUPYING, OPEN
from bookings.models import Booking
from bookings.repository.records import BookingRecord
from bookings.services import lifecycle
from wokibrain.idempotency.keys import Replay

Status = Booking.Status


@dataclass(frozen=True, slots=True)
class Action:
    """A step of a booking's life cycle. ``permission`` is the entry of the day's ``may`` that it needs."""

    label: Promise
    service: Callable[..., BookingRecord | Replay]
    sources: tuple[Booking.Status, ...]
    target: Booking.Status
    permission: Literal["update", "cancel"]


ACTIONS: Final = {
    "seat": Action(
        _("Seat"), lifecycle.seat_booking, (Status.CONFIRMED, Status.NO_SHOW), Status.SEATED, "update"
    ),
    "complete": Action(
        _("Complete"), lifecycle.complete_booking, (Status.SEATED,), Status.COMPLETED, "update"
    ),
    "no-show": Action(_("No-show"), lifecycle.no_show_booking, (Status.CONFIRMED,), Status.NO_SHOW, "update"),
    "cancel": Action(
        _("Cancel booking"), lifecycle.cancel_booking, (Status.CONFIRMED,), Status.CANCELLED, "cancel"
    ),
}
"""By their name in the URL."""


def statuses_json() -> dict[str, Any]:
    """Return each status with its label and what follows from it, for the board's scripts."""
    return {
        status.value: {
            "label": str(status.label),
            "open": status in OPEN,
            "occupies": status in OCCUPYING,
        }
        for status in Status
    }


def actions_json() -> dict[str, Any]:
    """Return each action with its label and when it is possible, for the board's scripts."""
    return {
        name: {
            "label": str(action.label),
            "from": [status.value for status in action.sources],
            "to": action.target.value,
            "permission": action.permission,
        }
        for name, action in ACTIONS.items()
    }
