"""`manage.py seed --demo`: a restaurant in use, written in a few round trips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count
from psycopg.pq import PipelineStatus

from bookings import invariants
from bookings.availability import turned_away
from bookings.models import Booking, Guest
from bookings.sample_data import demo
from bookings.statuses import Status
from tests.api import events_of
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 16, 0, 10, tzinfo=UTC)
"""A Friday, 21:10 in Buenos Aires, with dinner under way."""


@pytest.fixture(autouse=True)
def five_days(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(demo, "DAYS_BACK", 2)
    monkeypatch.setattr(demo, "DAYS_AHEAD", 2)
    with frozen(NOW):
        yield


def test_a_day_of_the_demo_takes_four_round_trips_however_many_bookings_it_has() -> None:
    alone = 0
    after_days: list[int] = []

    def count(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        nonlocal alone
        alone += connection.connection.pgconn.pipeline_status == PipelineStatus.OFF
        return execute(sql, *args)

    with connection.execute_wrapper(count):
        number = demo.demo(lambda done, total: after_days.append(alone))
    # The first restaurant's days but its first, which includes that the restaurant is made.
    assert [after - before for before, after in pairwise(after_days[:5])] == [4] * 4
    by_day = Booking.objects.filter(restaurant="LUMBRE").order_by("service_date").values_list("service_date")
    assert [bookings for _, bookings in by_day.annotate(Count("id"))] == [27, 29, 36, 37, 25]
    assert number == Booking.objects.count()
    assert demo.demo() == 0


def test_the_demo_is_what_the_product_itself_would_have_written() -> None:
    demo.demo()
    bookings = list(Booking.objects.all())
    statuses = Counter(booking.status for booking in bookings)
    assert statuses == {"COMPLETED": 109, "SEATED": 6, "CONFIRMED": 132, "CANCELLED": 17, "NO_SHOW": 3}
    story = {
        Status.CONFIRMED: [["BookingCreated"]],
        Status.CANCELLED: [["BookingCreated", "BookingCancelled"]],
        Status.NO_SHOW: [["BookingCreated", "BookingNoShow"]],
        Status.SEATED: [["BookingCreated", "BookingSeated"], ["BookingCreated"]],
        Status.COMPLETED: [
            ["BookingCreated", "BookingSeated", "BookingCompleted"],
            ["BookingCreated", "BookingCompleted"],
        ],
    }
    for booking in bookings:
        events = events_of(str(booking.id))
        assert [event.event_type for event in events] in story[Status(booking.status)]
        assert [event.version for event in events] == [*range(1, booking.version + 1)]
        assert events[-1].payload["status"] == booking.status
        assert events[-1].occurred_at == booking.updated_at <= NOW
    assert [
        check()
        for check in (
            invariants.overlaps, invariants.two_parties, invariants.wrongly_seated, invariants.not_the_fold,
            invariants.wrongly_held,
        )
    ] == [0] * 5  # fmt: skip
    contacts = Guest.objects.values_list("restaurant", "name", "email", "phone")
    assert len(set(contacts)) == len(contacts)
    # What the demo itself did not find a seat for is nobody's demand.
    for restaurant in demo.RESTAURANTS:
        assert turned_away.refused(caller=SYSTEM, restaurant_id=restaurant.id, last=NOW.date()) == {}
