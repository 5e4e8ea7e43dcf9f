"""A party that nobody marked as gone is closed when its service day is over."""

from __future__ import annotations

from datetime import UTC, datetime

from django.test import Client

from bookings import invariants
from bookings.availability import stays
from bookings.models import Booking, Seating
from bookings.services.closing import close_ended_days
from tests.api import Api, events_of
from tests.wokibrain.office.pages import person
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role

EVENING = datetime(2025, 10, 22, 23, 30, tzinfo=UTC)
"""20:30 at the restaurant, which closes at 23:45."""


def closed(client: Client) -> list[str]:
    page = client.get("/admin/bookings/booking/", {"closed": "assumed"})
    return [booking.reference for booking in page.context["cl"].queryset]


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
