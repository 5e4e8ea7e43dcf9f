"""The board's requests: flags after changes of the set-up, and repeated requests."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bookings.models import Booking
from bookings.statuses import Status
from restaurants.services.plan_guard import StrandsBookings
from restaurants.services.restaurants import update_table
from tests.wokibrain.office.pages import DAY, make_restaurants, person
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role

# B1 is on T2 on 2025-10-22 20:30-21:15 for 3.
DUE = datetime(2025, 10, 22, 23, 30, tzinfo=UTC)
"""When the example's party is due."""
BEFORE = datetime(2025, 10, 20, 12, tzinfo=UTC)


class Undone(Exception):
    """Rolls back a test's transaction."""


@pytest.fixture
def client(db: None) -> Iterator[Client]:
    make_restaurants()
    with clock.frozen(BEFORE):
        yield person(Role.MANAGER)


def retire(table_id: str) -> None:
    gone = {"active": False}
    with pytest.raises(StrandsBookings) as asked:
        update_table(caller=SYSTEM, table_id=table_id, settings=gone)
    update_table(
        caller=SYSTEM, table_id=table_id, settings=gone, acknowledge=asked.value.extra["acknowledge"]
    )


def day(client: Client) -> dict[str, Any]:
    data: dict[str, Any] = client.get("/admin/floor/data", {"restaurant": "R1", "date": DAY}).json()
    return data


def retired(shown: dict[str, Any]) -> dict[str, bool]:
    return {table["id"]: table["retired"] for table in shown["sectors"][0]["tables"]}


def test_a_booking_that_lost_its_table_is_flagged_until_it_is_moved(client: Client) -> None:
    pk = Booking.objects.get(reference="B1").pk
    assert [each["attention"] for each in day(client)["bookings"]] == [[]]
    retire("T2")
    shown = day(client)
    assert [each["attention"] for each in shown["bookings"]] == [["tables"]]
    # The table has a row, from which the booking can be dragged.
    assert retired(shown) == {"T1": False, "T2": True, "T3": False, "T4": False, "T5": False}
    assert client.get(f"/admin/floor/bookings/{pk}").json()["attention"] == ["tables"]
    data = client.get("/admin/floor/search", {"restaurant": "R1", "date": DAY, "q": "B1"}).json()
    assert [booking["attention"] for booking in data["bookings"]] == [["tables"]]
    moved = client.post(
        f"/admin/floor/bookings/{pk}/change", json.dumps({"tableIds": ["T3"]}), "application/json"
    )
    assert (moved.status_code, moved.json()["attention"]) == (200, [])
    assert retired(day(client)) == {"T1": False, "T3": False, "T4": False, "T5": False}


def test_a_booking_that_is_over_needs_no_attention(client: Client) -> None:
    def listed() -> list[str]:
        page = client.get("/admin/bookings/booking/", {"attention": "tables"})
        return [each.reference for each in page.context["cl"].queryset]

    retire("T2")
    assert listed() == ["B1"]
    pk = Booking.objects.get(reference="B1").pk
    assert client.post(f"/admin/floor/bookings/{pk}/cancel").json()["attention"] == []
    data = day(client)
    assert [booking["attention"] for booking in data["bookings"]] == [[]]
    assert "T2" not in retired(data)
    assert listed() == []


def test_an_inactive_table_joins_none(client: Client) -> None:
    retire("T2")
    tables = {table["id"]: table["combinable"] for table in day(client)["sectors"][0]["tables"]}
    assert (tables["T2"], tables["T3"]) == (False, True)


NEW = {
    "restaurantId": "R1",
    "date": DAY,
    "durationMinutes": 60,
    "start": "2025-10-22T20:00:00-03:00",
    "partySize": 2,
    "guestName": "Ana",
}


def send(client: Client, path: str, body: dict[str, Any], key: str) -> Any:
    return client.post(
        f"/admin/floor/{path}", json.dumps(body), "application/json", headers={"Idempotency-Key": key}
    )


def test_a_repeated_booking_is_booked_once_and_shown_in_its_present_state(client: Client) -> None:
    data = send(client, "bookings", NEW, "k1").json()
    changed = {"guestName": "Ana María"}
    client.post(f"/admin/floor/bookings/{data['id']}/change", json.dumps(changed), "application/json")
    again = send(client, "bookings", NEW, "k1").json()
    assert (data.get("again"), again["again"]) == (None, "same")
    assert (again["id"], again["name"], again["version"]) == (data["id"], "Ana María", 2)
    assert Booking.objects.filter(channel="staff").count() == 1


def test_an_edited_and_repeated_booking_returns_the_one_that_was_created(client: Client) -> None:
    data = send(client, "bookings", NEW, "k1").json()
    again = send(client, "bookings", NEW | {"partySize": 4}, "k1").json()
    assert (again["id"], again["party"], again["again"]) == (data["id"], 2, "other")
    # A refusal does not use up the key: the same form may be corrected and sent again.
    response = send(client, "bookings", NEW | {"partySize": 20}, "k2")
    assert response.status_code == 409
    assert send(client, "bookings", NEW, "k2").json()["tables"] != data["tables"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("bookings", NEW | {"partySize": 20}, 409), ("walk-in", {"restaurantId": "R1", "partySize": 2}, 422)],
)
def test_a_refusal_is_marked_at_its_key_once(
    client: Client, path: str, body: dict[str, Any], status: int
) -> None:
    with CaptureQueriesContext(connection) as statements:
        response = send(client, path, body, "k1")
    assert response.status_code == status
    marks = [
        statement["sql"]
        for statement in statements
        if "SET refused_at = excluded.refused_at" in statement["sql"]
    ]
    assert len(marks) == 1


def test_each_user_has_separate_keys(client: Client) -> None:
    other = person(Role.STAFF)
    made = [send(each, "bookings", NEW, "k1").json()["id"] for each in (client, other)]
    assert made[0] != made[1]
    stranger = person(Role.MANAGER, "R2")
    assert send(stranger, "bookings", NEW, "k1").status_code == 404


def test_a_repeated_walk_in_is_seated_once(client: Client) -> None:
    body = {"restaurantId": "R1", "partySize": 2, "durationMinutes": 60}
    with clock.frozen(datetime(2025, 10, 22, 23, 7, tzinfo=UTC)):
        made, again, other = (
            send(client, "walk-in", body | more, "k1").json() for more in ({}, {}, {"partySize": 3})
        )
    assert Booking.objects.filter(channel="walk_in").count() == 1
    assert [each["id"] for each in (again, other)] == [made["id"]] * 2
    assert (again["again"], other["again"], other["party"]) == ("same", "other", 2)


def test_a_repeated_action_takes_effect_once(client: Client) -> None:
    pk = Booking.objects.get(reference="B1").pk
    with clock.frozen(DUE):
        first, again = (send(client, f"bookings/{pk}/seat", {}, f"seat:{pk}:1") for _ in range(2))
    assert (first.json()["version"], again.json()["version"], again.json()["again"]) == (2, 2, "same")
    assert send(client, f"bookings/{pk}/seat", {}, f"seat:{pk}:2").status_code == 409


def test_a_malformed_key_is_refused(client: Client) -> None:
    response = send(client, "bookings", NEW, "é")
    assert (response.status_code, response.json()["issues"][0]["path"]) == (400, "Idempotency-Key")
    assert Booking.objects.filter(channel="staff").count() == 0


def page_data(client: Client) -> Any:
    page = client.get("/admin/floor/", {"restaurant": "R1", "date": DAY}).content.decode()
    match = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', page)
    assert match, "the page carries its data"
    return json.loads(match[1])


def test_the_page_gives_its_scripts_the_actions_of_each_status(client: Client) -> None:
    data = page_data(client)
    assert {name: (facts["open"], facts["occupies"]) for name, facts in data["statuses"].items()} == {
        "CONFIRMED": (True, True),
        "SEATED": (True, True),
        "COMPLETED": (False, True),
        "CANCELLED": (False, False),
        "NO_SHOW": (False, False),
    }
    assert {name: (action["from"], action["to"]) for name, action in data["actions"].items()} == {
        "seat": (["CONFIRMED", "NO_SHOW"], "SEATED"),
        "complete": (["SEATED"], "COMPLETED"),
        "no-show": (["CONFIRMED"], "NO_SHOW"),
        "cancel": (["CONFIRMED"], "CANCELLED"),
    }


@pytest.mark.parametrize("name", ["seat", "complete", "no-show", "cancel"])
def test_an_action_succeeds_exactly_in_the_statuses_that_the_page_lists(client: Client, name: str) -> None:
    action = page_data(client)["actions"][name]
    pk = Booking.objects.get(reference="B1").pk
    possible = {}
    for status in Status.values:
        Booking.objects.filter(pk=pk).update(status=status)
        with clock.frozen(DUE), contextlib.suppress(Undone), transaction.atomic():
            possible[status] = client.post(f"/admin/floor/bookings/{pk}/{name}").status_code == 200
            raise Undone
    assert [status for status, is_possible in possible.items() if is_possible] == action["from"]


@pytest.mark.parametrize(
    ("language", "sentence", "status"),
    [("en", "Best free table", "Confirmed"), ("es", "La mejor mesa libre", "Confirmada")],
)
def test_the_scripts_use_the_language_of_the_page(
    client: Client, language: str, sentence: str, status: str
) -> None:
    client.cookies["django_language"] = language
    catalogue = client.get("/admin/floor/catalogue.js")
    assert catalogue.headers["Content-Type"].startswith("text/javascript")
    assert f'"Best free table": "{sentence}"' in catalogue.content.decode()
    data = page_data(client)
    assert (data["language"], data["statuses"]["CONFIRMED"]["label"]) == (language, status)
