"""Undoing the caller's own latest change: a further event, and never a lost table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bookings.models import Allocation, Booking
from bookings.repository.records import BookingRecord
from bookings.services import change as changes
from bookings.services import create, lifecycle, undo, walk_in
from bookings.services.change import Change
from bookings.services.create import NewBooking
from tests.api import Api, events_of
from wokibrain.core.callers import EVERYWHERE, SYSTEM, Caller, CallerKind
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Conflict, InvalidTransition
from wokibrain.core.permissions import PERMISSIONS, Role
from wokibrain.events import envelope

EVENING = datetime(2025, 10, 22, 23, tzinfo=UTC)
ANA = Caller(CallerKind.USER, "7", {EVERYWHERE: PERMISSIONS[Role.ADMIN]})


@pytest.fixture
def booking(guest: Api) -> BookingRecord:
    with frozen(EVENING - timedelta(days=1)):
        record = create.create_booking(
            caller=ANA,
            new=NewBooking(
                "R1", 2, EVENING.date(), start=EVENING, table_ids=frozenset({"T1"}), duration_minutes=90
            ),
        )
    assert isinstance(record, BookingRecord)
    return record


def allocations_of(booking: BookingRecord) -> list[tuple[str, datetime, datetime]]:
    rows = Allocation.objects.filter(booking_id=booking.id, active=True)
    return [(row.table_id, row.period.lower, row.period.upper) for row in rows]


def undo_change(booking: BookingRecord, version: int, at: datetime, caller: Caller = ANA) -> BookingRecord:
    with frozen(at):
        return undo.undo_booking(booking.reference, caller=caller, version=version)


def test_undoing_a_seating_appends_an_event(booking: BookingRecord) -> None:
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    after = undo_change(booking, 2, EVENING + timedelta(seconds=5))
    assert (after.status, after.version) == ("CONFIRMED", 3)
    last = events_of(str(booking.id))[-1]
    assert (last.event_type, last.version) == ("BookingUpdated", 3)
    assert last.payload["changes"] == {"status": {"from": "SEATED", "to": "CONFIRMED"}}
    assert last.payload["undoes"] == {"version": 2, "eventType": "BookingSeated"}


@pytest.mark.parametrize("step", [lifecycle.cancel_booking, lifecycle.no_show_booking])
def test_undoing_a_change_that_freed_tables_takes_them_again(booking: BookingRecord, step: object) -> None:
    with frozen(EVENING):
        step(booking.reference, caller=ANA)  # type: ignore[operator]
    assert allocations_of(booking) == []
    assert undo_change(booking, 2, EVENING).status == "CONFIRMED"
    assert allocations_of(booking) == [("T1", EVENING, EVENING + timedelta(minutes=90))]


def test_undoing_a_completion_restores_the_whole_time(booking: BookingRecord) -> None:
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    with frozen(EVENING + timedelta(minutes=30)):
        lifecycle.complete_booking(booking.reference, caller=ANA)
    assert allocations_of(booking) == [("T1", EVENING, EVENING + timedelta(minutes=30))]
    assert undo_change(booking, 3, EVENING + timedelta(minutes=30)).status == "SEATED"
    assert allocations_of(booking) == [("T1", EVENING, EVENING + timedelta(minutes=90))]


def test_a_move_is_undone(booking: BookingRecord) -> None:
    with frozen(EVENING):
        changes.update_booking(booking.reference, caller=ANA, change=Change(table_ids=frozenset({"T5"})))
    assert undo_change(booking, 2, EVENING).table_ids == ("T1",)
    assert allocations_of(booking) == [("T1", EVENING, EVENING + timedelta(minutes=90))]


def test_an_older_events_state_is_restored_in_the_present_shape(
    booking: BookingRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        envelope._upcasters,
        ("BookingCreated", 1),
        lambda payload: payload | {"partySize": payload["partySize"] - 1},
    )
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    assert undo_change(booking, 2, EVENING).party_size == 1


def test_an_undo_is_refused_if_its_tables_were_taken(booking: BookingRecord) -> None:
    with frozen(EVENING):
        lifecycle.cancel_booking(booking.reference, caller=ANA)
        create.create_booking(
            caller=SYSTEM,
            new=NewBooking(
                "R1", 2, EVENING.date(), start=EVENING, table_ids=frozenset({"T1"}), duration_minutes=90
            ),
        )
    with pytest.raises(Conflict):
        undo_change(booking, 2, EVENING)
    assert Booking.objects.get(pk=booking.id).status == "CANCELLED"
    assert [event.version for event in events_of(str(booking.id))] == [1, 2]


def test_undoing_a_walk_in_cancels_it(guest: Api) -> None:
    with frozen(EVENING):
        booking = walk_in.seat_walk_in(caller=ANA, party=walk_in.WalkIn("R1", 2, duration_minutes=60))
    assert undo_change(booking, 1, EVENING).status == "CANCELLED"
    assert allocations_of(booking) == []
    last = events_of(str(booking.id))[-1]
    assert (last.event_type, last.payload["reason"]) == ("BookingCancelled", "undone")


def test_only_the_author_may_undo_and_only_in_time(booking: BookingRecord) -> None:
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    with pytest.raises(InvalidTransition) as somebody_else:
        undo_change(booking, 2, EVENING, SYSTEM)
    assert str(somebody_else.value.detail) == "Only the author of a change may undo it."
    with pytest.raises(InvalidTransition) as late:
        undo_change(booking, 2, EVENING + timedelta(seconds=31))
    assert str(late.value.detail) == "It is too late to undo this."
    with pytest.raises(Conflict):
        undo_change(booking, 1, EVENING)


def test_undos_and_contact_data_cannot_be_undone(booking: BookingRecord) -> None:
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    undo_change(booking, 2, EVENING)
    with pytest.raises(InvalidTransition) as twice:
        undo_change(booking, 3, EVENING)
    assert str(twice.value.detail) == "This change is an undo itself and cannot be undone."
    with frozen(EVENING):
        changes.update_booking(booking.reference, caller=ANA, change=Change(notes="by the window"))
    with pytest.raises(InvalidTransition) as private:
        undo_change(booking, 4, EVENING)
    assert str(private.value.detail) == "Contact data and notes cannot be undone; type them again."


def attention_of(booking: BookingRecord) -> list[str]:
    return Booking.objects.get(pk=booking.id).attention


def test_an_undo_clears_no_flag(booking: BookingRecord) -> None:
    Booking.objects.filter(pk=booking.id).update(attention=["tables"])
    with frozen(EVENING):
        lifecycle.seat_booking(booking.reference, caller=ANA)
    undo_change(booking, 2, EVENING)
    assert attention_of(booking) == ["tables"]


@pytest.mark.parametrize(
    ("cause", "change", "remaining"),
    [
        ("tables", Change(table_ids=frozenset({"T5"})), []),
        ("hours", Change(table_ids=frozenset({"T5"})), ["hours"]),
        ("zone", Change(table_ids=frozenset({"T5"})), ["zone"]),
        ("tables", Change(duration_minutes=60), ["tables"]),
        ("hours", Change(duration_minutes=60), []),
        ("zone", Change(start=EVENING + timedelta(minutes=15)), []),
    ],
)
def test_a_change_clears_its_flag_and_undoing_it_restores_the_flag(
    booking: BookingRecord, cause: str, change: Change, remaining: list[str]
) -> None:
    Booking.objects.filter(pk=booking.id).update(attention=[cause])
    with frozen(EVENING):
        changes.update_booking(booking.reference, caller=ANA, change=change)
    attention = events_of(str(booking.id))[-1].payload["changes"].get("attention")
    assert (attention_of(booking), attention) == (
        remaining,
        None if remaining else {"from": [cause], "to": []},
    )
    undo_change(booking, 2, EVENING)
    attention = events_of(str(booking.id))[-1].payload["changes"].get("attention")
    assert (attention_of(booking), attention) == ([cause], None if remaining else {"from": [], "to": [cause]})
