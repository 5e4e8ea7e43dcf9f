"""A booking's life-cycle: its statuses, the sets of them that rules are about, and the steps between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _


class Status(TextChoices):
    CONFIRMED = "CONFIRMED", _("Confirmed")
    SEATED = "SEATED", _("Seated")
    COMPLETED = "COMPLETED", _("Completed")
    CANCELLED = "CANCELLED", _("Cancelled")
    NO_SHOW = "NO_SHOW", _("No-show")


OPEN: Final = (Status.CONFIRMED, Status.SEATED)
"""The party is expected or sits: the booking may be changed, and holds its tables to its end."""
FREED: Final = (Status.CANCELLED, Status.NO_SHOW)
"""The party never sat: the booking holds no table and counts no covers."""
COUNTED: Final = (*OPEN, Status.COMPLETED)
"""The party comes, sits or sat: it counts, and the floor board draws it at its tables."""
ARRIVED: Final = (Status.SEATED, Status.COMPLETED)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the life-cycle: from any of ``sources`` to ``target``.

    ``on_its_day``: only on the booking's service day. ``from_its_start``: not before the booking's start.
    """

    label: Promise
    sources: tuple[Status, ...]
    target: Status
    on_its_day: bool = False
    from_its_start: bool = False


SEAT: Final = Step(_("Seat"), (Status.CONFIRMED, Status.NO_SHOW), Status.SEATED, on_its_day=True)
"""From NO_SHOW too, for the party that came after all; only where its tables are still free."""
COMPLETE: Final = Step(_("Complete"), (Status.SEATED,), Status.COMPLETED)
MARK_NO_SHOW: Final = Step(_("No-show"), (Status.CONFIRMED,), Status.NO_SHOW, from_its_start=True)
CANCEL: Final = Step(_("Cancel booking"), (Status.CONFIRMED,), Status.CANCELLED)

STEPS: Final[Mapping[str, Step]] = {
    "seat": SEAT,
    "complete": COMPLETE,
    "no-show": MARK_NO_SHOW,
    "cancel": CANCEL,
}
"""The table of transitions, by the names that URLs use. (An undo and a put-back are corrections, not steps.)"""

PUT_BACK: Final = _("Put back")
BEFORE: Final[Mapping[Status, tuple[Status, ...]]] = {
    Status.SEATED: SEAT.sources,
    Status.COMPLETED: COMPLETE.sources,
    Status.CANCELLED: OPEN,
    Status.NO_SHOW: MARK_NO_SHOW.sources,
}
"""Status -> what a booking with it was before, and is again once it is put back: the latest of these."""


def possible(status: Status, *, put_back: bool = True) -> Promise:
    """Return what a booking with this status allows, as words for people."""
    labels = [step.label for step in STEPS.values() if status in step.sources]
    if put_back and status in BEFORE:
        labels.append(PUT_BACK)
    return format_lazy(", ".join(["{}"] * len(labels)), *labels)


def sql(statuses: Iterable[Status]) -> str:
    """Return ``statuses`` as the inside of an SQL ``IN (...)``."""
    return ", ".join(f"'{status.value}'" for status in statuses)
