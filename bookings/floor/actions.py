"""The buttons that take a booking from one status to the next, and what the browser knows about statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from bookings import statuses
from bookings.repository.records import BookingRecord
from bookings.services import lifecycle
from bookings.statuses import Status, Step
from wokibrain.idempotency.keys import Replay


@dataclass(frozen=True, slots=True)
class Action:
    """A step of a booking's life cycle. ``permission`` is the entry of the day's ``may`` that it needs."""

    service: Callable[..., BookingRecord | Replay]
    step: Step
    permission: Literal["update", "cancel"]


ACTIONS: Final = {
    "seat": Action(lifecycle.seat_booking, statuses.SEAT, "update"),
    "complete": Action(lifecycle.complete_booking, statuses.COMPLETE, "update"),
    "no-show": Action(lifecycle.no_show_booking, statuses.MARK_NO_SHOW, "update"),
    "cancel": Action(lifecycle.cancel_booking, statuses.CANCEL, "cancel"),
}
"""By their name in the URL."""


def statuses_json() -> dict[str, Any]:
    """Return each status with its label and what follows from it, for the board's scripts."""
    return {
        status.value: {
            "label": str(status.label),
            "open": status in statuses.OPEN,
            "occupies": status in statuses.COUNTED,
            "reopens": status in statuses.BEFORE,
        }
        for status in Status
    }


def actions_json() -> dict[str, Any]:
    """Return each action with its label and when it is possible, for the board's scripts."""
    return {
        name: {
            "label": str(action.step.label),
            "from": [status.value for status in action.step.sources],
            "to": action.step.target.value,
            "onItsDay": action.step.on_its_day,
            "fromItsStart": action.step.from_its_start,
            "permission": action.permission,
        }
        for name, action in ACTIONS.items()
    }
