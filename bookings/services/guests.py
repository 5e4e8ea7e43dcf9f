"""What a person may ask of whoever keeps their data: to see it, and to have it erased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from bookings.models import Booking, Guest
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, NotFound
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.models import IdempotencyKey

BATCH = 500
PRIVATE_FIELDS = ("guestName", "guestEmail", "guestPhone", "notes")
"""What a stored answer says of a guest."""


def find_guests(*, caller: Caller, contact: str, restaurant_id: str | None = None) -> QuerySet[Guest]:
    """Those of the caller's guests with exactly this id, e-mail address (in any case) or phone number."""
    try:
        by_id = Q(pk=UUID(contact))
    except ValueError:
        by_id = Q()
    rows = _of(caller, Permission.GUEST_READ).filter(by_id or Q(email__iexact=contact) | Q(phone=contact))
    return rows if restaurant_id is None else rows.filter(restaurant_id=restaurant_id)


def export_guest(*, caller: Caller, guest_id: UUID) -> dict[str, Any]:
    """All that is kept of a guest, as JSON values. Raises NotFound."""
    guest = _guest(caller, guest_id, Permission.GUEST_READ)
    zone = clock.zone(guest.restaurant.zone)
    return {
        "id": str(guest.id),
        "restaurantId": guest.restaurant_id,
        "name": guest.name,
        "email": guest.email,
        "phone": guest.phone,
        "notes": guest.notes,
        "createdAt": clock.iso_milliseconds(guest.created_at, zone),
        "erasedAt": clock.iso_milliseconds(guest.erased_at, zone) if guest.erased_at else None,
        "bookings": [
            {
                "id": str(booking.id),
                "reference": booking.reference,
                "start": clock.iso(booking.start, zone),
                "end": clock.iso(booking.end, zone),
                "partySize": booking.party_size,
                "tableIds": booking.table_ids,
                "status": booking.status,
                "notes": booking.notes,
                "createdAt": clock.iso_milliseconds(booking.created_at, zone),
            }
            for booking in guest.bookings.order_by("start", "id")
        ],
    }


def update_guest(*, caller: Caller, guest_id: UUID, settings: Mapping[str, str]) -> Guest:
    """Correct a person's name, phone, e-mail or notes.

    Takes BOOKING_UPDATE at the restaurant. Raises NotFound, Forbidden, Conflict for one who was erased.
    """
    with transaction.atomic():
        guest = _guest(caller, guest_id, Permission.BOOKING_UPDATE)
        row = Guest.objects.select_for_update().get(pk=guest.pk)
        if row.erased_at is not None:
            raise Conflict(_("This guest was erased and stays empty."))
        for field, value in settings.items():
            setattr(row, field, value)
        row.save(update_fields=[*settings, "updated_at"])
    return row


def erase_guest(*, caller: Caller, guest_id: UUID) -> Guest:
    """Empty the person and what was noted about them; bookings, counts and events stay. Again: no change.

    Takes BOOKING_UPDATE at the restaurant. Raises NotFound, Forbidden.
    """
    guest = _guest(caller, guest_id, Permission.BOOKING_UPDATE)
    _erase([guest.pk])
    guest.refresh_from_db()
    return guest


def expired_guests(now: datetime | None = None) -> QuerySet[Guest]:
    """The guests whose last booking, or who themselves, are older than GUEST_RETENTION_DAYS; none when it is 0."""
    if not settings.GUEST_RETENTION_DAYS:
        return Guest.objects.none()
    limit = (now or clock.now()) - timedelta(days=settings.GUEST_RETENTION_DAYS)
    later = Booking.objects.filter(guest=OuterRef("pk"), end__gt=limit)
    return Guest.objects.filter(~Exists(later), erased_at__isnull=True, created_at__lte=limit)


def erase_expired() -> int:
    """Erase them, some at a time. Returns how many."""
    erased = 0
    while ids := list(expired_guests().values_list("pk", flat=True)[:BATCH]):
        _erase(ids)
        erased += len(ids)
    return erased


def _erase(guest_ids: Iterable[UUID]) -> None:
    now = clock.now()
    with transaction.atomic():
        locked = list(
            Guest.objects.select_for_update()
            .filter(pk__in=list(guest_ids), erased_at__isnull=True)
            .order_by("pk")
        )
        ids = [guest.pk for guest in locked]
        Guest.objects.filter(pk__in=ids).update(
            name="", email="", phone="", notes="", erased_at=now, updated_at=now
        )
        bookings = Booking.objects.filter(guest__in=ids)
        bookings.exclude(notes="").update(notes="")
        for kept in IdempotencyKey.objects.filter(booking__in=bookings).exclude(body=""):
            kept.body = _without_person(kept.body)
            kept.save(update_fields=["body"])


def _without_person(body: str) -> str:
    answer = orjson.loads(body)
    answer |= {field: None for field in PRIVATE_FIELDS if field in answer}
    return orjson.dumps(answer).decode()


def _guest(caller: Caller, guest_id: UUID, permission: Permission) -> Guest:
    guest = Guest.objects.select_related("restaurant").filter(pk=guest_id).first()
    if guest is None or not caller.permissions_at(guest.restaurant_id):
        raise NotFound
    caller.require(permission, guest.restaurant_id)
    return guest


def _of(caller: Caller, permission: Permission) -> QuerySet[Guest]:
    places = caller.restaurants(permission)
    return Guest.objects.all() if places is None else Guest.objects.filter(restaurant__in=places)
