"""A plan changes during a booking: the booking is either in the list or checked against the new plan."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest
from django.db import connection

from bookings.models import Booking
from bookings.services import plan_changes
from bookings.services.create import NewBooking, create_booking
from restaurants.models import Table
from restaurants.services.plan_guard import guarded
from tests.waiting import PATIENCE, until, waiting_for_locks
from tests.wokibrain.access.conftest import make_example
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import DomainError

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2030, 1, 15, 23, 0, tzinfo=UTC)


def on_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    return run


def race() -> tuple[bool, list[str]]:
    """Retire T2 while T2 is being booked; return whether the booking succeeded, and the unflagged bookings of T2."""
    make_example()
    changing, booking_done = Event(), Event()

    def change() -> None:
        with guarded("R1", caller=SYSTEM):
            changing.set()
            # With the plan's lock the booking waits for this change; without it, the booking is already done.
            assert until(lambda: booking_done.is_set() or waiting_for_locks() > 0)
            Table.objects.filter(pk="T2").update(active=False)

    def book() -> None:
        changing.wait(PATIENCE)
        request = NewBooking(
            restaurant_id="R1", sector_id="S1", party_size=2, date=START.date(), duration_minutes=60,
            start=START, table_ids=frozenset({"T2"}),
        )  # fmt: skip
        create_booking(caller=SYSTEM, new=request)
        booking_done.set()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(on_a_thread(change)), pool.submit(on_a_thread(book))
        first.result(PATIENCE)
        refused = isinstance(second.exception(PATIENCE), DomainError)
    stranded = Booking.objects.filter(start=START, table_ids=["T2"], attention=[])
    return not refused, [booking.reference for booking in stranded]


def test_a_booking_during_a_change_sees_the_new_plan() -> None:
    assert race() == (False, [])


def test_canary_without_the_plan_lock_a_booking_is_stranded_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: the list is read, and then a booking takes the table that is being retired."""

    monkeypatch.setattr(plan_changes, "lock_plans", lambda _: None)
    went_through, stranded = race()
    assert (went_through, len(stranded)) == (True, 1)
