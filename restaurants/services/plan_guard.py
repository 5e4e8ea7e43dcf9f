"""What must be asked before a plan changes: whom would it strand?

Bookings know whether they still fit; restaurants do not know bookings. So bookings register here
how to watch a restaurant's plan (``bookings.services.plan_changes``), and whoever changes a plan does it inside
``guarded``.
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
        """The future bookings that fitted before and do not fit now, in order of start."""

    def flag(self, stranded: Sequence[Stranded], caller: Caller) -> None:
        """Leave them for staff to look at; ``caller`` is who changed the plan."""


_watchers: list[Callable[[str], Watch]] = []


def register(watcher: Callable[[str], Watch]) -> None:
    """Have ``watcher`` called with the restaurant's id when a change of its plan begins."""
    _watchers.append(watcher)


class StrandsBookings(Conflict):
    """Refused until the caller acknowledges, by its token, the list of bookings that would not fit."""

    def __init__(self, stranded: Sequence[Stranded], token: str) -> None:
        super().__init__(
            format_lazy(
                _("This would leave bookings without their place: {bookings}. Acknowledge to go on."),
                bookings=", ".join(each.reference for each in stranded),
            ),
            issues=[Issue(f"bookings.{each.reference}", each.why) for each in stranded],
        )
        self.extra = {"acknowledge": token}
        self.stranded = tuple(stranded)


@contextmanager
def guarded(
    restaurant_id: str, acknowledge: str | None = None, *, caller: Caller, strands: bool = True
) -> Iterator[None]:
    """Let ``caller`` change a restaurant's plan in the block, in one transaction, and nobody else.

    Raises StrandsBookings, and nothing has changed, when future bookings would not fit any more;
    with that list's token, and as long as it is the same list, the change goes through and they are
    flagged. A change that ``strands`` nobody, whatever it is, keeps nobody from booking meanwhile.
    """
    with transaction.atomic():
        # Whatever is changed below it writes to this row in the end; had two begun with theirs, they could wait for
        # each other.
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
    said = "\n".join([restaurant_id, *sorted(f"{each.id} {each.cause}" for each in stranded)])
    return hmac.new(settings.SECRET_KEY.encode(), said.encode(), "sha256").hexdigest()[:32]
