"""The back office by plain requests: isolation, refusals and downloads."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client

from bookings.models import Booking, TableBlock
from bookings.services import change
from bookings.services.change import Change
from restaurants.models import Table
from restaurants.services.restaurants import create_sector, create_table
from tests.api import events_of
from tests.wokibrain.office.pages import DAY, filled_form, make_restaurants, person
from wokibrain.access.credentials import digest_of
from wokibrain.access.keys import create_key
from wokibrain.access.models import ApiKey
from wokibrain.core.callers import SYSTEM, CallerKind
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role
from wokibrain.events.models import AuditEntry


@pytest.fixture
def two_restaurants(db: None) -> None:
    make_restaurants()


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"/admin/floor/{path}", json.dumps(body), content_type="application/json")


def booking_form(**changes: str) -> dict[str, str]:
    return {
        "restaurant": "R1", "date": DAY, "time": "20:30", "party_size": "2", "duration_minutes": "60",
        "guest_name": "Ana García", "guest_phone": "", "guest_email": "", "notes": "", "_save": "1",
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "restaurants/restaurant/R2", "restaurants/sector/S2", "restaurants/table/Z1",
    ],
)  # fmt: skip
def test_users_cannot_open_rows_of_other_restaurants(two_restaurants: None, path: str) -> None:
    assert person(Role.ADMIN).get(f"/admin/{path}/change/").status_code == 404


def test_lists_and_pickers_contain_only_the_users_rows(two_restaurants: None) -> None:
    client = person(Role.ADMIN)
    for name, own in (("restaurants/table", 5), ("restaurants/sector", 1), ("bookings/booking", 1)):
        listed = client.get(f"/admin/{name}/").context["cl"].queryset
        assert listed.count() == own
    form = client.get("/admin/bookings/booking/add/").context["adminform"].form
    assert list(form.fields["restaurant"].queryset.values_list("pk", flat=True)) == ["R1"]
    assert "Z1" not in form.fields["tables"].queryset.values_list("pk", flat=True)


def test_a_role_sees_only_permitted_actions(two_restaurants: None) -> None:
    client = person(Role.STAFF)
    assert client.get("/admin/restaurants/restaurant/R1/change/").context["has_change_permission"] is False
    assert client.get("/admin/access/apikey/").status_code == 403
    assert client.get("/admin/auth/user/").status_code == 403
    assert client.get("/admin/waffle/flag/").status_code == 403


def test_a_booking_added_in_the_admin_goes_through_the_services(two_restaurants: None) -> None:
    client = person(Role.MANAGER)
    assert client.post("/admin/bookings/booking/add/", booking_form()).status_code == 302
    booking = Booking.objects.get(channel="staff")
    assert (booking.table_ids, booking.party_size, booking.guest and booking.guest.name) == (
        ["T1"],
        2,
        "Ana García",
    )
    events = events_of(str(booking.pk))
    assert [(event.event_type, event.metadata["source"]) for event in events] == [("BookingCreated", "admin")]
    assert events[0].metadata["actor"].startswith("user:")


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"party_size": "0"}, "party_size", "Ensure this value is greater than or equal to 1."),
        ({"date": "1900-01-01"}, "date", "Expected a date from 2000-01-01 to 2099-12-31."),
        ({"guest_phone": "call me"}, "guest_phone", "Expected a phone number of 5 to 20 digits."),
        ({"time": "20:31"}, "time", "Times must be on a quarter hour."),
        (
            {"duration_minutes": "600"},
            "duration_minutes",
            "This restaurant takes bookings of 30 to 180 minutes.",
        ),
        ({"tables": "Z1"}, "tables", "Select a valid choice. Z1 is not one of the available choices."),
    ],
)
def test_invalid_input_is_explained_at_its_field(
    two_restaurants: None, changes: dict[str, str], field: str, message: str
) -> None:
    response = person(Role.MANAGER).post("/admin/bookings/booking/add/", booking_form(**changes))
    form = response.context["adminform"].form
    assert form.errors == {field: [message]}
    assert form["guest_name"].value() == "Ana García"
    assert Booking.objects.count() == 1


def test_a_taken_table_is_explained_above_the_form(two_restaurants: None) -> None:
    response = person(Role.MANAGER).post(
        "/admin/bookings/booking/add/", booking_form(party_size="3", tables="T2")
    )
    (message,) = response.context["adminform"].form.non_field_errors()
    assert message.startswith("The requested tables are not free at that time.")


def test_a_change_in_the_admin_saves_the_edited_fields(two_restaurants: None) -> None:
    client = person(Role.MANAGER)
    booking = Booking.objects.get(reference="B1")
    path = f"/admin/bookings/booking/{booking.pk}/change/"
    body = filled_form(client.get(path), party_size="4", notes="by the window")
    response = client.post(path, body | {"_save": "1"})
    assert response.status_code == 302, response.context["adminform"].form.errors
    booking.refresh_from_db()
    assert (booking.party_size, booking.notes, booking.version) == (4, "by the window", 2)


def test_the_board_names_who_made_a_change(two_restaurants: None) -> None:
    client = person(Role.MANAGER)
    key, _token = create_key(caller=SYSTEM, name="Till", role=Role.API_CLIENT, restaurant_id="R1")
    booking = str(Booking.objects.get(reference="B1").pk)
    for kind, id_ in ((CallerKind.API_KEY, str(key.pk)), (CallerKind.ANONYMOUS, "192.0.2.7")):
        caller = replace(SYSTEM, kind=kind, id=id_)
        change.update_booking(booking, caller=caller, change=Change(notes=id_))
    with frozen(datetime(2025, 10, 22, 23, 30, tzinfo=UTC)):
        assert post(client, f"bookings/{booking}/seat", {}).status_code == 200
    story = client.get(f"/admin/floor/bookings/{booking}").json()["story"]
    assert [entry["by"] for entry in story] == ["WokiBrain", "API key Till", "without sign-in", "Ana"]


def test_a_block_over_a_booking_is_refused(two_restaurants: None) -> None:
    body = {
        "table": "T2", "start_0": DAY, "start_1": "20:00", "end_0": DAY, "end_1": "22:00", "reason": "",
    }  # fmt: skip
    client = person(Role.ADMIN)
    response = client.post("/admin/bookings/tableblock/add/", body)
    assert response.context["adminform"].form.non_field_errors() == ["The table is booked at that time: B1."]
    assert client.post("/admin/bookings/tableblock/add/", body | {"table": "T3"}).status_code == 302
    block = TableBlock.objects.get()
    assert block.start.isoformat() == "2025-10-22T23:00:00+00:00"
    client.post(f"/admin/bookings/tableblock/{block.pk}/delete/", {"post": "yes"})
    assert [event.event_type for event in events_of("T3")] == ["TableBlocked", "TableUnblocked"]


def test_an_api_key_is_shown_once_and_stored_as_its_digest(two_restaurants: None) -> None:
    client = person(Role.ADMIN)
    body = {
        "name": "Till",
        "restaurant": "R1",
        "role": Role.API_CLIENT,
        "expires_at_0": "",
        "expires_at_1": "",
    }
    response = client.post("/admin/access/apikey/add/", body)
    assert response.status_code == 302
    text = " ".join(str(message) for message in get_messages(response.wsgi_request))
    token = text.split("data-token>")[1].split("<")[0]
    key = ApiKey.objects.get(name="Till")
    assert bytes(key.digest) == digest_of(token)
    pages = [client.get("/admin/access/apikey/").content.decode() for _ in range(2)]
    assert [token in page for page in pages] == [True, False]


def test_the_board_refuses_without_a_csrf_token(two_restaurants: None) -> None:
    client = person(Role.MANAGER, csrf=True)
    assert post(client, "walk-in", {"restaurantId": "R1", "partySize": 2}).status_code == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bookings", {"restaurantId": "R2", "partySize": 2, "date": DAY}),
        ("walk-in", {"restaurantId": "R2", "partySize": 2}),
        ("block", {"tableId": "Z1", "start": "2025-10-22T20:00:00Z", "end": "2025-10-22T21:00:00Z"}),
        ("tables", {"restaurantId": "R1", "tables": [{"id": "Z1", "x": 1, "y": 1}]}),
    ],
)
def test_the_board_gives_no_access_to_another_restaurant(
    two_restaurants: None, path: str, body: dict[str, Any]
) -> None:
    response = post(person(Role.ADMIN), path, body)
    assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")


def test_moving_tables_on_the_floor_plan_is_audited(two_restaurants: None) -> None:
    create_sector(caller=SYSTEM, id="S3", restaurant_id="R1", name="Patio")
    create_table(caller=SYSTEM, id="P1", sector_id="S3", capacity_min=1, capacity_max=4)
    client, before = person(Role.ADMIN), Table.objects.get(pk="T1")
    spots = [{"id": table_id, "x": 100, "y": 205} for table_id in ("T1", "P1")]
    assert post(client, "tables", {"restaurantId": "R1", "tables": spots}).status_code == 200
    assert list(Table.objects.filter(x=100, y=205).order_by("pk").values_list("pk", flat=True)) == [
        "P1",
        "T1",
    ]
    entries = {entry.target_id: entry for entry in AuditEntry.objects.filter(action="TableUpdated")}
    assert sorted(entries) == ["P1", "T1"]
    assert (entries["T1"].before, entries["T1"].after) == (
        {"x": before.x, "y": before.y},
        {"x": 100, "y": 205},
    )
    assert entries["T1"].actor == f"user:{User.objects.get().pk}"
    wrong = post(client, "tables", {"restaurantId": "R1", "tables": [*spots, {"id": "Z1", "x": 1, "y": 1}]})
    assert (wrong.status_code, AuditEntry.objects.filter(action="TableUpdated").count()) == (404, 2)


def test_the_board_requires_a_signed_in_user(two_restaurants: None) -> None:
    assert Client().get("/admin/floor/data?restaurant=R1").status_code == 401
    response = Client().get("/admin/floor/?restaurant=R1")
    assert (response.status_code, response["Location"]) == (
        302,
        "/admin/login/?next=/admin/floor/%3Frestaurant%3DR1",
    )


def test_a_day_sheet_is_in_the_restaurants_time_zone(two_restaurants: None) -> None:
    client = person(Role.STAFF)
    sheet = f"/admin/floor/sheet?restaurant=R1&date={DAY}"
    by_time, by_table = (
        re.sub(r">\s+<", "><", client.get(path).content.decode()) for path in (sheet, f"{sheet}&by=table")
    )
    assert '<td class="time">20:30</td><td class="party">3</td>' in by_time
    assert '<td class="time">20:30–21:15</td><td class="party">3</td>' in by_table


def test_exports_contain_no_spreadsheet_formulas(two_restaurants: None) -> None:
    client = person(Role.MANAGER)
    booking = {"restaurantId": "R1", "partySize": 4, "date": DAY, "durationMinutes": 60}
    name = {"guestName": '=HYPERLINK("http://evil.example")', "guestPhone": "+54 11 4000 0000"}
    assert post(client, "bookings", booking | name).status_code == 200
    text = client.get(f"/admin/floor/export.csv?restaurant=R1&date={DAY}").content.decode()
    assert '"\'=HYPERLINK(""http://evil.example"")",+54 11 4000 0000' in text
    calendar = client.get(f"/admin/floor/export.ics?restaurant=R1&date={DAY}").content.decode()
    assert "DTSTART;TZID=America/Argentina/Buenos_Aires:20251022T203000\r\n" in calendar
    assert max(len(line.encode()) for line in calendar.split("\r\n")) <= 75
