"""P20: an erased guest is nowhere: not in a dump of the database, not in Redis, not in the logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from bookings import guests
from bookings.models import Booking, Guest
from tests.access.conftest import client_of
from tests.processes import Services, api_servers, private_services
from wokibrain import clock, embedded
from wokibrain.access.callers import SYSTEM
from wokibrain.access.permissions import Role
from wokibrain.celery import app
from wokibrain.idempotency import keys
from wokibrain.idempotency.models import IdempotencyKey

NAME, MAIL, PHONE, NOTE = (
    "Xiomara Quetzal",
    "xiomara@canary.example",
    "+34 699 123 987",
    "walnut-allergy-canary",
)
OTHER = "Other Person"
BOOKINGS = "/api/v1/woki/bookings"
WANTED = {"restaurantId": "R1", "sectorId": "S1", "partySize": 2, "durationMinutes": 60, "date": "2025-10-23"}
GUEST = {"guestName": NAME, "guestEmail": MAIL, "guestPhone": PHONE, "notes": NOTE}
TRACES = (NAME, MAIL, PHONE, NOTE, "Xiomara", "canary.example")


@pytest.fixture
def house() -> Iterator[Services]:
    with private_services() as services:
        yield services


def manage(services: Services, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        env=dict(os.environ) | services.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def everything(services: Services, folder: Path) -> str:
    """All that is kept: the database, Redis and what the processes logged."""
    dump = subprocess.run(
        [embedded.postgres_binary("pg_dump"), "--dbname", services.postgres.url, "--inserts"],
        capture_output=True, check=True, timeout=60,
    ).stdout.decode()  # fmt: skip
    redis = Redis.from_url(services.redis.url)
    values = b"".join(key + (redis.dump(key) or b"") for key in redis.scan_iter())
    logs = "".join(path.read_text(errors="replace") for path in services.folder.glob("*.log"))
    return dump + values.decode(errors="replace") + logs


def test_an_erased_guest_is_nowhere(house: Services, tmp_path: Path) -> None:
    manage(house, "seed")
    with api_servers(1, services=house, environment={"LOG_LEVEL": "DEBUG", "LOG_REQUESTS": "1"}) as api:
        key = manage(
            house, "apikey", "create", "Front desk", "--role", "restaurant_admin", "--restaurant", "R1"
        )
        staff = httpx.Client(base_url=api.urls[0], headers={"X-API-Key": key.strip()}, timeout=30)
        keyed = {"Idempotency-Key": "erase-me"}
        made = staff.post(BOOKINGS, json=WANTED | GUEST, headers=keyed)
        assert made.status_code == 201, made.text
        other = staff.post(BOOKINGS, json=WANTED | {"guestName": OTHER, "guestEmail": "other@example.org"})
        # Every way in which the data is shown, refused and logged.
        for path in (f"/{made.json()['id']}", "?restaurantId=R1&sectorId=S1&date=2025-10-23"):
            assert NAME in staff.get(BOOKINGS + path).text
        staff.post(BOOKINGS, json=WANTED | GUEST | {"partySize": 49})
        staff.post(BOOKINGS, json=WANTED | GUEST | {"guestPhone": "x", "guestEmail": MAIL + "@"})
        staff.patch(f"{BOOKINGS}/{made.json()['id']}", json={"notes": NOTE + "!"}, headers=keyed)
        kept = everything(house, tmp_path)
        assert [trace for trace in TRACES if trace not in kept] == [], "the canary: it is there before"

        assert manage(house, "guest", "export", MAIL).count(NAME) == 1
        manage(house, "guest", "erase", MAIL)

        left = everything(house, tmp_path)
        assert [trace for trace in TRACES if trace in left] == []
        assert OTHER in left
        replay = staff.post(BOOKINGS, json=WANTED | GUEST, headers=keyed)
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json() == made.json() | dict.fromkeys(GUEST)
        assert staff.get(f"{BOOKINGS}/{other.json()['id']}").json()["guestName"] == OTHER
        shown = staff.get(f"{BOOKINGS}/{made.json()['id']}").json()
        assert [shown[field] for field in GUEST] == [None] * 4
        assert (shown["status"], shown["partySize"]) == ("CONFIRMED", 2)


def book(**more: Any) -> Booking:
    response = client_of(Role.ADMIN).post(BOOKINGS, WANTED | GUEST | more, format="json")
    assert response.status_code == 201, response.content
    return Booking.objects.get(pk=response.json()["id"])


def test_an_export_has_all_there_is(example: None) -> None:
    booking = book()
    assert booking.guest is not None
    exported = guests.export_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    assert (exported["name"], exported["email"], exported["phone"]) == (NAME, MAIL, PHONE)
    (visit,) = exported["bookings"]
    assert (visit["reference"], visit["notes"], visit["tableIds"]) == (
        booking.reference,
        NOTE,
        booking.table_ids,
    )
    out = StringIO()
    call_command("guest", "export", MAIL.upper(), stdout=out)
    assert orjson.loads(out.getvalue()) == [exported]
    with pytest.raises(CommandError):
        call_command("guest", "export", "nobody@example.org")


def test_erasing_twice_changes_nothing(example: None) -> None:
    booking = book()
    assert booking.guest is not None
    first = guests.erase_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    second = guests.erase_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    assert (first.name, first.erased_at) == ("", second.erased_at)
    assert Guest.objects.count() == 1


def test_guests_go_when_their_time_is_over(example: None, settings: Any) -> None:
    recent, old = book(date="2025-10-25"), book(guestName="Old", guestEmail="old@example.org")
    Guest.objects.update(created_at=clock.now() - timedelta(days=900))
    Booking.objects.filter(pk=recent.pk).update(end=clock.now())
    settings.GUEST_RETENTION_DAYS = 0
    assert guests.erase_expired() == 0
    settings.GUEST_RETENTION_DAYS = 365
    with clock.frozen(clock.now() + timedelta(days=2)):
        assert guests.erase_expired() == 1
        assert guests.erase_expired() == 0
        assert keys.forget() == 0
    assert Guest.objects.get(bookings=old).erased_at is not None
    assert Guest.objects.get(bookings=recent).erased_at is None


def test_answers_are_forgotten_after_a_day(example: None) -> None:
    client_of(Role.ADMIN).post(BOOKINGS, WANTED, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert keys.forget() == 0
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert keys.forget() == 1
    assert IdempotencyKey.objects.count() == 0


def test_the_daily_task_tidies(example: None) -> None:
    client_of(Role.ADMIN).post(BOOKINGS, WANTED, format="json", HTTP_IDEMPOTENCY_KEY="k")
    app.loader.import_default_modules()
    assert app.conf.beat_schedule["tidy"]["task"] in app.tasks
    with clock.frozen(clock.now() + timedelta(hours=25)):
        app.tasks["wokibrain.tidy"].apply().get()
    assert IdempotencyKey.objects.count() == 0
