"""Walk-ins: seated at once, to the minute, and only where they fit from now on."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from bookings.models import Allocation, Booking
from bookings.repository.records import BookingRecord
from bookings.services import change, lifecycle, walk_in
from bookings.services.change import Change
from bookings.services.walk_in import WalkIn
from restaurants.models import TurnTime
from restaurants.services.calendar import Calendar, Hours
from restaurants.services.restaurants import update_restaurant
from tests.api import Api, events_of, make_restaurant
from wokibrain.core.callers import SYSTEM, Caller, CallerKind
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Conflict, NotFound, OutsideServiceWindow, ValidationFailed


def evening(hour: int, minute: int = 0) -> datetime:
    """Return a local time of the example's evening; 20:00 in Buenos Aires is 23:00 UTC."""
    return datetime(2025, 10, 22 + (hour + 3) // 24, (hour + 3) % 24, minute, tzinfo=UTC)


def seat(party: WalkIn, at: datetime) -> BookingRecord:
    with frozen(at):
        return walk_in.seat_walk_in(caller=SYSTEM, party=party)


def test_a_walk_in_gets_the_best_table_now_to_the_minute(guest: Api) -> None:
    booking = seat(WalkIn("R1", 2, duration_minutes=60), evening(20, 7))
    assert (booking.table_ids, booking.start, booking.end) == (("T1",), evening(20, 7), evening(21, 7))
    assert (booking.status, booking.channel, booking.version) == ("SEATED", "walk_in", 1)
    period = Allocation.objects.get(booking_id=booking.id).period
    assert (period.lower, period.upper) == (evening(20, 7), evening(21, 7))
    assert [event.event_type for event in events_of(str(booking.id))] == ["BookingCreated"]


def test_a_table_is_free_from_the_minute_of_its_completion(guest: Api) -> None:
    first = seat(WalkIn("R1", 2, table_ids=frozenset({"T1"}), duration_minutes=60), evening(20, 5))
    with frozen(evening(20, 20)):
        lifecycle.complete_booking(first.reference, caller=SYSTEM)
    # Part of the quarter hour from 20:15 was that party's; a completed booking holds nothing.
    second = seat(WalkIn("R1", 2, table_ids=frozenset({"T1"}), duration_minutes=60), evening(20, 21))
    assert (second.table_ids, second.start) == (("T1",), evening(20, 21))


def test_a_walk_in_never_overlaps_a_coming_booking(guest: Api) -> None:
    with pytest.raises(Conflict) as refusal:
        seat(WalkIn("R1", 3, table_ids=frozenset({"T2"}), duration_minutes=60), evening(20, 7))
    assert str(refusal.value.detail).startswith("The requested tables are not free at that time.")
    assert Booking.objects.count() == 1


def test_a_default_duration_ends_at_closing_and_a_requested_one_is_refused(guest: Api) -> None:
    TurnTime.objects.create(restaurant_id="R1", party_up_to=50, minutes=90)
    assert seat(WalkIn("R1", 2), evening(23)).end == evening(23, 45)
    with pytest.raises(Conflict):
        seat(WalkIn("R1", 2, duration_minutes=90), evening(23))


def test_of_overlapping_services_the_one_that_still_seats_counts(db: None) -> None:
    make_restaurant(
        "H",
        hours=(Hours(time(20), time(22)), Hours(time(21), time(23), time(21, 15))),
        tables={"A": (1, 2), "B": (1, 2)},
    )
    TurnTime.objects.create(restaurant_id="H", party_up_to=50, minutes=90)
    assert seat(WalkIn("H", 2), evening(21, 20)).end == evening(22, 50)
    # The later service accepts no more parties.
    assert seat(WalkIn("H", 2), evening(21, 30)).end == evening(22)


def test_a_shortened_stay_does_not_prevent_a_change_of_party(guest: Api) -> None:
    TurnTime.objects.create(restaurant_id="R1", party_up_to=50, minutes=90)
    booking = seat(WalkIn("R1", 2), evening(23, 8))
    # Now shorter than the restaurant's minimum, which applies to new bookings only.
    update_restaurant(caller=SYSTEM, restaurant_id="R1", settings={"min_duration": 60}, calendar=Calendar())
    with frozen(evening(23, 20)):
        more = change.update_booking(
            booking.reference, caller=SYSTEM, change=Change(party_size=4, table_ids=frozenset({"T2"}))
        )
        assert isinstance(more, BookingRecord)
        assert (more.party_size, more.table_ids, more.duration_minutes, more.end) == (
            4, ("T2",), 37, evening(23, 45),
        )  # fmt: skip
        shorter = Change(duration_minutes=30)
        with pytest.raises(ValidationFailed) as refusal:
            change.update_booking(booking.reference, caller=SYSTEM, change=shorter)
    assert [issue.path for issue in refusal.value.issues] == ["durationMinutes"]


@pytest.mark.parametrize(
    ("at", "detail"),
    [
        (evening(17), "The restaurant is not serving now."),
        (evening(23, 30), "The restaurant is about to close."),
    ],
)
def test_a_closed_or_closing_restaurant_seats_no_walk_in(guest: Api, at: datetime, detail: str) -> None:
    with pytest.raises(OutsideServiceWindow) as refusal:
        seat(WalkIn("R1", 2), at)
    assert str(refusal.value.detail) == detail


def test_without_turn_times_or_a_duration_the_party_stays_90_minutes_or_until_closing(guest: Api) -> None:
    assert seat(WalkIn("R1", 2), evening(20, 7)).end == evening(21, 37)
    assert seat(WalkIn("R1", 2), evening(22, 50)).end == evening(23, 45)


def test_limits_and_foreign_tables_are_refused(guest: Api) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        seat(WalkIn("R1", 51, duration_minutes=60), evening(20))
    assert [issue.path for issue in refusal.value.issues] == ["partySize"]
    with pytest.raises(NotFound):
        seat(WalkIn("R1", 2, table_ids=frozenset({"T9"}), duration_minutes=60), evening(20))
    reader = Caller(CallerKind.USER, "1", {"R1": frozenset()})
    with pytest.raises(NotFound):
        walk_in.seat_walk_in(caller=reader, party=WalkIn("R1", 2))


def test_choices_are_the_tables_that_a_seating_would_take(guest: Api) -> None:
    with frozen(evening(20, 7)):
        choices = walk_in.choices(caller=SYSTEM, party=WalkIn("R1", 4, duration_minutes=60))
    assert [(choice.table_ids, choice.score) for choice in choices[:3]] == [
        (("T3",), 100.0),
        (("T1", "T5"), 80.0),
        (("T4",), 53.3),
    ]
    assert {candidate.end for candidate in choices} == {evening(21, 7)}


@pytest.mark.parametrize("at", [datetime(2026, 4, 5, 3, minute, tzinfo=UTC) for minute in (5, 50)])
def test_a_walk_in_is_seated_in_a_repeated_hour_too(db: None, at: datetime) -> None:
    """On 2026-04-04 Santiago's clocks show 23:00 to 24:00 twice: from 02:00 and from 03:00 UTC."""
    make_restaurant("H", zone="America/Santiago", hours=(Hours(time(20), time(2), time(0, 30)),))
    assert seat(WalkIn("H", 2, duration_minutes=60), at).start == at
    with pytest.raises(OutsideServiceWindow):
        seat(WalkIn("H", 2, duration_minutes=30), datetime(2026, 4, 5, 4, 50, tzinfo=UTC))


def test_a_repeated_last_seating_means_its_first_occurrence(db: None) -> None:
    make_restaurant("H", zone="America/Santiago", hours=(Hours(time(20), time(2), time(23, 30)),))
    seat(WalkIn("H", 2, duration_minutes=30), datetime(2026, 4, 5, 2, 40, tzinfo=UTC))
    with pytest.raises(OutsideServiceWindow):
        seat(WalkIn("H", 2, duration_minutes=30), datetime(2026, 4, 5, 3, 20, tzinfo=UTC))


def test_a_party_seated_in_the_repeated_hour_can_be_moved(db: None) -> None:
    make_restaurant(
        "H", zone="America/Santiago", hours=(Hours(time(20), time(2)),), tables={"A": (2, 4), "B": (2, 4)}
    )
    at = datetime(2026, 4, 5, 3, 5, tzinfo=UTC)
    booking = seat(WalkIn("H", 2, table_ids=frozenset({"H-A"}), duration_minutes=60), at)
    with frozen(at):
        after = change.update_booking(
            booking.reference, caller=SYSTEM, change=Change(table_ids=frozenset({"H-B"}))
        )
    assert isinstance(after, BookingRecord)
    assert (after.table_ids, after.start) == (("H-B",), at)


def test_a_full_room_is_refused_as_full_though_the_past_is_refused(db: None) -> None:
    """A walk-in is never too late to book."""
    make_restaurant("H", hours=(Hours(time(20), time(23)),), refuse_past=True)
    seat(WalkIn("H", 2, duration_minutes=60), evening(20, 7))
    with pytest.raises(Conflict) as refusal:
        seat(WalkIn("H", 2, duration_minutes=60), evening(20, 20))
    assert str(refusal.value.detail).startswith("No table for 2 is free at that time.")
