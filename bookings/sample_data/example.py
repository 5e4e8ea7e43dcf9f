"""The example restaurant of the documentation, and credentials for a first look. The demo is in demo.py."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from django.contrib.auth.models import User
from django.db import connection, transaction

from bookings.event_types import BOOKING_CREATED
from bookings.models import Booking
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.statuses import Status
from restaurants.models import Restaurant, Sector, Table
from restaurants.services.calendar import DEFAULT_HOURS
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.access.credentials import digest_of, prefix_of
from wokibrain.access.keys import new_token
from wokibrain.access.models import ApiKey, Membership
from wokibrain.core import clock, env
from wokibrain.core.callers import SYSTEM
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Role
from wokibrain.postgres.advisory import advisory_number

TABLES: Final = (("T1", 2, 2), ("T2", 2, 4), ("T3", 2, 4), ("T4", 4, 6), ("T5", 2, 2))
BOOKING: Final = "B1"


def example() -> None:
    """Create R1 "Bistro Central" with S1, T1-T5 and booking B1 on 2025-10-22; what exists stays as it is."""
    with transaction.atomic():
        # Concurrent seeds wait for each other, so that each sees what the previous one created.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_number("seed")])
        if not Restaurant.objects.filter(pk="R1").exists():
            create_restaurant(
                caller=SYSTEM,
                id="R1",
                name="Bistro Central",
                zone="America/Argentina/Buenos_Aires",
                hours=DEFAULT_HOURS,
                refuse_past=False,
            )
        if not Sector.objects.filter(pk="S1").exists():
            create_sector(caller=SYSTEM, id="S1", restaurant_id="R1", name="Main Hall")
        for position, (table_id, capacity_min, capacity_max) in enumerate(TABLES):
            if not Table.objects.filter(pk=table_id).exists():
                create_table(
                    caller=SYSTEM,
                    id=table_id,
                    sector_id="S1",
                    capacity_min=capacity_min,
                    capacity_max=capacity_max,
                    position=position,
                    x=60 + 160 * position,
                    y=80,
                )
        if not Booking.objects.filter(reference=BOOKING).exists():
            zone = clock.zone("America/Argentina/Buenos_Aires")
            start = datetime(2025, 10, 22, 20, 30, tzinfo=zone).astimezone(UTC)
            end = datetime(2025, 10, 22, 21, 15, tzinfo=zone).astimezone(UTC)
            created_at = clock.now_to_millisecond()
            _insert(
                BookingRecord(
                    id=uuid7(),
                    reference=BOOKING,
                    restaurant_id="R1",
                    zone=zone.key,
                    sector_id="S1",
                    table_ids=("T2",),
                    service_date=start.astimezone(zone).date(),
                    start=start,
                    end=end,
                    duration_minutes=45,
                    party_size=3,
                    status=Status.CONFIRMED,
                    channel=Booking.Channel.API,
                    guest=None,
                    notes="",
                    version=1,
                    created_at=created_at,
                    updated_at=created_at,
                )
            )


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Credentials for a developer who starts the product for the first time."""

    api_key: str
    username: str
    password: str

    def in_force(self) -> bool:
        """Return whether the key is not revoked and the login exists, whatever its password is by now."""
        keys = ApiKey.objects.filter(digest=digest_of(self.api_key), revoked_at__isnull=True)
        return keys.exists() and User.objects.filter(username=self.username).exists()

    def password_in_force(self) -> bool:
        return User.objects.get(username=self.username).check_password(self.password)


def first_look() -> tuple[FirstLook, bool]:
    """Return an API key and a staff login with every permission, and whether they were created just now.

    They are stored in DATA_DIR, where only its owner can read them, and created again if the key was revoked or the
    login deleted.
    """
    file = env.data_dir() / "first-look.json"
    if file.exists():
        stored = FirstLook(**json.loads(file.read_text()))
        if stored.in_force():
            return stored, False
    look = FirstLook(new_token(), "host", secrets.token_urlsafe(9))
    with transaction.atomic():
        ApiKey.objects.filter(name="First look").delete()
        ApiKey.objects.create(
            name="First look",
            prefix=prefix_of(look.api_key),
            digest=digest_of(look.api_key),
            role=Role.SUPER_ADMIN,
        )
        user, _ = User.objects.get_or_create(username=look.username)
        user.is_staff = user.is_superuser = True
        user.set_password(look.password)
        user.save()
        Membership.objects.get_or_create(user=user, restaurant=None, defaults={"role": Role.SUPER_ADMIN})
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(look)))
    return look, True


def _insert(booking: BookingRecord, *, new_guest: bool = False) -> None:
    statements.insert(booking, event_type=BOOKING_CREATED, actor=SYSTEM, new_guest=new_guest, ticket=None)
