"""What happens in the room while something else is being written: both together are as if one had come first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event

import pytest
from django.db import transaction

from bookings.models import Seating, TableBlock
from bookings.repository.records import BookingRecord
from bookings.services import lifecycle, table_blocks
from bookings.services.change import Change, update_booking
from bookings.services.create import NewBooking, create_booking
from bookings.services.reopen import reopen_booking
from bookings.services.table_blocks import block_table
from restaurants.services.restaurants import create_sector, create_table
from tests.api import at
from tests.restaurants.services.test_plan_lock import on_a_thread
from tests.waiting import PATIENCE, until, waiting_for_locks
from tests.wokibrain.access.conftest import make_example
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Conflict

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.fromisoformat(at("20:00"))
LATER = NOW + timedelta(minutes=30)


def book() -> str:
    new = NewBooking("R1", 2, NOW.date(), start=LATER, table_ids=frozenset({"T1"}))
    with frozen(NOW):
        booking = create_booking(caller=SYSTEM, new=new)
    assert isinstance(booking, BookingRecord)
    return booking.reference


def meanwhile(first: Callable[[], object], second: Callable[[], object]) -> BaseException | None:
    """Do the second once the first is done and not committed, and commit when it waits; return why it was refused."""
    done, over = Event(), Event()

    def begin() -> None:
        with frozen(NOW), transaction.atomic():
            first()
            done.set()
            assert until(lambda: over.is_set() or waiting_for_locks() > 0)

    def follow() -> None:
        assert done.wait(PATIENCE)
        try:
            with frozen(NOW):
                second()
        finally:
            over.set()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(on_a_thread(begin)), pool.submit(on_a_thread(follow))
        one.result(PATIENCE)
        return other.exception(PATIENCE)


def block_and_seat() -> tuple[int, int, BaseException | None]:
    """Block T1 for half an hour while an early party is seated there; return blocks, parties and the refusal."""
    make_example()
    booking = book()
    refusal = meanwhile(
        lambda: block_table(caller=SYSTEM, table_id="T1", start=NOW, end=LATER),
        lambda: lifecycle.seat_booking(booking, caller=SYSTEM),
    )
    return TableBlock.objects.count(), Seating.objects.count(), refusal


def test_nobody_is_seated_at_a_table_that_is_being_blocked() -> None:
    blocks, parties, refusal = block_and_seat()
    assert (blocks, parties) == (1, 0)
    assert isinstance(refusal, Conflict)
    assert str(refusal.detail) == "One of its tables is out of service from 20:00 on."


def test_canary_without_the_sector_s_lock_a_party_sits_at_a_blocked_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_blocks, "lock_sectors", lambda _: None)
    assert block_and_seat() == (1, 1, None)


@pytest.mark.parametrize("step", [lifecycle.seat_booking, reopen_booking])
def test_a_step_of_a_booking_that_is_being_moved_to_another_sector_is_refused(
    step: Callable[..., object],
) -> None:
    make_example()
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Patio")
    create_table(caller=SYSTEM, id="P1", sector_id="S2", capacity_min=2, capacity_max=4)
    booking = book()
    if step is reopen_booking:
        with frozen(NOW):
            lifecycle.seat_booking(booking, caller=SYSTEM)
    change = Change(sector_id="S2", table_ids=frozenset({"P1"}))
    refusal = meanwhile(
        lambda: update_booking(booking, caller=SYSTEM, change=change),
        lambda: step(booking, caller=SYSTEM),
    )
    assert isinstance(refusal, Conflict)
    assert str(refusal.detail) == "The booking was just moved; look at it and try again."
