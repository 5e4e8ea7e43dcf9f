"""The rules of the room: seating, lengthening, steps at their times, and putting back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from bookings import invariants
from bookings.models import Seating
from bookings.repository.statements import occupied_bookings
from restaurants.models import SpecialDay
from tests.api import Api, api_as, assert_refused, at, events_of
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role

EVENING = datetime.fromisoformat(at("20:00"))


def minutes(count: int) -> datetime:
    return EVENING + timedelta(minutes=count)


def book(staff: Api, table: str, start: str, *, party: int = 2, stay: int = 90) -> str:
    with frozen(EVENING - timedelta(days=1)):
        reply = staff.book(tableIds=[table], start=at(start), partySize=party, durationMinutes=stay)
    assert reply.status == 201, reply.body
    return str(reply.body["reference"])


def step(staff: Api, booking: str, name: str, moment: datetime, body: Any = None) -> Any:
    with frozen(moment):
        return staff.post(f"/woki/bookings/{booking}/{name}", body)


def change(staff: Api, booking: str, moment: datetime, **fields: Any) -> Any:
    with frozen(moment):
        return staff.change(booking, **fields)


def clean() -> bool:
    """Return whether ``verify`` finds nothing wrong in room and plan."""
    return not any(
        check()
        for check in (
            invariants.two_parties, invariants.wrongly_seated, invariants.wrongly_held, invariants.overlaps,
            invariants.not_the_fold,
        )
    )  # fmt: skip


# --- Seating -----------------------------------------------------------------------------------------------------


def test_seating_at_an_occupied_table_names_the_party_and_offers_free_tables(staff: Api) -> None:
    first, second = book(staff, "T1", "20:00"), book(staff, "T1", "21:30")
    step(staff, first, "seat", minutes(5))
    reply = step(staff, second, "seat", minutes(92))
    text = f"Another party still sits there, since 20:05 ({first})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{first}") == text
    assert reply.body["alternatives"][0] == {"sectorId": "S1", "tableIds": ["T5"]}
    assert all("T1" not in alternative["tableIds"] for alternative in reply.body["alternatives"])
    seated = step(staff, second, "seat", minutes(93), {"tableIds": ["T5"]})
    assert (seated.status, seated.body["status"], seated.body["tableIds"]) == (200, "SEATED", ["T5"])
    event = events_of(seated.body["id"])[-1]
    assert (event.event_type, event.payload["changes"]) == (
        "BookingSeated",
        {"tableIds": {"from": ["T1"], "to": ["T5"]}},
    )
    assert sorted(Seating.objects.values_list("table_id", flat=True)) == ["T1", "T5"]
    assert clean()


def test_a_stranger_is_told_that_a_table_is_occupied_but_not_by_whom(staff: Api, guest: Api) -> None:
    booking = book(staff, "T1", "20:00")
    step(staff, booking, "seat", minutes(5))
    with frozen(minutes(91)):
        reply = guest.book(tableIds=["T1"], partySize=2, start=at("21:45"), durationMinutes=60)
    detail = assert_refused(reply, 409, "CONFLICT")
    assert detail.startswith("Another party still sits there, since 20:05. The nearest times")
    assert booking not in str(reply.body)


def test_a_party_is_seated_on_its_own_service_day_only(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    for moment in (EVENING - timedelta(days=1), EVENING + timedelta(days=1)):
        detail = assert_refused(step(staff, booking, "seat", moment), 409, "INVALID_TRANSITION")
        assert detail == "A party is seated on its own service day, 2025-10-22."
    assert step(staff, booking, "seat", minutes(0)).status == 200


def test_an_early_party_holds_its_table_from_now(staff: Api) -> None:
    booking = book(staff, "T1", "21:00")
    assert step(staff, booking, "seat", minutes(5)).status == 200
    with frozen(minutes(5)):
        candidates = staff.discover(partySize=2, duration=30, windowStart="20:15", limit=50).body[
            "candidates"
        ]
    starts = [candidate["start"] for candidate in candidates if "T1" in candidate["tableIds"]]
    assert min(starts) == at("22:30")
    assert clean()


def test_an_early_party_does_not_take_the_place_of_another(staff: Api) -> None:
    due, early = book(staff, "T1", "20:00"), book(staff, "T1", "21:30")
    reply = step(staff, early, "seat", minutes(70))
    text = f"Its tables are booked for another party at 20:00 ({due})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{due}") == text


def test_a_no_show_that_comes_after_its_table_was_given_away_gets_choices(staff: Api) -> None:
    late = book(staff, "T1", "20:00")
    step(staff, late, "no-show", minutes(20))
    next_booking = book(staff, "T1", "20:30")
    reply = step(staff, late, "seat", minutes(25))
    text = f"Its tables are booked for another party at 20:30 ({next_booking})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{next_booking}") == text
    assert reply.body["alternatives"][0] == {"sectorId": "S1", "tableIds": ["T5"]}
    assert step(staff, late, "seat", minutes(26), {"tableIds": ["T5"]}).body["status"] == "SEATED"
    assert clean()


def test_a_party_that_comes_after_its_end_gets_no_table_that_is_another_s_by_now(staff: Api) -> None:
    late = book(staff, "T1", "20:00", stay=45)
    there, following = book(staff, "T5", "20:45"), book(staff, "T1", "21:00")
    step(staff, there, "seat", minutes(46))
    reply = step(staff, late, "seat", minutes(65))
    text = f"Its tables are booked for another party at 21:00 ({following})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{following}") == text
    assert [alternative["tableIds"] for alternative in reply.body["alternatives"]] == [["T3"]]
    assert step(staff, late, "seat", minutes(66), {"tableIds": ["T3"]}).status == 200
    assert clean()


def test_a_late_party_sits_at_its_table_once_the_party_after_it_has_left(staff: Api) -> None:
    late, following = book(staff, "T1", "20:00", stay=45), book(staff, "T1", "20:45")
    step(staff, following, "seat", minutes(46))
    step(staff, following, "complete", minutes(61))
    assert step(staff, late, "seat", minutes(65)).body["status"] == "SEATED"
    assert clean()


# --- Changes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seated", [True, False])
def test_a_longer_stay_keeps_the_table_or_names_the_next_party(staff: Api, seated: bool) -> None:
    booking, following = book(staff, "T1", "20:00"), book(staff, "T1", "21:45")
    if seated:
        step(staff, booking, "seat", minutes(0))
    longer = change(staff, booking, minutes(30), durationMinutes=105)
    assert (longer.status, longer.body["tableIds"], longer.body["end"]) == (200, ["T1"], at("21:45"))
    reply = change(staff, booking, minutes(31), durationMinutes=120)
    text = f"Its tables are booked for another party at 21:45 ({following})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{following}") == text
    later = change(staff, booking, minutes(-5), start=at("20:15"), durationMinutes=105)
    assert assert_refused(later, 409, "CONFLICT", f"bookings.{following}") == text
    shorter = change(staff, booking, minutes(32), durationMinutes=60)
    assert (shorter.body["tableIds"], shorter.body["end"]) == (["T1"], at("21:00"))
    assert clean()


def test_a_party_that_sits_moves_only_where_somebody_says(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    step(staff, booking, "seat", minutes(0))
    reply = change(staff, booking, minutes(10), partySize=4)
    assert (
        assert_refused(reply, 409, "CONFLICT")
        == "The party is already seated. Name the tables that it moves to."
    )
    assert {"sectorId": "S1", "tableIds": ["T3"]} in reply.body["alternatives"]
    reply = change(staff, booking, minutes(11), partySize=4, tableIds=["T3"])
    assert (reply.status, reply.body["tableIds"]) == (200, ["T3"])
    rows = [(row.table_id, row.period.upper) for row in Seating.objects.order_by("table")]
    assert rows == [("T1", minutes(11)), ("T3", None)]


def test_a_party_that_overstays_is_not_offered_the_table_of_another_that_sits(staff: Api) -> None:
    booking, there = book(staff, "T1", "20:00", stay=45), book(staff, "T3", "20:45")
    step(staff, booking, "seat", minutes(0))
    step(staff, there, "seat", minutes(46))
    for fields in ({"partySize": 4}, {"partySize": 4, "start": at("22:15")}):
        reply = change(staff, booking, minutes(60), **fields)
        assert_refused(reply, 409, "CONFLICT")
        assert all("T3" not in alternative["tableIds"] for alternative in reply.body["alternatives"])


def test_a_party_that_sits_stays_on_its_day(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    step(staff, booking, "seat", minutes(0))
    reply = change(staff, booking, minutes(10), date="2025-10-23")
    assert assert_refused(reply, 409, "INVALID_TRANSITION") == "A seated party stays on its service day."


def test_the_next_booking_keeps_its_place_while_the_party_before_overstays(staff: Api) -> None:
    first, second = book(staff, "T1", "20:00"), book(staff, "T1", "21:30")
    step(staff, first, "seat", minutes(0))
    longer = change(staff, second, minutes(85), durationMinutes=105)
    assert (longer.status, longer.body["tableIds"], longer.body["attention"]) == (200, ["T1"], ["occupied"])
    with frozen(minutes(85)):
        assert [str(booking_id) for booking_id in occupied_bookings()] == [longer.body["id"]]
    other = book(staff, "T5", "21:30")
    reply = change(staff, other, minutes(95), tableIds=["T1"])
    assert_refused(reply, 409, "CONFLICT")


# --- Steps at their times ----------------------------------------------------------------------------------------


def test_a_no_show_is_one_from_the_start_on(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    detail = assert_refused(step(staff, booking, "no-show", minutes(-1)), 409, "INVALID_TRANSITION")
    assert detail == "This is possible from the booking's start on, 2025-10-22 20:00."
    assert step(staff, booking, "no-show", minutes(0)).body["status"] == "NO_SHOW"


def test_a_refused_step_says_what_is_possible_instead(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    detail = assert_refused(step(staff, booking, "complete", minutes(0)), 409, "INVALID_TRANSITION")
    assert detail == (
        "A booking that is Confirmed does not allow this. Possible now: Seat, No-show, Cancel booking."
    )


def test_a_table_just_left_can_be_blocked_from_its_quarter_hour(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    step(staff, booking, "seat", minutes(0))
    block = {"start": at("21:15"), "end": at("22:00")}
    with frozen(minutes(82)):
        reply = staff.post("/tables/T1/blocks", {"start": at("21:30"), "end": at("22:00")})
        assert assert_refused(reply, 409, "CONFLICT", f"bookings.{booking}") == (
            f"A party still sits at the table ({booking})."
        )
    step(staff, booking, "complete", minutes(82))
    with frozen(minutes(83)):
        assert staff.post("/tables/T1/blocks", block).status == 201
    (row,) = Seating.objects.all()
    assert row.period.upper == minutes(82)


def test_a_table_is_not_blocked_between_an_early_arrival_and_its_booking(staff: Api) -> None:
    booking = book(staff, "T1", "21:30")
    assert step(staff, booking, "seat", minutes(0)).status == 200
    with frozen(minutes(5)):
        reply = staff.post("/tables/T1/blocks", {"start": at("20:45"), "end": at("21:30")})
    assert_refused(reply, 409, "CONFLICT", f"bookings.{booking}")
    assert clean()


# --- Putting back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "back"),
    [
        (("seat",), "CONFIRMED"),
        (("seat", "complete"), "SEATED"),
        (("no-show",), "CONFIRMED"),
        (("no-show", "seat"), "NO_SHOW"),
        (("seat", "reopen", "seat"), "CONFIRMED"),
    ],
)
def test_each_step_can_be_put_back(staff: Api, steps: tuple[str, ...], back: str) -> None:
    booking = book(staff, "T1", "20:00")
    for count, name in enumerate(steps):
        assert step(staff, booking, name, minutes(10 + count)).status == 200
    reply = step(staff, booking, "reopen", minutes(60))
    assert (reply.status, reply.body["status"], reply.body["version"]) == (200, back, len(steps) + 2)
    event = events_of(reply.body["id"])[-1]
    assert (event.event_type, event.payload["undoes"]["version"]) == ("BookingUpdated", len(steps) + 1)
    assert clean()


def test_a_cancelled_booking_is_put_back_where_its_table_is_free(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    with frozen(minutes(-60)):
        staff.cancel(booking)
    other = book(staff, "T1", "20:30")
    reply = step(staff, booking, "reopen", minutes(-50))
    text = f"Its tables are booked for another party at 20:30 ({other})."
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{other}") == text
    with frozen(minutes(-40)):
        staff.cancel(other)
    assert step(staff, booking, "reopen", minutes(-30)).body["status"] == "CONFIRMED"
    assert clean()


def test_a_booking_that_the_plan_no_longer_serves_is_flagged_when_put_back(staff: Api) -> None:
    retired, closed = book(staff, "T1", "20:00"), book(staff, "T5", "20:00")
    admin = api_as(Role.ADMIN, "R1")
    with frozen(minutes(-60)):
        for booking in (retired, closed):
            staff.cancel(booking)
        assert admin.call("PATCH", "/tables/T1", {"active": False}).status == 200
    assert step(staff, retired, "reopen", minutes(-30)).body["attention"] == ["tables"]
    SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 10, 22))
    reply = step(staff, closed, "reopen", minutes(-20))
    assert (reply.body["status"], reply.body["attention"]) == ("CONFIRMED", ["hours"])
    assert clean()


def test_back_to_seated_only_on_the_booking_s_day_and_where_nobody_sits(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    for name, moment in (("seat", minutes(0)), ("complete", minutes(60))):
        step(staff, booking, name, moment)
    assert_refused(step(staff, booking, "reopen", EVENING + timedelta(days=1)), 409, "INVALID_TRANSITION")
    following = book(staff, "T1", "21:30")
    step(staff, following, "seat", minutes(91))
    reply = step(staff, booking, "reopen", minutes(95))
    assert_refused(reply, 409, "CONFLICT", f"bookings.{following}")
    step(staff, following, "reopen", minutes(96))
    assert step(staff, booking, "reopen", minutes(97)).body["status"] == "SEATED"
    assert clean()


def test_what_was_never_anything_else_is_not_put_back(staff: Api) -> None:
    booking = book(staff, "T1", "20:00")
    detail = assert_refused(step(staff, booking, "reopen", minutes(0)), 409, "INVALID_TRANSITION")
    assert detail == (
        "There is nothing to put this booking back to. Possible now: Seat, No-show, Cancel booking."
    )


# --- Who may -----------------------------------------------------------------------------------------------------


def test_a_host_cancels_and_puts_back(guest: Api) -> None:
    host = api_as(Role.STAFF, "R1")
    assert host.cancel("B1").status == 204
    assert host.step("B1", "reopen").body["status"] == "CONFIRMED"


def test_an_api_client_changes_and_cancels_what_it_booked_itself(guest: Api) -> None:
    client, other = api_as(Role.API_CLIENT, "R1"), api_as(Role.API_CLIENT, "R1")
    own = client.book().body["id"]
    assert client.change(own, partySize=3).status == 200
    for booking, caller in ((own, other), ("B1", client)):
        assert_refused(caller.change(booking, partySize=3), 403, "FORBIDDEN")
        assert_refused(caller.cancel(booking), 403, "FORBIDDEN")
    for name in ("seat", "no-show", "complete", "reopen"):
        assert_refused(client.step(own, name), 403, "FORBIDDEN")
    assert client.cancel(own).status == 204


def test_an_api_client_does_not_change_its_booking_once_the_party_sits(guest: Api) -> None:
    host, client = api_as(Role.STAFF, "R1"), api_as(Role.API_CLIENT, "R1")
    with frozen(minutes(-60)):
        own = client.book(tableIds=["T1"], partySize=2, start=at("20:00")).body["reference"]
    assert step(host, own, "seat", minutes(0)).status == 200
    with frozen(minutes(5)):
        assert assert_refused(client.change(own, durationMinutes=60), 409, "INVALID_TRANSITION") == (
            "The party has arrived. Only the restaurant changes its booking now."
        )
        assert host.change(own, durationMinutes=60).status == 200
