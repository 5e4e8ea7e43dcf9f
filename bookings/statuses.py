"""A booking's life-cycle: its statuses, the sets of them that rules are about, and the steps between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices
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
    """One step of the life-cycle: from any of ``sources`` to ``target``."""

    sources: tuple[Status, ...]
    target: Status


SEAT: Final = Step((Status.CONFIRMED, Status.NO_SHOW), Status.SEATED)
"""From NO_SHOW too, for the party that came after all; only where its tables are still free."""
COMPLETE: Final = Step((Status.SEATED,), Status.COMPLETED)
MARK_NO_SHOW: Final = Step((Status.CONFIRMED,), Status.NO_SHOW)
CANCEL: Final = Step((Status.CONFIRMED,), Status.CANCELLED)

STEPS: Final[Mapping[str, Step]] = {
    "seat": SEAT,
    "complete": COMPLETE,
    "no-show": MARK_NO_SHOW,
    "cancel": CANCEL,
}
"""The table of transitions, by the names that URLs use. (An undo is a correction, not a step.)"""


def sql(statuses: Iterable[Status]) -> str:
    """Return ``statuses`` as the inside of an SQL ``IN (...)``."""
    return ", ".join(f"'{status.value}'" for status in statuses)
