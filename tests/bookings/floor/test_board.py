"""The board's requests: flags after changes of the set-up, and repeated requests."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bookings.models import Booking
from bookings.statuses import Status
from restaurants.services.plan_guard import StrandsBookings
from restaurants.services.restaurants import create_restaurant, update_table
from tests.wokibrain.office.pages import DAY, make_restaurants, owner, person
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


NEXT = NEW | {"start": "2025-10-22T21:30:00-03:00", "tableIds": ["T2"], "guestName": "Next"}
"""The booking after B1 at its table."""


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


def at(time: str, day: str = DAY) -> int:
    """Return an instant of the restaurant's day in milliseconds."""
    return int(datetime.fromisoformat(f"{day}T{time}-03:00").timestamp() * 1000)


def test_the_board_says_who_sits_where_and_when(client: Client) -> None:
    """The party of B1 came early and stays over its time: its bar and the next booking's flag follow."""
    following = send(client, "bookings", NEXT, "k1").json()
    pk = Booking.objects.get(reference="B1").pk
    with clock.frozen(DUE - timedelta(minutes=10)):
        send(client, f"bookings/{pk}/seat", {}, "k2")
    with clock.frozen(DUE + timedelta(minutes=50)):
        shown = day(client)
    facts = ("id", "start", "end", "wall", "seatedAt", "left", "status", "attention")
    assert [{name: each[name] for name in facts} for each in shown["bookings"]] == [
        {
            "id": str(pk),
            "start": at("20:30"),
            "end": at("21:15"),
            "wall": ["2025-10-22T20:30", "2025-10-22T21:15"],
            "seatedAt": at("20:20"),
            "left": None,
            "status": "SEATED",
            "attention": [],
        },
        {
            "id": following["id"],
            "start": at("21:30"),
            "end": at("22:30"),
            "wall": ["2025-10-22T21:30", "2025-10-22T22:30"],
            "seatedAt": None,
            "left": None,
            "status": "CONFIRMED",
            "attention": ["occupied"],
        },
    ]
    assert (shown["occupiedMarginMinutes"], shown["heldTables"]) == (15, [])
    assert (shown["offsets"], shown["today"]) == ([[at("11:15", "2025-10-21"), -10800]], DAY)
    with clock.frozen(DUE + timedelta(minutes=55)):
        send(client, f"bookings/{pk}/complete", {}, "k3")
        shown = day(client)
    assert [(each["left"], each["attention"]) for each in shown["bookings"]] == [
        (at("21:25"), []),
        (None, []),
    ]


def test_the_timeline_spans_a_stay_beyond_the_hours(client: Client) -> None:
    assert (day(client)["from"], day(client)["to"]) == (at("11:00"), at("00:30", "2025-10-23"))
    pk = Booking.objects.get(reference="B1").pk
    with clock.frozen(datetime(2025, 10, 22, 13, 20, tzinfo=UTC)):
        send(client, f"bookings/{pk}/seat", {}, "k1")
    with clock.frozen(datetime(2025, 10, 23, 2, 55, tzinfo=UTC)):
        shown = day(client)
    assert (shown["from"], shown["to"]) == (at("10:00"), at("00:40", "2025-10-23"))


def test_the_next_day_lists_tables_at_which_a_party_of_the_day_before_still_sits(client: Client) -> None:
    pk = Booking.objects.get(reference="B1").pk
    with clock.frozen(DUE):
        send(client, f"bookings/{pk}/seat", {}, "k1")
    parameters = {"restaurant": "R1", "date": "2025-10-23"}
    with clock.frozen(datetime(2025, 10, 23, 15, tzinfo=UTC)):
        assert client.get("/admin/floor/data", parameters).json()["heldTables"] == ["T2"]
        assert day(client)["heldTables"] == []
        send(client, f"bookings/{pk}/complete", {}, "k2")
        assert client.get("/admin/floor/data", parameters).json()["heldTables"] == []


def test_a_story_and_suggested_times_are_on_the_restaurants_clocks(client: Client) -> None:
    made = send(client, "bookings", NEW, "k1").json()
    assert [entry["wall"] for entry in made["story"]] == ["2025-10-20T09:00"]
    inquiry: dict[str, str | int] = {
        "restaurant": "R1",
        "date": DAY,
        "start": "2025-10-22T23:30:00-03:00",
        "party": 2,
        "minutes": 60,
    }
    nearest = client.get("/admin/floor/suggest", inquiry).json()["nearest"]
    assert nearest[0] == {"start": at("22:45"), "wall": "2025-10-22T22:45"}


def test_a_booking_is_put_back_and_a_refusal_says_why(client: Client) -> None:
    pk = Booking.objects.get(reference="B1").pk
    with clock.frozen(DUE):
        send(client, f"bookings/{pk}/seat", {}, "k1")
        made = send(client, f"bookings/{pk}/reopen", {}, "k2")
        assert (made.status_code, made.json()["status"], made.json()["seatedAt"]) == (200, "CONFIRMED", None)
        refused = send(client, f"bookings/{pk}/reopen", {}, "k3")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "There is nothing to put this booking back to. Possible now: Seat, No-show, Cancel booking.",
    )


def page_data(client: Client) -> Any:
    page = client.get("/admin/floor/", {"restaurant": "R1", "date": DAY}).content.decode()
    match = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', page)
    assert match, "the page carries its data"
    return json.loads(match[1])


def opens_on(client: Client, **query: str) -> str:
    page = client.get("/admin/floor/", query).content.decode()
    match = re.search(r'<option value="([^"]*)" selected', page)
    assert match, "the page has a restaurant"
    return match[1]


def test_the_floor_opens_on_the_restaurant_that_has_something_today(db: None) -> None:
    make_restaurants()
    create_restaurant(caller=SYSTEM, id="R0", name="A quiet one", zone="Asia/Tokyo", hours=[])
    client = owner()
    # 01:30 UTC: in Buenos Aires still the evening of B1, whose restaurant is not the first by name.
    with clock.frozen(datetime(2025, 10, 23, 1, 30, tzinfo=UTC)):
        assert opens_on(client) == "R1"
    with clock.frozen(datetime(2025, 10, 21, 12, tzinfo=UTC)):
        assert opens_on(client) == "R0"
    with clock.frozen(datetime(2025, 10, 22, 12, tzinfo=UTC)):
        assert opens_on(client) == "R1"
        Booking.objects.update(status=Status.CANCELLED)
        assert opens_on(client) == "R0"


def test_the_floor_opens_on_the_restaurant_chosen_last_where_it_may_be_seen(client: Client) -> None:
    both = owner()
    assert [opens_on(both), opens_on(both, restaurant="R2"), opens_on(both)] == ["R1", "R2", "R2"]
    cookie = both.cookies["floor_restaurant"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/admin/floor/", True, "Lax")
    # The next person at the same browser sees another restaurant only.
    client.cookies["floor_restaurant"] = cookie.value
    assert opens_on(client) == "R1"


def test_the_page_gives_its_scripts_the_actions_of_each_status(client: Client) -> None:
    data = page_data(client)
    facts = ("open", "occupies", "reopens")
    assert {
        status: tuple(data["statuses"][status][fact] for fact in facts) for status in data["statuses"]
    } == {
        "CONFIRMED": (True, True, False),
        "SEATED": (True, True, True),
        "COMPLETED": (False, True, True),
        "CANCELLED": (False, False, True),
        "NO_SHOW": (False, False, True),
    }
    step_facts = ("from", "to", "onItsDay", "fromItsStart", "permission")
    assert {name: tuple(data["actions"][name][fact] for fact in step_facts) for name in data["actions"]} == {
        "seat": (["CONFIRMED", "NO_SHOW"], "SEATED", True, False, "update"),
        "complete": (["SEATED"], "COMPLETED", False, False, "update"),
        "no-show": (["CONFIRMED"], "NO_SHOW", False, True, "update"),
        "cancel": (["CONFIRMED"], "CANCELLED", False, False, "cancel"),
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
