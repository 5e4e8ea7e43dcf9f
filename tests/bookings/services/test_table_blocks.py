"""Blocked tables: a block never overlaps a booking, and no booking overlaps a block."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from bookings.models import Allocation, TableBlock
from bookings.services.table_blocks import block_table, unblock_table
from tests.api import Api, assert_refused, at, events_of, make_restaurant
from wokibrain.core.callers import SYSTEM, Caller, CallerKind
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Conflict, Forbidden, NotFound, Unauthorized, ValidationFailed
from wokibrain.core.permissions import PERMISSIONS, Role


def evening(hour: int, minute: int = 0) -> datetime:
    """Return a local time of the example's evening; 20:00 in Buenos Aires is 23:00 UTC."""
    return datetime(2025, 10, 22 + (hour + 3) // 24, (hour + 3) % 24, minute, tzinfo=UTC)


def block(table_id: str, start: datetime, end: datetime, reason: str = "") -> TableBlock:
    return block_table(caller=SYSTEM, table_id=table_id, start=start, end=end, reason=reason)


def test_a_blocked_table_cannot_be_booked(guest: Api) -> None:
    block("T3", evening(20), evening(22))
    assert guest.book(tableIds=["T3"], start=at("20:30")).body["error"] == "CONFLICT"
    candidates = guest.discover(windowStart="20:00", windowEnd="22:00", limit=50).body["candidates"]
    assert all("T3" not in candidate["tableIds"] for candidate in candidates)
    assert guest.book(tableIds=["T3"], start=at("22:00")).status == 201


def test_a_block_over_a_booking_is_refused_and_names_it(guest: Api) -> None:
    other = guest.book(tableIds=["T2"], start=at("21:30")).body["reference"]
    with pytest.raises(Conflict) as refusal:
        block("T2", evening(21), evening(22))
    assert (
        str(refusal.value.detail) == f"The table is booked at that time: {', '.join(sorted(['B1', other]))}."
    )
    assert not TableBlock.objects.exists()
    assert events_of("T2") == []


def test_a_block_over_a_block_is_refused(guest: Api) -> None:
    block("T3", evening(20), evening(22))
    with pytest.raises(Conflict) as refusal:
        block("T3", evening(21, 59), evening(23))
    assert str(refusal.value.detail) == "The table is taken or blocked at that time."
    assert TableBlock.objects.count() == 1


def test_a_block_may_have_any_utc_offset(staff: Api) -> None:
    span = {"start": "2025-10-23T15:00:00+16:00", "end": "2025-10-22T09:00:00-16:00"}
    reply = staff.post("/tables/T3/blocks", span)
    assert (reply.status, reply.body["start"], reply.body["end"]) == (201, at("20:00"), at("22:00"))


def test_blocks_and_bookings_touch_without_overlapping(guest: Api) -> None:
    block("T2", evening(20), evening(20, 30))
    block("T2", evening(21, 15), evening(22))
    block("T2", evening(22), evening(22, 45))
    assert guest.book(tableIds=["T2"], start=at("22:45"), durationMinutes=60).status == 201
    assert TableBlock.objects.filter(table_id="T2").count() == 3


def test_a_cancelled_booking_does_not_prevent_a_block(guest: Api) -> None:
    guest.cancel("B1")
    assert block("T2", evening(20), evening(22)).table_id == "T2"


def test_a_block_removes_only_its_own_table_from_the_offer(guest: Api) -> None:
    block("T5", evening(20), evening(23, 45))
    candidates = guest.discover(windowStart="21:15", windowEnd="22:45", limit=50).body["candidates"]
    tables = {table for candidate in candidates for table in candidate["tableIds"]}
    assert tables == {"T1", "T2", "T3", "T4"}


def test_a_change_cannot_move_a_booking_onto_a_block(staff: Api) -> None:
    block("T3", evening(20), evening(22))
    assert_refused(staff.change("B1", tableIds=["T3"]), 409, "CONFLICT")
    assert staff.change("B1", durationMinutes=90).body["tableIds"] == ["T2"]


def test_a_block_ends_after_it_starts(guest: Api) -> None:
    for end in (evening(20), evening(19)):
        with pytest.raises(ValidationFailed) as refusal:
            block("T3", evening(20), end)
        assert [(issue.path, str(issue.message)) for issue in refusal.value.issues] == [
            ("end", "A block ends after it starts.")
        ]


def test_the_database_refuses_a_block_over_a_booking(guest: Api) -> None:
    row = TableBlock.objects.create(table_id="T2", start=evening(20), end=evening(21))
    with pytest.raises(IntegrityError, match="allocation_never_overlaps"), transaction.atomic():
        Allocation.objects.create(table_id="T2", sector_id="S1", period=(evening(20), evening(21)), block=row)


def test_unblocking_one_frees_that_interval(guest: Api) -> None:
    first, second = block("T3", evening(20), evening(21)), block("T3", evening(22), evening(23))
    assert unblock_table(caller=SYSTEM, table_id="T3", block_id=str(first.id)) == 1
    assert list(TableBlock.objects.all()) == [second]
    assert guest.book(tableIds=["T3"], start=at("20:00"), durationMinutes=60).status == 201
    assert guest.book(tableIds=["T3"], start=at("22:00"), durationMinutes=60).status == 409


def test_unblocking_without_an_id_ends_all_present_and_future_blocks(guest: Api) -> None:
    over = block("T3", evening(12), evening(13))
    block("T3", evening(20), evening(21))
    block("T3", evening(22), evening(23))
    with frozen(evening(20, 30)):
        assert unblock_table(caller=SYSTEM, table_id="T3") == 2
    assert list(TableBlock.objects.all()) == [over]


@pytest.mark.parametrize("block_id", ["0199a0b5-0000-4000-8000-000000000000", "no-uuid", "\x00"])
def test_unblocking_a_table_without_blocks_is_not_found(guest: Api, block_id: str) -> None:
    block("T4", evening(20), evening(21))
    with pytest.raises(NotFound):
        unblock_table(caller=SYSTEM, table_id="T3", block_id=block_id)
    with pytest.raises(NotFound):
        unblock_table(caller=SYSTEM, table_id="T3")
    assert TableBlock.objects.count() == 1


def test_a_block_of_another_table_is_not_found(guest: Api) -> None:
    other = block("T4", evening(20), evening(21))
    with pytest.raises(NotFound):
        unblock_table(caller=SYSTEM, table_id="T3", block_id=str(other.id))
    assert TableBlock.objects.count() == 1


def test_blocking_and_unblocking_are_events_of_the_table(guest: Api) -> None:
    with frozen(datetime(2025, 10, 1, 12, tzinfo=UTC)):
        one = block("T3", evening(20), evening(21), "Ana's wheelchair")
        two = block("T3", evening(22), evening(23))
        unblock_table(caller=SYSTEM, table_id="T3")
    about = {"tableId": "T3", "sectorId": "S1", "restaurantId": "R1"}
    first = about | {"blockId": str(one.id), "start": at("20:00"), "end": at("21:00")}
    second = about | {"blockId": str(two.id), "start": at("22:00"), "end": at("23:00")}
    events = events_of("T3")
    assert [(event.aggregate_type, event.version, event.event_type, event.payload) for event in events] == [
        ("table", 1, "TableBlocked", first),
        ("table", 2, "TableBlocked", second),
        ("table", 3, "TableUnblocked", first),
        ("table", 4, "TableUnblocked", second),
    ]
    assert {event.occurred_at for event in events} == {datetime(2025, 10, 1, 12, tzinfo=UTC)}
    assert {event.metadata["actor"] for event in events} == {"system:wokibrain"}


def test_blocking_needs_permission(guest: Api) -> None:
    make_restaurant("H")

    def caller(role: Role, place: str) -> Caller:
        return Caller(CallerKind.API_KEY, "k", {place: PERMISSIONS[role]})

    interval: dict[str, Any] = {"start": evening(20), "end": evening(21)}
    with pytest.raises(NotFound):
        block_table(caller=caller(Role.ADMIN, "H"), table_id="T3", **interval)
    with pytest.raises(NotFound):
        block_table(caller=caller(Role.ADMIN, "R1"), table_id="T9", **interval)
    with pytest.raises(Forbidden):
        block_table(caller=caller(Role.STAFF, "R1"), table_id="T3", **interval)
    with pytest.raises((Unauthorized, NotFound)):
        block_table(caller=Caller(CallerKind.ANONYMOUS, "a"), table_id="T3", **interval)
    assert block_table(caller=caller(Role.ADMIN, "R1"), table_id="T3", **interval).table_id == "T3"
