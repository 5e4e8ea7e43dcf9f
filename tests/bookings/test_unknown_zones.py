"""A restaurant whose zone this host has no rules for: operators read its name, staff see it marked, all else works."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import Client

from bookings.models import Booking, TableBlock
from bookings.services.closing import close_ended_days
from bookings.services.table_blocks import block_table
from restaurants.admin import restaurants as admin
from restaurants.models import Restaurant
from tests.api import Api, api_as, assert_refused, make_restaurant
from tests.wokibrain.office.pages import filled_form
from wokibrain.core import clock, zones
from wokibrain.core.callers import SYSTEM
from wokibrain.events import invariants

pytestmark = pytest.mark.django_db

NOWHERE = "America/Nowhere"
UNKNOWN = f"This server does not know the restaurant's time zone, {NOWHERE}."


@pytest.fixture
def staff(guest: Api) -> Api:
    make_restaurant("Z", zone="America/Vancouver", tables={"T": (2, 4), "U": (2, 4)})
    api = api_as()
    body: dict[str, Any] = {
        "restaurantId": "Z",
        "sectorId": "Z-S",
        "date": "2031-01-15",
        "start": "2031-01-15T20:00:00-07:00",
        "tableIds": ["Z-T"],
    }
    assert api.book(**body, partySize=2, durationMinutes=60).status == 201
    start, end = (datetime(2031, 1, 16, hour, tzinfo=UTC) for hour in (3, 5))
    block_table(caller=SYSTEM, table_id="Z-U", start=start, end=end)
    # As a newer release, or a restore from a newer host, brings it.
    Restaurant.objects.filter(pk="Z").update(zone=NOWHERE)
    return api


@pytest.fixture
def office(staff: Api) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("boss", password="a-long-password"))
    return client


def checked() -> str:
    """Return what `manage.py check` prints of issues."""
    issues = io.StringIO()
    call_command("check", stdout=io.StringIO(), stderr=issues)
    return issues.getvalue()


def test_ready_without_its_tables_says_nothing_of_zones(guest: Api) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE restaurants_restaurant RENAME TO elsewhere")
    answer = Client().get("/health/ready")
    assert (answer.status_code, answer.json()["zones"]) == (200, {"release": "2026f"})


def test_ready_counts_them_and_names_those_that_the_caller_may_read(staff: Api) -> None:
    def ready(**headers: str) -> Any:
        return Client(headers=headers).get("/health/ready").json()["zones"]

    assert ready() == {"release": "2026f", "unknown": 1}
    assert ready(**{"X-API-Key": "wk_nonsense"}) == {"release": "2026f", "unknown": 1}
    assert ready(**{"X-API-Key": str(staff.key)})["restaurants"] == {"Z": NOWHERE}
    assert ready(**{"X-API-Key": str(api_as(restaurant_id="R1").key)})["restaurants"] == {}


def test_verify_check_and_the_log_name_it(staff: Api, caplog: pytest.LogCaptureFixture) -> None:
    assert invariants._checks["this host knows every restaurant's time zone"]() == [f"Z: {NOWHERE}"]
    assert f"The time-zone rules of 2026f lack the zones of restaurants: Z: {NOWHERE}." in checked()
    with pytest.raises(SystemCheckError):
        call_command("check", fail_level="WARNING", stderr=io.StringIO())
    zones.warn_of_difference()
    assert "this process has no time-zone rules for the restaurants Z" in caplog.messages


def test_canary_a_known_zone_is_not_reported(staff: Api) -> None:
    Restaurant.objects.filter(pk="Z").update(zone="America/Vancouver")
    assert invariants._checks["this host knows every restaurant's time zone"]() == []
    assert "time-zone rules" not in checked()


def test_lists_show_it_marked_and_bookings_at_the_time_that_was_promised(staff: Api) -> None:
    restaurants = staff.get("/restaurants").body["restaurants"]
    assert {restaurant["id"]: restaurant["timezoneKnown"] for restaurant in restaurants} == {
        "R1": True,
        "Z": False,
    }
    day = staff.get("/woki/bookings", restaurantId="Z", sectorId="Z-S", date="2031-01-15")
    (booking,) = day.body["bookings"]
    assert booking["start"] == "2031-01-15T20:00:00-07:00"
    assert staff.get(f"/woki/bookings/{booking['id']}/history").status == 200
    (block,) = staff.get("/tables/Z-U/blocks").body["blocks"]
    assert (block["start"], block["end"]) == ("2031-01-15T20:00:00-07:00", "2031-01-15T22:00:00-07:00")
    assert staff.delete("/tables/Z-U/blocks").status == 204
    assert staff.cancel(booking["reference"]).status == 204


def test_nothing_is_decided_without_rules(staff: Api) -> None:
    seat: dict[str, Any] = {"restaurantId": "Z", "sectorId": "Z-S", "date": "2031-01-16", "partySize": 2}
    (booking,) = staff.get("/woki/bookings", restaurantId="Z", sectorId="Z-S", date="2031-01-15").body[
        "bookings"
    ]
    start, end = "2031-01-15T22:00:00-07:00", "2031-01-15T23:00:00-07:00"
    for reply in (
        staff.discover(**seat, duration=60),
        staff.book(**seat, durationMinutes=60),
        staff.change(booking["id"], durationMinutes=90),
        staff.post("/tables/Z-U/blocks", {"start": start, "end": end}),
    ):
        detail = assert_refused(reply, 503, "SERVICE_UNAVAILABLE")
        assert detail == UNKNOWN
    assert staff.discover().status == 200, "others are served"


def test_days_are_closed_elsewhere_and_left_open_there(staff: Api) -> None:
    Booking.objects.update(status="SEATED")
    # More than a day after either would be over.
    with clock.frozen(datetime(2031, 2, 1, tzinfo=UTC)):
        assert close_ended_days() == 1
    statuses = dict(Booking.objects.values_list("restaurant", "status"))
    assert statuses == {"R1": "COMPLETED", "Z": "SEATED"}


def test_the_back_office_shows_it_marked(office: Client) -> None:
    booking, block = Booking.objects.get(restaurant="Z"), TableBlock.objects.get(table="Z-U")
    for path, text in (
        ("", UNKNOWN),
        ("restaurants/restaurant/", f"{NOWHERE} (unknown to this server)"),
        ("restaurants/restaurant/Z/change/", f"{NOWHERE} (unknown to this server)"),
        ("bookings/booking/", "15/01/2031 20:00"),
        (f"bookings/booking/{booking.pk}/change/", 'value="20:00"'),
        ("bookings/booking/add/", "Z-U"),
        ("bookings/tableblock/", "15/01/2031 22:00"),
        (f"bookings/tableblock/{block.pk}/change/", "15/01/2031 22:00"),
        ("floor/", UNKNOWN),
        ("floor/sheet?date=2031-01-15", ">20:00<"),
        ("floor/export.csv?date=2031-01-15", "2031-01-15,20:00,21:00,2,"),
        ("floor/export.ics?date=2031-01-15", "DTSTART:20310116T030000Z"),
    ):
        page = office.get(f"/admin/{path}{'&' if '?' in path else '?'}restaurant=Z", follow=True)
        assert page.status_code == 200, path
        assert text in unescape(page.content.decode()), path


def test_the_back_office_says_why_it_decides_nothing_there(office: Client) -> None:
    day = office.get("/admin/floor/data", {"restaurant": "Z", "date": "2031-01-15"})
    assert (day.status_code, day.json()["detail"]) == (503, UNKNOWN)
    # A page that needs the day without naming one.
    assert office.get("/admin/floor/sheet", {"restaurant": "Z"}).status_code == 503
    booking = f"/admin/bookings/booking/{Booking.objects.get(restaurant='Z').pk}/change/"
    block = "/admin/bookings/tableblock/add/"
    for path, changes in (
        (booking, {"time": "21:00"}),
        (block, {"table": "Z-T", "start_0": "2031-01-16", "start_1": "20:00", "end_0": "2031-01-16", "end_1": "21:00"}),
    ):  # fmt: skip
        answer = office.post(path, filled_form(office.get(path), **changes) | {"_save": "1"})
        assert answer.context["adminform"].form.non_field_errors() == [UNKNOWN], path


def test_a_form_saved_unchanged_keeps_the_zone(office: Client) -> None:
    path = "/admin/restaurants/restaurant/Z/change/"
    for zone in ("US/Pacific", "CET", "UTC"):
        Restaurant.objects.filter(pk="Z").update(zone=zone)
        assert office.post(path, filled_form(office.get(path)) | {"_save": "1"}).status_code == 302
        assert Restaurant.objects.get(pk="Z").zone == zone
    Restaurant.objects.filter(pk="Z").update(zone=NOWHERE)
    response = office.post(path, filled_form(office.get(path), name="Zeta") | {"_save": "1"})
    assert response.context["adminform"].form.errors == {"zone": ["Unknown time zone."]}
    assert Restaurant.objects.get(pk="Z").zone == NOWHERE


def test_another_zone_may_be_given_to_it(staff: Api) -> None:
    reply = staff.patch("/restaurants/Z", {"timezone": "America/Vancouver"})
    assert (reply.status, reply.body["timezoneKnown"]) == (200, True)
    assert staff.discover(restaurantId="Z", sectorId="Z-S", date="2031-01-16", duration=60).status == 200


def test_every_zone_that_rest_accepts_is_a_choice_of_the_form(guest: Api) -> None:
    choices = [name for name, _label in admin.zones()]
    assert set(choices) == clock.known_zones()
    assert {"US/Pacific", "CET", "UTC", "EST5EDT"} <= set(choices)
    for zone in ("US/Pacific", "CET"):
        restaurant = Restaurant(id="F", name="F", zone=zone)
        form = admin.RestaurantForm({"name": "F", "zone": zone}, instance=restaurant)
        form.is_valid()
        assert "zone" not in form.errors


def test_an_unknown_zone_is_not_replaced_by_the_first_of_the_list() -> None:
    form = admin.RestaurantForm(instance=Restaurant(id="F", name="F", zone=NOWHERE))
    assert form["zone"].value() == NOWHERE
    assert form.fields["zone"].choices[0] == (NOWHERE, f"{NOWHERE} (unknown to this server)")  # type: ignore[attr-defined]
