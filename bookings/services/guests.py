"""Find guests, export, correct and erase their personal data, and erase guests whose retention has expired."""

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
from bookings.repository.records import booking_clocks
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, NotFound
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.models import IdempotencyKey

BATCH = 500
"""Guests erased per transaction."""
PRIVATE_FIELDS = ("guestName", "guestEmail", "guestPhone", "notes")
"""The fields of a stored response that hold personal data."""


def find_guests(*, caller: Caller, contact: str, restaurant_id: str | None = None) -> QuerySet[Guest]:
    """Return the guests visible to the caller whose id, e-mail address (in any case) or phone number is ``contact``."""
    try:
        by_id = Q(pk=UUID(contact))
    except ValueError:
        by_id = Q()
    guests = _visible(caller, Permission.GUEST_READ).filter(
        by_id or Q(email__iexact=contact) | Q(phone=contact)
    )
    return guests if restaurant_id is None else guests.filter(restaurant_id=restaurant_id)


def export_guest(*, caller: Caller, guest_id: UUID) -> dict[str, Any]:
    """Return all data stored about a guest, as JSON values. Raises NotFound, Forbidden."""
    guest = _guest(caller, guest_id, Permission.GUEST_READ)
    zone = clock.zone_or_utc(guest.restaurant.zone)
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
                "start": clock.iso(booking.start, booking_clocks(booking)),
                "end": clock.iso(booking.end, booking_clocks(booking)),
                "partySize": booking.party_size,
                "tableIds": booking.table_ids,
                "status": booking.status,
                "notes": booking.notes,
                "createdAt": clock.iso_milliseconds(booking.created_at, zone),
            }
            for booking in guest.bookings.select_related("restaurant").order_by("start", "id")
        ],
    }


def update_guest(*, caller: Caller, guest_id: UUID, settings: Mapping[str, str]) -> Guest:
    """Correct a guest's name, phone, e-mail or notes; ``settings`` are the fields to change and their values.

    The caller needs BOOKING_UPDATE at the restaurant. Raises NotFound, Forbidden, Conflict for an erased guest.
    """
    with transaction.atomic():
        guest = _guest(caller, guest_id, Permission.BOOKING_UPDATE)
        row = Guest.objects.select_for_update().get(pk=guest.pk)
        if row.erased_at is not None:
            raise Conflict(_("This guest's data was erased and cannot be changed."))
        for field, value in settings.items():
            setattr(row, field, value)
        row.save(update_fields=[*settings, "updated_at"])
    return row


def erase_guest(*, caller: Caller, guest_id: UUID) -> Guest:
    """Erase a guest's personal data; bookings, counts and events stay. Erasing a second time changes nothing.

    The caller needs BOOKING_UPDATE at the restaurant. Raises NotFound, Forbidden.
    """
    guest = _guest(caller, guest_id, Permission.BOOKING_UPDATE)
    _erase([guest.pk])
    guest.refresh_from_db()
    return guest


def expired_guests(now: datetime | None = None) -> QuerySet[Guest]:
    """Return the guests to erase: created, and last booked for, over GUEST_RETENTION_DAYS ago. None if that is 0."""
    if not settings.GUEST_RETENTION_DAYS:
        return Guest.objects.none()
    limit = (now or clock.now()) - timedelta(days=settings.GUEST_RETENTION_DAYS)
    later = Booking.objects.filter(guest=OuterRef("pk"), end__gt=limit)
    return Guest.objects.filter(~Exists(later), erased_at__isnull=True, created_at__lte=limit)


def erase_expired() -> int:
    """Erase the expired guests in batches, and return how many there were."""
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
        for key in IdempotencyKey.objects.filter(booking__in=bookings).exclude(body=""):
            key.body = _without_personal_data(key.body)
            key.save(update_fields=["body"])


def _without_personal_data(body: str) -> str:
    """Return a stored answer without the guest's data; one of the board is the booking's id and has none."""
    if not body.startswith("{"):
        return body
    response = orjson.loads(body)
    response |= {field: None for field in PRIVATE_FIELDS if field in response}
    return orjson.dumps(response).decode()


def _guest(caller: Caller, guest_id: UUID, permission: Permission) -> Guest:
    guest = Guest.objects.select_related("restaurant").filter(pk=guest_id).first()
    if guest is None or not caller.permissions_at(guest.restaurant_id):
        raise NotFound
    caller.require(permission, guest.restaurant_id)
    return guest


def _visible(caller: Caller, permission: Permission) -> QuerySet[Guest]:
    restaurants = caller.restaurants(permission)
    return Guest.objects.all() if restaurants is None else Guest.objects.filter(restaurant__in=restaurants)
