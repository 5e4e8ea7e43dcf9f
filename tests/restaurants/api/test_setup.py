"""The set-up endpoints: what they create, their responses, and the secret they need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from bookings.models import Booking
from restaurants.models import Restaurant, Sector, ServiceWindow, Table
from tests.api import Api, Reply, api_as, assert_refused
from wokibrain.events.models import StoredEvent

SECRET = {"X-Admin-Secret": settings.ADMIN_SECRET}
SEEDED = {
    "message": "Seeded.",
    "data": {
        "restaurantId": "R1",
        "sectorId": "S1",
        "tableIds": ["T1", "T2", "T3", "T4", "T5"],
        "bookingId": "B1",
    },
}

pytestmark = pytest.mark.django_db


def make(what: str, **body: Any) -> Reply:
    return Api().call("POST", f"/admin/{what}", body, headers=SECRET)


def test_repeated_seeds_have_the_same_response() -> None:
    def everything() -> list[Any]:
        kinds = (Restaurant, Sector, Table, ServiceWindow, Booking, StoredEvent)
        return [list(kind.objects.order_by("pk").values()) for kind in kinds]

    first = make("seed")
    assert (first.status, first.body) == (200, SEEDED)
    before = everything()
    assert [len(rows) for rows in before] == [1, 1, 5, 14, 1, 1]
    again = make("seed")
    assert (again.status, again.body) == (200, SEEDED)
    assert everything() == before


def test_the_seed_is_the_contracts_example() -> None:
    make("seed")
    restaurant = Restaurant.objects.get()
    assert (restaurant.id, restaurant.name, restaurant.zone) == (
        "R1", "Bistro Central", "America/Argentina/Buenos_Aires",
    )  # fmt: skip
    assert (restaurant.refuse_past, restaurant.lead_minutes, restaurant.horizon_days) == (False, None, None)
    assert Sector.objects.get().name == "Main Hall"
    assert list(Table.objects.order_by("position").values_list("id", "capacity_min", "capacity_max")) == [
        ("T1", 2, 2), ("T2", 2, 4), ("T3", 2, 4), ("T4", 4, 6), ("T5", 2, 2),
    ]  # fmt: skip
    windows = ServiceWindow.objects.filter(weekday=2)
    assert [str(window) for window in windows] == ["12:00-16:00", "20:00-23:45"]


def test_the_seed_restores_missing_rows_and_keeps_changed_ones() -> None:
    make("seed")
    Table.objects.filter(pk="T5").delete()
    Table.objects.filter(pk="T1").update(capacity_max=3)
    Restaurant.objects.update(name="Changed")
    make("seed")
    assert Table.objects.get(pk="T5").capacity_max == 2
    assert Table.objects.get(pk="T1").capacity_max == 3
    assert Restaurant.objects.get().name == "Changed"


def test_a_created_restaurant_can_be_booked_at_once_even_in_the_past() -> None:
    reply = make("restaurants", id="R2", name="Segundo", timezone="Europe/Madrid")
    assert reply.status == 201
    hours = [(window["weekday"], window["start"], window["end"]) for window in reply.body["windows"]]
    assert hours == [
        (weekday, *window) for weekday in range(7) for window in (("12:00", "16:00"), ("20:00", "23:45"))
    ]
    assert {key: reply.body[key] for key in ("id", "name", "timezone")} == {
        "id": "R2", "name": "Segundo", "timezone": "Europe/Madrid",
    }  # fmt: skip
    sector = make("sectors", id="S2", restaurantId="R2", name="Sala")
    assert (sector.status, sector.body) == (
        201,
        {"id": "S2", "restaurantId": "R2", "name": "Sala", "position": 0, "joins": [], "combos": []},
    )
    table = make("tables", id="T9", sectorId="S2", capacityMin=2, capacityMax=4)
    assert (table.status, table.body) == (
        201,
        {
            "id": "T9",
            "sectorId": "S2",
            "name": "T9",
            "capacityMin": 2,
            "capacityMax": 4,
            "minSize": 2,
            "maxSize": 4,
            "capacity": {"min": 2, "max": 4},
            "active": True,
            "combinable": True,
            "position": 0,
            "x": 0,
            "y": 0,
            "width": 80,
            "height": 80,
            "shape": "square",
        },
    )
    reply = Api().book(restaurantId="R2", sectorId="S2")
    assert (reply.status, reply.body["start"]) == (201, "2025-10-22T12:00:00+02:00")


def test_a_restaurant_may_have_its_own_windows() -> None:
    reply = make(
        "restaurants",
        name="Night",
        timezone="UTC",
        windows=[
            {"start": "22:00", "end": "02:00", "lastSeating": "00:30", "weekday": 5},
            {"start": "12:00", "end": "15:00", "weekday": 6},
        ],
    )
    assert reply.body["windows"] == [
        {"weekday": 5, "start": "22:00", "end": "02:00", "lastSeating": "00:30"},
        {"weekday": 6, "start": "12:00", "end": "15:00", "lastSeating": None},
    ]


def test_a_restaurant_without_windows_is_always_closed() -> None:
    reply = make("restaurants", id="R2", name="Closed", timezone="UTC", windows=[])
    make("sectors", id="S2", restaurantId="R2", name="Room")
    assert (reply.status, reply.body["windows"]) == (201, [])
    assert_refused(Api().discover(restaurantId="R2", sectorId="S2"), 422, "OUTSIDE_SERVICE_WINDOW")


def test_missing_ids_are_generated() -> None:
    restaurant = make("restaurants", name="A", timezone="UTC").body["id"]
    sector = make("sectors", restaurantId=restaurant, name="B").body["id"]
    table = make("tables", sectorId=sector, capacityMin=1, capacityMax=2, name="Window").body
    assert [identifier[:2] for identifier in (restaurant, sector, table["id"])] == ["R-", "S-", "T-"]
    assert [len(identifier) for identifier in (restaurant, sector, table["id"])] == [10, 10, 10]
    assert table["name"] == "Window"


def test_capacity_in_either_pair_of_fields() -> None:
    make("seed")
    spellings: list[dict[str, int]] = [
        {"capacityMin": 3, "capacityMax": 5},
        {"minSize": 3, "maxSize": 5},
        {"minSize": 3, "capacityMax": 5},
        {"capacityMin": 3, "minSize": 3, "capacityMax": 5, "maxSize": 5},
    ]
    for spelling in spellings:
        body = make("tables", sectorId="S1", **spelling).body
        assert (body["capacityMin"], body["maxSize"], body["capacity"]) == (3, 5, {"min": 3, "max": 5})


def test_capacities_that_contradict_are_named() -> None:
    make("seed")
    for body, path, detail in (
        ({"capacityMin": 2, "minSize": 3, "capacityMax": 4}, "minSize", "This differs from capacityMin."),
        (
            {"capacityMin": 5, "capacityMax": 4},
            "capacityMax",
            "A table's largest party cannot be smaller than its smallest.",
        ),
        (
            {"minSize": 5, "maxSize": 4},
            "maxSize",
            "A table's largest party cannot be smaller than its smallest.",
        ),
    ):
        assert assert_refused(make("tables", sectorId="S1", **body), 400, "VALIDATION_ERROR", path) == detail


def test_a_taken_id_is_refused_and_its_row_stays() -> None:
    make("seed")
    detail = assert_refused(
        make("restaurants", id="R1", name="Again", timezone="UTC"), 400, "VALIDATION_ERROR", "id"
    )
    assert detail == "This id is already in use."
    assert_refused(make("sectors", id="S1", restaurantId="R1", name="Again"), 400, "VALIDATION_ERROR", "id")
    assert_refused(
        make("tables", id="T1", sectorId="S1", capacityMin=1, capacityMax=9), 400, "VALIDATION_ERROR", "id"
    )
    assert Restaurant.objects.get().name == "Bistro Central"
    assert Table.objects.get(pk="T1").capacity_max == 2


@pytest.mark.django_db(transaction=True)
def test_concurrent_seeds_restore_missing_rows_once() -> None:
    def one(_number: int) -> tuple[int, Any]:
        try:
            reply = make("seed")
            return reply.status, reply.body
        finally:
            connection.close()

    make("seed")
    for _ in range(3):
        Table.objects.filter(pk__in=["T3", "T4"]).delete()
        with ThreadPoolExecutor(12) as pool:
            assert list(pool.map(one, range(12))) == [(200, SEEDED)] * 12
        assert Table.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_of_concurrent_requests_for_one_id_one_succeeds() -> None:
    def one(number: int) -> tuple[int, str]:
        try:
            reply = make("restaurants", id="R2", name=f"Number {number}", timezone="UTC")
            return reply.status, reply.body.get("error", "")
        finally:
            connection.close()

    for _ in range(3):
        with ThreadPoolExecutor(6) as pool:
            answers = sorted(pool.map(one, range(6)))
        assert answers == [(201, ""), *[(400, "VALIDATION_ERROR")] * 5]
        Restaurant.objects.get(pk="R2").delete()


def test_invalid_windows_are_named_and_nothing_is_created() -> None:
    twice = make("restaurants", name="A", timezone="UTC", windows=[{"start": "12:00", "end": "15:00"}] * 2)
    assert assert_refused(twice, 400, "VALIDATION_ERROR", "windows") == "A window opens at this time already."
    odd = make("restaurants", name="A", timezone="UTC", windows=[{"start": "12:05", "end": "15:00"}])
    assert assert_refused(odd, 400, "VALIDATION_ERROR", "windows") == "Times lie on quarter hours."
    assert not Restaurant.objects.exists()


def test_the_secret_in_the_query_is_for_development_only(settings: Any) -> None:
    path = f"/admin/seed?secret={settings.ADMIN_SECRET}"
    assert Api().call("POST", path).body == SEEDED
    assert_refused(Api().call("POST", "/admin/seed?secret=wrong"), 401, "UNAUTHORIZED")
    settings.PRODUCTION = True
    assert_refused(Api().call("POST", path), 401, "UNAUTHORIZED")
    assert Api().call("POST", "/admin/seed", headers=SECRET).status == 200


@pytest.mark.parametrize("query", ["secret=wrong", f"secret={settings.ADMIN_SECRET}&secret=wrong"])
def test_a_right_header_with_a_wrong_query_is_refused(query: str) -> None:
    assert_refused(Api().call("POST", f"/admin/seed?{query}", headers=SECRET), 401, "UNAUTHORIZED")
    right = Api().call("POST", f"/admin/seed?secret={settings.ADMIN_SECRET}", headers=SECRET)
    assert right.status == 200


def test_a_wrong_header_with_a_right_query_is_refused() -> None:
    reply = Api().call(
        "POST", f"/admin/seed?secret={settings.ADMIN_SECRET}", headers={"X-Admin-Secret": "wrong"}
    )
    assert_refused(reply, 401, "UNAUTHORIZED")


def test_info_needs_no_credentials() -> None:
    assert Api().get("/admin/info").body == {
        "name": "WokiBrain", "version": settings.VERSION, "environment": "test", "docs": "/docs",
    }  # fmt: skip


NATURAL = ["1", "2", "10", "Bar 2", "Bar 10", "T2b", "T10a", "b3", "b20"]


def test_tables_without_a_position_are_listed_as_people_count() -> None:
    make("seed")
    Table.objects.all().update(position=1)
    for number, name in enumerate(["10", "Bar 10", "b20", "2", "T10a", "1", "b3", "T2b", "Bar 2"]):
        made = make("tables", id=f"N{number}", sectorId="S1", name=name, capacityMin=1, capacityMax=2)
        assert made.status == 201
    reader = api_as()
    pages = [reader.get(f"/sectors/S1/tables?limit=4&page={page}").body["tables"] for page in (1, 2, 3, 4)]
    assert [[table["name"] for table in rows] for rows in pages][:2] == [NATURAL[:4], NATURAL[4:8]]
    listed = [table["id"] for rows in pages for table in rows]
    assert len(listed) == len(set(listed)) == 14
    assert listed[9:] == ["T1", "T2", "T3", "T4", "T5"]


def test_nameless_tables_are_listed_by_their_ids_and_equal_names_by_theirs() -> None:
    make("seed")
    sector = Sector.objects.create(id="S2", restaurant_id="R1", name="Bar")
    for table_id, name in (
        ("X10", ""),
        ("X9", ""),
        ("A2", "7"),
        ("A1", "007"),
        ("A3", "1" * 30),
        ("A4", "9" * 18),
    ):
        Table.objects.create(id=table_id, sector=sector, name=name, capacity_min=1, capacity_max=2)
    assert list(Table.objects.filter(sector=sector).values_list("id", flat=True)) == [
        "A1",
        "A2",
        "A3",
        "A4",
        "X9",
        "X10",
    ]
