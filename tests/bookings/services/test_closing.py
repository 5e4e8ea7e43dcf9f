"""A party that nobody marked as gone is closed when its service day is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from bookings import invariants
from bookings.availability import stays
from bookings.models import Booking, Seating
from bookings.services.closing import close_ended_days
from tests.api import Api, at, events_of
from tests.wokibrain.office.pages import person
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role

EVENING = datetime(2025, 10, 22, 23, 30, tzinfo=UTC)
"""20:30 at the restaurant, which closes at 23:45."""


def closed(client: Client) -> list[str]:
    page = client.get("/admin/bookings/booking/", {"closed": "assumed"})
    return [booking.reference for booking in page.context["cl"].queryset]


def test_a_party_whose_own_time_is_not_over_is_not_closed(staff: Api) -> None:
    with frozen(EVENING):
        staff.step("B1", "seat")
    after = datetime(2025, 10, 23, 10, tzinfo=UTC)
    # The hours of its day were cut after it was booked.
    Booking.objects.filter(reference="B1").update(end=after + timedelta(minutes=15))
    with frozen(after):
        assert close_ended_days() == 0
    with frozen(after + timedelta(minutes=15)):
        assert close_ended_days() == 1


def test_one_that_fails_is_logged_and_keeps_none_of_the_others(
    staff: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with frozen(EVENING):
        other = staff.book(tableIds=["T1"], partySize=2, start=at("20:30")).body["reference"]
        for reference in ("B1", other):
            assert staff.step(reference, "seat").status == 200
    # A zone that this host lacks.
    Booking.objects.filter(reference="B1").update(promised_zone="Mars/Olympus")
    with frozen(datetime(2025, 10, 23, 10, tzinfo=UTC)):
        assert close_ended_days() == 1
    assert Booking.objects.get(reference=other).status == "COMPLETED"
    assert "booking B1 is not closed: UnknownZone" in caplog.messages


def test_it_is_completed_and_listed_after_its_day_and_not_before(staff: Api) -> None:
    with frozen(EVENING):
        assert staff.step("B1", "seat").status == 200
        assert close_ended_days() == 0
    with frozen(datetime(2025, 10, 23, 2, 30, tzinfo=UTC)):
        assert close_ended_days() == 0
    after = datetime(2025, 10, 23, 10, tzinfo=UTC)
    client = person(Role.STAFF, "R1")
    with frozen(after):
        assert closed(client) == []
        assert [close_ended_days(), close_ended_days()] == [1, 0]
        assert closed(client) == ["B1"]
    booking = Booking.objects.get(reference="B1")
    event = events_of(str(booking.pk))[-1]
    assert (booking.status, event.event_type, event.payload["reason"]) == (
        "COMPLETED", "BookingCompleted", "end of day",
    )  # fmt: skip
    assert event.metadata["actor"] == "system:wokibrain"
    (seating,) = Seating.objects.all()
    assert (seating.period.upper, seating.assumed) == (after, True)
    assert (invariants.wrongly_seated(), invariants.wrongly_held(), invariants.not_the_fold()) == (0, 0, 0)
    with frozen(after):
        assert stays.usual_stays("R1") == {}
