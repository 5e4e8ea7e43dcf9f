"""Guard changes of a restaurant's plan: which bookings would they strand?

Bookings know whether they still fit, and restaurants do not know bookings. So bookings register here how to
watch a restaurant's plan (``bookings.services.plan_changes``), and every change of a plan runs inside ``guarded``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, time
from typing import Protocol

from django.conf import settings
from django.db import transaction
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from restaurants.models import Restaurant
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, Issue, Text


@dataclass(frozen=True, slots=True)
class Stranded:
    """A booking that the changed plan no longer has room for.

    ``start`` is wall-clock time; ``cause`` is the code that bookings are flagged with, ``label``
    what staff read for it, and ``why`` the sentence for this booking.
    """

    id: str
    reference: str
    service_date: date
    start: time
    party_size: int
    guest_name: str
    cause: str
    label: Text
    why: Text


class Watch(Protocol):
    """Looks at the bookings of one restaurant while its plan changes, in the transaction of the change."""

    def stranded(self) -> Sequence[Stranded]:
        """Return the future bookings that fitted before and do not fit now, in order of start."""

    def flag(self, stranded: Sequence[Stranded], caller: Caller) -> None:
        """Flag the bookings for staff; ``caller`` changed the plan."""


_watchers: list[Callable[[str], Watch]] = []


def register(watcher: Callable[[str], Watch]) -> None:
    """Have ``watcher`` called with the restaurant's id when a change of its plan begins."""
    _watchers.append(watcher)


class StrandsBookings(Conflict):
    """Refused until the caller acknowledges, by its token, the list of bookings that would not fit."""

    def __init__(self, stranded: Sequence[Stranded], token: str) -> None:
        super().__init__(
            format_lazy(
                _("This would leave bookings without their place: {bookings}. Acknowledge to continue."),
                bookings=", ".join(booking.reference for booking in stranded),
            ),
            issues=[Issue(f"bookings.{booking.reference}", booking.why) for booking in stranded],
        )
        self.extra = {"acknowledge": token}
        self.stranded = tuple(stranded)


@contextmanager
def guarded(
    restaurant_id: str, acknowledge: str | None = None, *, caller: Caller, strands: bool = True
) -> Iterator[None]:
    """Run the block, which changes a restaurant's plan, in one transaction that excludes other changes.

    Raises StrandsBookings and rolls back if future bookings would not fit any more. With that list's token in
    ``acknowledge``, and while the list is the same, the change is made and the bookings are flagged. A change that
    can strand no booking (``strands`` False) does not block new bookings meanwhile.
    """
    with transaction.atomic():
        # Every change below ends with a write to this row; two changes that locked their own rows first could deadlock.
        Restaurant.objects.select_for_update(no_key=True).filter(pk=restaurant_id).values_list("pk").first()
        watches = [watcher(restaurant_id) for watcher in _watchers] if strands else []
        yield
        for watch in watches:
            stranded = watch.stranded()
            if not stranded:
                continue
            token = _token(restaurant_id, stranded)
            if acknowledge is None or not hmac.compare_digest(acknowledge.encode(), token.encode()):
                raise StrandsBookings(stranded, token)
            watch.flag(stranded, caller)


def _token(restaurant_id: str, stranded: Sequence[Stranded]) -> str:
    content = "\n".join([restaurant_id, *sorted(f"{booking.id} {booking.cause}" for booking in stranded)])
    return hmac.new(settings.SECRET_KEY.encode(), content.encode(), "sha256").hexdigest()[:32]
