"""P20: nothing of an erased guest remains in the database, Redis, Kafka, webhook deliveries or logs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from io import StringIO
from typing import Any

import httpx
import orjson
import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from redis import Redis

from bookings.event_types import BOOKING
from bookings.models import Booking, Guest
from bookings.services import guests
from tests.kafka import Broker, Kafka
from tests.pipeline import Pipeline
from tests.processes import Services, api_servers, private_services
from tests.webhooks.support import Receiver
from tests.wokibrain.access.conftest import client_of
from wokibrain import embedded
from wokibrain.celery import app
from wokibrain.core import clock, env
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.core.retention import tidy
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
BODY = {"restaurantId": "R1", "sectorId": "S1", "partySize": 2, "durationMinutes": 60, "date": "2025-10-23"}
GUEST = {"guestName": NAME, "guestEmail": MAIL, "guestPhone": PHONE, "notes": NOTE}
PLANTED = "planted-by-the-test-to-be-found"
TRACES = (NAME, MAIL, PHONE, NOTE, "Xiomara", "canary.example")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def house() -> Iterator[Services]:
    with private_services() as services:
        yield services


def manage(services: Services, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        env=dict(os.environ) | services.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return result.stdout


def keep_uncompressed(services: Services) -> None:
    """Have Redis dump without compression, which would hide values from the search."""
    Redis.from_url(services.redis.url).config_set("rdbcompression", "no")


def stored_data(services: Services, broker: Broker, receiver: Receiver) -> dict[str, str]:
    """Return all stored data by place: database, Redis, Kafka, deliveries, the processes' logs."""
    dump = subprocess.run(
        [embedded.postgres_binary("pg_dump"), "--dbname", services.postgres.url, "--inserts"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    # A dump has bytes, such as bodies of deliveries and unreadable messages, as hexadecimal digits.
    binary = [bytes.fromhex(digits.decode()) for digits in re.findall(rb"\\x((?:[0-9a-f]{2})+)", dump)]
    redis = [
        key + (client.dump(key) or b"")
        for number in range(16)
        for client in [Redis.from_url(env.redis_database(services.redis.url, number))]
        for key in client.scan_iter()
    ]
    # Messages as readers get them, since they may be compressed on disk; and the disk, for what readers do not get.
    messages = [
        part
        for topic in broker.admin().list_topics(timeout=10).topics
        if not topic.startswith("__")
        for message in broker.read(topic)
        for part in (message.key(), message.value(), repr(message.headers()).encode())
        if isinstance(part, bytes)
    ]
    if isinstance(broker, Kafka):
        messages += [path.read_bytes() for path in broker.data.rglob("*") if path.is_file()]
    delivered = [repr(request.headers).encode() + request.body for request in receiver.requests]
    logs = [path.read_bytes() for path in services.folder.glob("*.log")]
    places = {
        "database": [dump, *binary],
        "Redis": redis,
        "broker": messages,
        "deliveries": delivered,
        "logs": logs,
    }
    return {place: b"\n".join(pieces).decode(errors="replace") for place, pieces in places.items()}


def everywhere(places: Mapping[str, str], values: Sequence[str]) -> set[tuple[str, str]]:
    return {(place, one) for place, text in places.items() for one in values if one in text}


@pytest.mark.kafka
def test_no_trace_of_an_erased_guest_remains(house: Services, kafka: Broker, receiver: Receiver) -> None:
    print(f"ran on {kafka.kind}")
    kafka.reset()
    keep_uncompressed(house)
    private = {"WEBHOOK_ALLOW_PRIVATE": "1", "LOG_LEVEL": "DEBUG"}
    with Pipeline(house, kafka.address, private) as pipeline:
        manage(house, "seed")
        pipeline.start("relay", "consume", "worker", "deliver")
        settings = private | {"LOG_REQUESTS": "1", "KAFKA_BROKERS": kafka.address}
        with api_servers(1, services=house, environment=settings) as api:
            key = manage(
                house, "apikey", "create", "Front desk", "--role", "restaurant_admin", "--restaurant", "R1"
            )
            staff = httpx.Client(base_url=api.urls[0], headers={"X-API-Key": key.strip()}, timeout=30)
            _erase_and_search(house, kafka, receiver, pipeline, staff)


def _erase_and_search(
    house: Services, kafka: Broker, receiver: Receiver, pipeline: Pipeline, staff: httpx.Client
) -> None:
    events = ["booking.created", "booking.updated", "booking.cancelled"]
    # Otherwise the seeded booking might be delivered to the webhook too.
    pipeline.until_settled()
    hook = staff.post("/api/v1/webhooks", json={"url": receiver.url, "events": events})
    assert hook.status_code == 201, hook.text
    keyed = {"Idempotency-Key": "erase-me"}
    response = staff.post(BOOKINGS, json=BODY | GUEST, headers=keyed)
    assert response.status_code == 201, response.text
    other = staff.post(BOOKINGS, json=BODY | {"guestName": OTHER, "guestEmail": "other@example.org"})
    # Every way in which personal data is returned, refused and logged.
    for path in (f"/{response.json()['id']}", "?restaurantId=R1&sectorId=S1&date=2025-10-23"):
        assert NAME in staff.get(BOOKINGS + path).text
    staff.post(BOOKINGS, json=BODY | GUEST | {"partySize": 49})
    staff.post(BOOKINGS, json=BODY | GUEST | {"guestPhone": "x", "guestEmail": MAIL + "@"})
    staff.patch(f"{BOOKINGS}/{response.json()['id']}", json={"notes": NOTE + "!"}, headers=keyed)
    change = {"durationMinutes": 75, "notes": NOTE + "?"}
    assert staff.patch(f"{BOOKINGS}/{response.json()['id']}", json=change).status_code == 200
    gone = staff.post(BOOKINGS, json=BODY | GUEST)
    assert staff.delete(f"{BOOKINGS}/{gone.json()['id']}").status_code == 204
    # Three created, one of them changed, another cancelled.
    deliveries = (
        "SELECT event, status, attempts FROM webhooks_delivery JOIN webhooks_message m ON m.id = message_id"
    )
    pipeline.until(
        lambda: [row[1] for row in pipeline.sql(deliveries)] == ["SUCCEEDED"] * 5,
        90,
        lambda: f"{pipeline.sql(deliveries)}; {len(receiver.requests)} requests",
    )
    pipeline.until_settled()

    # The canary of the search: it finds a mark put into each place, and the guest in the database.
    kafka.send(BOOKING.kafka, PLANTED.encode())
    pipeline.until(lambda: pipeline.value("SELECT count(*) FROM events_failure WHERE raw IS NOT NULL") > 0)
    Redis.from_url(house.redis.url).set("planted", PLANTED)
    (house.folder / "planted.log").write_text(PLANTED)
    httpx.post(receiver.url, content=PLANTED)
    before = stored_data(house, kafka, receiver)
    assert everywhere(before, [PLANTED]) == {(place, PLANTED) for place in before}
    assert {one for place, one in everywhere(before, TRACES) if place == "database"} == set(TRACES)
    # Messages to the outside name a booking, never a guest.
    outside = {place: before[place] for place in ("broker", "deliveries")}
    assert everywhere(outside, [response.json()["id"]]) == {
        (place, response.json()["id"]) for place in outside
    }
    assert everywhere(outside, TRACES) == set()

    assert manage(house, "guest", "export", MAIL).count(NAME) == 1
    manage(house, "guest", "erase", MAIL)
    pipeline.until_settled()

    after = stored_data(house, kafka, receiver)
    assert everywhere(after, TRACES) == set()
    assert everywhere(after, [OTHER]) >= {("database", OTHER)}
    replay = staff.post(BOOKINGS, json=BODY | GUEST, headers=keyed)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert replay.json() == response.json() | dict.fromkeys(GUEST)
    assert staff.get(f"{BOOKINGS}/{other.json()['id']}").json()["guestName"] == OTHER
    data = staff.get(f"{BOOKINGS}/{response.json()['id']}").json()
    assert [data[field] for field in GUEST] == [None] * 4
    assert (data["status"], data["partySize"]) == ("CONFIRMED", 2)


def book(**more: Any) -> Booking:
    response = client_of(Role.ADMIN).post(BOOKINGS, BODY | GUEST | more, format="json")
    assert response.status_code == 201, response.content
    return Booking.objects.get(pk=response.json()["id"])


def test_an_export_contains_all_data_of_a_guest(example: None) -> None:
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


def test_a_guest_whose_booking_the_board_changed_is_erased(client: Client, example: None) -> None:
    client.force_login(User.objects.create_superuser("host"))
    booking = Booking.objects.get(reference="B1")
    guest = Guest.objects.create(restaurant_id="R1", name="Ana")
    Booking.objects.filter(pk=booking.pk).update(guest=guest)
    path = f"/admin/floor/bookings/{booking.pk}/cancel"
    assert client.post(path, HTTP_IDEMPOTENCY_KEY="k").status_code == 200
    erased = guests.erase_guest(caller=SYSTEM, guest_id=guest.pk)
    again = client.post(path, HTTP_IDEMPOTENCY_KEY="k").json()
    assert (erased.name, again["again"], again["name"]) == ("", "same", "")


def test_erasing_twice_changes_nothing(example: None) -> None:
    booking = book()
    assert booking.guest is not None
    first = guests.erase_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    second = guests.erase_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    assert (first.name, first.erased_at) == ("", second.erased_at)
    assert Guest.objects.count() == 1


def test_the_admins_log_names_a_guest_by_id_only(example: None) -> None:
    booking = book()
    assert booking.guest is not None
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    typed = {"name": NAME + "!", "phone": PHONE, "email": MAIL, "notes": NOTE}
    path = f"/admin/bookings/guest/{booking.guest.pk}/change/"
    assert client.post(path, typed).status_code == 302
    (entry,) = LogEntry.objects.all()
    assert Guest.objects.get().name == NAME + "!"
    assert (entry.object_id, entry.object_repr) == (str(booking.guest.pk), str(booking.guest.pk))
    assert [trace for trace in TRACES if trace in entry.change_message] == []


def test_names_in_old_log_entries_are_removed(example: None) -> None:
    booking, by = book(), User.objects.create_superuser("root")
    assert booking.guest is not None
    LogEntry.objects.log_actions(by.pk, [booking.guest, booking], CHANGE)
    with connection.cursor() as cursor:
        cursor.execute(import_module("wokibrain.access.migrations.0003_guests_logged_by_id").BY_ID)
    assert {(log_entry.object_id, log_entry.object_repr) for log_entry in LogEntry.objects.all()} == {
        (str(booking.guest.pk), str(booking.guest.pk)),
        (str(booking.pk), booking.reference),
    }


def test_guests_are_erased_after_their_retention(example: None, settings: Any) -> None:
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


def test_stored_responses_are_deleted_after_a_day(example: None) -> None:
    client_of(Role.ADMIN).post(BOOKINGS, BODY, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert keys.forget() == 0
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert keys.forget() == 1
    assert IdempotencyKey.objects.count() == 0


def test_the_daily_task_deletes_expired_data(example: None) -> None:
    client_of(Role.ADMIN).post(BOOKINGS, BODY, format="json", HTTP_IDEMPOTENCY_KEY="k")
    app.loader.import_default_modules()
    assert app.conf.beat_schedule["tidy"]["task"] in app.tasks
    with clock.frozen(clock.now() + timedelta(hours=25)):
        app.tasks["wokibrain.tidy"].apply().get()
    assert IdempotencyKey.objects.count() == 0


@pytest.mark.django_db
def test_expired_back_office_sessions_are_deleted() -> None:
    Client().force_login(User.objects.create_user("boss"))
    (session,) = Session.objects.all()
    with clock.frozen(session.expire_date - timedelta(minutes=1)):
        assert tidy()["back-office sessions"] == 0
    with clock.frozen(session.expire_date + timedelta(minutes=1)):
        assert tidy()["back-office sessions"] == 1
    assert Session.objects.count() == 0
