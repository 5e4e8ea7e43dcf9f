"""One effect per Idempotency-Key, per caller, for 24 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bookings.models import Booking
from tests.api import Api, Reply, api_as, assert_refused, at, events_of, make_restaurant
from wokibrain.access import credentials
from wokibrain.access.models import ApiKey
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role
from wokibrain.idempotency.models import IdempotencyKey


def same(first: Reply, second: Reply) -> None:
    assert (second.status, second.content) == (first.status, first.content)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Content-Type"] == first.headers["Content-Type"]


def test_a_repeated_post_returns_the_first_booking(guest: Api) -> None:
    first, second = guest.book(key="k"), guest.book(key="k")
    assert first.status == 201
    same(first, second)
    assert Booking.objects.exclude(reference="B1").count() == 1


def test_without_a_key_every_post_books(guest: Api) -> None:
    assert guest.book().body["id"] != guest.book().body["id"]


def test_another_key_books_again(guest: Api) -> None:
    assert guest.book(key="a").body["id"] != guest.book(key="b").body["id"]


def test_a_replay_is_the_stored_response_even_after_the_booking_changed(staff: Api) -> None:
    first = staff.book(key="k", guestName="Ana")
    staff.change(first.body["reference"], partySize=2)
    staff.cancel(first.body["reference"])
    same(first, staff.book(key="k", guestName="Ana"))


def test_another_body_under_the_same_key_is_refused(guest: Api) -> None:
    guest.book(key="k")
    assert assert_refused(guest.book(key="k", partySize=2), 422, "IDEMPOTENCY_KEY_REUSED") == (
        "This Idempotency-Key was used before with another request."
    )
    assert Booking.objects.exclude(reference="B1").count() == 1


def test_reordered_fields_are_the_same_body(guest: Api) -> None:
    first = guest.book(key="k")
    reordered = dict(reversed(list({
        "restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90,
    }.items())))  # fmt: skip
    same(first, guest.post("/woki/bookings", reordered, key="k"))


def test_another_callers_key_is_another_key(guest: Api) -> None:
    one, other = api_as(Role.API_CLIENT, "R1"), api_as(Role.API_CLIENT, "R1")
    ids = {api.book(key="k").body["id"] for api in (one, other, guest)}
    assert len(ids) == 3


def test_anonymous_callers_are_distinguished_by_address(guest: Api) -> None:
    first = guest.book(key="k").body["id"]
    guest.client.defaults["REMOTE_ADDR"] = "203.0.113.9"
    assert guest.book(key="k").body["id"] != first


def test_a_day_later_the_key_is_free_again(guest: Api) -> None:
    now = datetime(2025, 10, 1, 12, tzinfo=UTC)
    with frozen(now):
        first = guest.book(key="k")
    with frozen(now + timedelta(hours=24) - timedelta(seconds=1)):
        same(first, guest.book(key="k"))
    with frozen(now + timedelta(hours=24)):
        again = guest.book(key="k")
        assert again.status == 201
        assert again.body["id"] != first.body["id"]
        same(again, guest.book(key="k"))
        # The renewed key belongs to the later request.
        assert IdempotencyKey.objects.get().expires_at == now + timedelta(hours=48)


def test_a_refusal_is_not_stored(guest: Api) -> None:
    request = {"tableIds": ["T2"], "start": at("20:30")}
    assert_refused(guest.book(key="k", **request), 409, "CONFLICT")
    guest.cancel("B1")
    reply = guest.book(key="k", **request)
    assert reply.status == 201
    assert "Idempotent-Replayed" not in reply.headers


def test_a_refusal_does_not_bind_the_key_to_its_body(guest: Api) -> None:
    assert_refused(guest.book(key="k", partySize=40), 409, "NO_CAPACITY")
    assert guest.book(key="k", partySize=4).status == 201


def test_a_malformed_request_does_not_use_up_the_key(guest: Api) -> None:
    assert_refused(guest.book(key="k", partySize=0), 400, "VALIDATION_ERROR", "partySize")
    assert guest.book(key="k").status == 201


def test_a_repeated_patch_changes_once(staff: Api) -> None:
    first = staff.change("B1", key="k", partySize=4)
    same(first, staff.change("B1", key="k", partySize=4))
    assert first.body["version"] == 2
    assert len(events_of(first.body["id"])) == 2
    assert_refused(staff.change("B1", key="k", partySize=2), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_patch_that_changes_nothing_is_stored_too(staff: Api) -> None:
    first = staff.change("B1", key="k", partySize=3)
    assert (first.status, first.body["version"]) == (200, 1)
    staff.change("B1", partySize=4)
    same(first, staff.change("B1", key="k", partySize=3))
    assert staff.get("/woki/bookings/B1").body["partySize"] == 4


def test_a_repeated_patch_that_moved_the_booking_to_another_day(staff: Api) -> None:
    first = staff.change("B1", key="k", date="2025-10-23")
    assert first.body["start"] == at("20:30", "2025-10-23")
    same(first, staff.change("B1", key="k", date="2025-10-23"))


@pytest.mark.usefixtures("evening")
@pytest.mark.parametrize("step", ["seat", "no-show"])
def test_a_repeated_step_is_taken_once(staff: Api, step: str) -> None:
    first = staff.step("B1", step, key="k")
    assert first.status == 200
    same(first, staff.step("B1", step, key="k"))
    assert_refused(staff.step("B1", "complete", key="k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert staff.get("/woki/bookings/B1").body["version"] == 2


@pytest.mark.usefixtures("evening")
def test_a_repeated_completion(staff: Api) -> None:
    staff.step("B1", "seat")
    first = staff.step("B1", "complete", key="k")
    assert first.body["status"] == "COMPLETED"
    same(first, staff.step("B1", "complete", key="k"))


def test_a_key_used_for_another_method_or_booking_is_refused(staff: Api) -> None:
    booking = staff.book(key="k").body
    for reply in (
        staff.cancel(booking["reference"], key="k"),
        staff.change(booking["reference"], key="k", partySize=2),
        staff.step(booking["reference"], "seat", key="k"),
    ):
        assert_refused(reply, 422, "IDEMPOTENCY_KEY_REUSED")
    assert staff.get(f"/woki/bookings/{booking['id']}").body == booking
    staff.cancel("B1", key="c")
    assert_refused(staff.cancel(booking["reference"], key="c"), 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_replay_hides_what_the_caller_may_not_see(guest: Api) -> None:
    first, second = guest.book(key="k", guestName="Ana"), guest.book(key="k", guestName="Ana")
    same(first, second)
    assert second.body["guestName"] is None
    assert "Ana" not in IdempotencyKey.objects.get().body


def test_a_replay_hides_what_the_caller_may_not_see_any_more(db: None) -> None:
    make_restaurant()
    staff = api_as(Role.STAFF, "H")
    body = {
        "restaurantId": "H", "sectorId": None, "guestName": "Ana", "guestPhone": "+34 600 000 000", "notes": "Quiet",
    }  # fmt: skip
    first = staff.book(key="k", **body)
    assert (first.status, first.body["guestName"], first.body["notes"]) == (201, "Ana", "Quiet")
    ApiKey.objects.update(role=Role.API_CLIENT)
    credentials.forget()
    second = staff.book(key="k", **body)
    hidden = {"guestName": None, "guestEmail": None, "guestPhone": None, "notes": None}
    assert (second.status, second.headers["Idempotent-Replayed"], second.body) == (
        201,
        "true",
        first.body | hidden,
    )


@pytest.mark.parametrize("key", ["k", "k" * 255, "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", "a b", "0"])
def test_any_printable_ascii_up_to_255_characters_is_a_key(guest: Api, key: str) -> None:
    same(guest.book(key=key), guest.book(key=key))


@pytest.mark.parametrize("key", ["", "k" * 256, "k" * 10_000, "clé", "🍽", "a\tb", "a\x7fb", "a\x00b"])
def test_anything_else_is_refused_by_name(staff: Api, key: str) -> None:
    for reply in (
        staff.book(key=key),
        staff.change("B1", key=key, partySize=2),
        staff.cancel("B1", key=key),
        staff.step("B1", "seat", key=key),
    ):
        detail = assert_refused(reply, 400, "VALIDATION_ERROR", "Idempotency-Key")
        assert detail == "Use 1-255 printable ASCII characters."
    assert staff.get("/woki/bookings/B1").body["version"] == 1


def test_reads_ignore_a_key(guest: Api) -> None:
    reply = guest.call("GET", "/woki/bookings/B1", headers={"Idempotency-Key": "k" * 300})
    assert reply.status == 200
    assert not IdempotencyKey.objects.exists()
