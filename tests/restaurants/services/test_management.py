"""Restaurants, sectors, tables and blocks over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bookings.models import Booking
from bookings.services.plan_changes import PlanWatch
from restaurants.models import Restaurant, Table
from restaurants.services.plan_guard import StrandsBookings
from restaurants.services.restaurants import update_tables
from tests.api import events_of
from tests.wokibrain.access.conftest import client_of
from tests.wokibrain.access.conftest import example as example
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role

pytestmark = pytest.mark.usefixtures("example")
# B1 is on T2 on 2025-10-22 20:30-21:15 for 3.
BEFORE = datetime(2025, 10, 20, 12, tzinfo=UTC)
API = "/api/v1"


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


@pytest.fixture
def owner() -> APIClient:
    return client_of(Role.SUPER_ADMIN)


def patch(client: APIClient, path: str, body: dict[str, Any], expected: int) -> dict[str, Any]:
    response = client.patch(f"{API}/{path}", body, format="json")
    assert response.status_code == expected, response.content
    answer: dict[str, Any] = response.json()
    return answer


def test_a_restaurant_from_creation_to_deletion(owner: APIClient) -> None:
    body = {
        "id": "R3",
        "name": "Tercera",
        "timezone": "Europe/Madrid",
        "minPartySize": 2,
        "maxPartySize": 12,
        "minDurationMinutes": 60,
        "maxDurationMinutes": 240,
        "refusePast": False,
        "leadMinutes": 30,
        "horizonDays": 90,
        "occupiedMarginMinutes": 30,
        "windows": [{"start": "20:00", "end": "01:00", "lastSeating": "23:00", "weekday": 5}],
        "specialDays": [
            {"date": "2026-12-24", "name": "Nochebuena", "windows": [{"start": "12:00", "end": "16:00"}]},
            {"date": "2026-12-25"},
        ],
        "turnTimes": [{"partyUpTo": 2, "minutes": 75}, {"partyUpTo": 6, "minutes": 120}],
    }
    response = owner.post(f"{API}/restaurants", body, format="json")
    assert response.status_code == 201, response.content
    data = owner.get(f"{API}/restaurants/R3").json()
    assert data == response.json() | {"updatedAt": data["updatedAt"]}
    row = Restaurant.objects.get(pk="R3")
    for name, at in (("createdAt", row.created_at), ("updatedAt", row.updated_at)):
        local_time = at.astimezone(ZoneInfo("Europe/Madrid")).isoformat(timespec="milliseconds")
        assert data.pop(name) == local_time
    assert data == body | {
        "timezoneKnown": True,
        "windows": [{"weekday": 5, "start": "20:00", "end": "01:00", "lastSeating": "23:00"}],
        "specialDays": [
            {
                "date": "2026-12-24",
                "name": "Nochebuena",
                "windows": [{"start": "12:00", "end": "16:00", "lastSeating": None}],
            },
            {"date": "2026-12-25", "name": "", "windows": []},
        ],
    }
    after = patch(owner, "restaurants/R3", {"leadMinutes": None, "name": "La Tercera"}, 200)
    assert (after["leadMinutes"], after["horizonDays"], after["name"]) == (None, 90, "La Tercera")
    assert owner.delete(f"{API}/restaurants/R3").status_code == 204
    assert owner.get(f"{API}/restaurants/R3").status_code == 404


def test_lists_come_in_pages(owner: APIClient, admin: APIClient) -> None:
    first = owner.get(f"{API}/restaurants?limit=1").json()
    assert [restaurant["id"] for restaurant in first["restaurants"]] == ["R1"]
    assert first["pagination"] == {"page": 1, "limit": 1, "total": 2, "totalPages": 2}
    second = owner.get(f"{API}/restaurants?limit=1&page=2").json()
    assert [restaurant["id"] for restaurant in second["restaurants"]] == ["R2"]
    assert [restaurant["id"] for restaurant in admin.get(f"{API}/restaurants").json()["restaurants"]] == [
        "R1"
    ]
    tables = admin.get(f"{API}/sectors/S1/tables?limit=2&page=2").json()
    assert [table["id"] for table in tables["tables"]] == ["T3", "T4"]
    assert tables["pagination"] == {"page": 2, "limit": 2, "total": 5, "totalPages": 3}
    assert [sector["id"] for sector in admin.get(f"{API}/restaurants/R1/sectors").json()["sectors"]] == ["S1"]


@pytest.mark.parametrize(
    "capacity", [{"capacityMin": 2, "capacityMax": 6}, {"minSize": 2, "maxSize": 6}], ids=["capacity", "size"]
)
def test_a_table_accepts_and_returns_both_pairs_of_fields(admin: APIClient, capacity: dict[str, int]) -> None:
    response = admin.post(f"{API}/tables", {"id": "T6", "sectorId": "S1", **capacity}, format="json")
    assert response.status_code == 201, response.content
    table = admin.get(f"{API}/tables/T6").json()
    assert table["capacity"] == {"min": 2, "max": 6}
    assert [table[name] for name in ("capacityMin", "capacityMax", "minSize", "maxSize")] == [2, 6, 2, 6]
    assert patch(admin, "tables/T6", {"maxSize": 8}, 200)["capacityMax"] == 8
    data = patch(admin, "tables/T6", {"maxSize": 8, "capacityMax": 7}, 400)
    assert data["issues"] == [{"path": "maxSize", "message": "This differs from capacityMax."}]


def test_a_table_cannot_change_its_sector(admin: APIClient) -> None:
    data = patch(admin, "tables/T1", {"sectorId": "S9"}, 400)
    assert data["issues"] == [{"path": "sectorId", "message": "Unknown field."}]


def test_a_taken_id_is_refused_without_revealing_its_owner(admin: APIClient, owner: APIClient) -> None:
    body = {"id": "T9", "sectorId": "S1", "capacityMin": 1, "capacityMax": 2}
    response = admin.post(f"{API}/tables", body, format="json")
    assert response.status_code == 400
    assert response.json()["issues"] == [{"path": "id", "message": "This id is already in use."}]
    assert "R2" not in response.content.decode()
    assert Table.objects.get(pk="T9").sector_id == "S9"
    for path, more in (("restaurants", {"timezone": "Europe/Madrid"}), ("restaurants/R1/sectors", {})):
        taken_id = {"restaurants": "R1"}.get(path, "S9")
        again = owner.post(f"{API}/{path}", {"id": taken_id, "name": "x", **more}, format="json")
        assert (again.status_code, again.json()["issues"][0]["path"]) == (400, "id")


def test_rows_with_history_are_not_deleted(owner: APIClient) -> None:
    for path in ("restaurants/R1", "sectors/S1", "tables/T2"):
        response = owner.delete(f"{API}/{path}")
        assert (response.status_code, response.json()["error"]) == (409, "CONFLICT"), path
    for path in ("tables/T1", "sectors/S9", "restaurants/R2"):
        assert owner.delete(f"{API}/{path}").status_code == 204, path
        assert owner.delete(f"{API}/{path}").status_code == 404, path
    assert Restaurant.objects.count() == 1


STRANDING = [
    ("restaurants/R1", {"windows": [{"start": "12:00", "end": "16:00"}]}, "hours"),
    ("restaurants/R1", {"specialDays": [{"date": "2025-10-22"}]}, "hours"),
    ("restaurants/R1", {"windows": [{"start": "20:00", "end": "23:45", "lastSeating": "20:15"}]}, "hours"),
    ("restaurants/R1", {"windows": [{"start": "20:00", "end": "21:00"}]}, "hours"),
    (
        "restaurants/R1",
        {"windows": [{"start": "20:00", "end": "21:00"}, {"start": "21:00", "end": "23:45"}]},
        "hours",
    ),
    ("restaurants/R1", {"timezone": "America/Bogota"}, "zone"),
    ("tables/T2", {"active": False}, "tables"),
    ("tables/T2", {"capacityMax": 2}, "tables"),
    ("tables/T2", {"capacityMin": 4, "capacityMax": 6}, "tables"),
]


@pytest.mark.parametrize(("path", "body", "cause"), STRANDING)
def test_a_change_that_strands_a_booking_must_be_acknowledged(
    admin: APIClient, path: str, body: dict[str, Any], cause: str
) -> None:
    with clock.frozen(BEFORE):
        before = admin.get(f"{API}/{path}").json()
        data = patch(admin, path, body, 409)
        assert data["error"] == "CONFLICT"
        assert [issue["path"] for issue in data["issues"]] == ["bookings.B1"]
        now = admin.get(f"{API}/{path}").json()
        assert now == before | {"updatedAt": now.get("updatedAt")} if "updatedAt" in now else now == before
        patch(admin, f"{path}?acknowledge=wrong", body, 409)
        assert Booking.objects.get(reference="B1").attention == []
        patch(admin, f"{path}?acknowledge={data['acknowledge']}", body, 200)
    booking = Booking.objects.get(reference="B1")
    assert (booking.attention, booking.status, booking.table_ids) == ([cause], "CONFIRMED", ["T2"])


@pytest.mark.parametrize(("path", "body", "cause"), STRANDING)
def test_a_past_booking_does_not_prevent_a_change(
    admin: APIClient, path: str, body: dict[str, Any], cause: str
) -> None:
    with clock.frozen(BEFORE + timedelta(days=7)):
        patch(admin, path, body, 200)
    assert Booking.objects.get(reference="B1").attention == []


def test_a_change_that_strands_no_booking_succeeds(admin: APIClient) -> None:
    with clock.frozen(BEFORE):
        patch(admin, "restaurants/R1", {"windows": [{"start": "19:00", "end": "23:00"}]}, 200)
        patch(admin, "restaurants/R1", {"maxPartySize": 2, "minDurationMinutes": 90, "horizonDays": 1}, 200)
        patch(admin, "tables/T3", {"active": False}, 200)


HARMLESS = [
    ("restaurants/R1", {"name": "Casa Bonita", "maxPartySize": 2, "horizonDays": 1}),
    ("restaurants/R1", {"turnTimes": [{"partyUpTo": 50, "minutes": 15}]}),
    ("sectors/S1", {"name": "Comedor", "position": 7}),
    ("tables/T2", {"name": "By the door", "x": 120, "y": 340, "shape": "round"}),
]


@pytest.mark.parametrize(("path", "body"), HARMLESS)
def test_a_change_that_cannot_strand_a_booking_reads_no_bookings(
    admin: APIClient, path: str, body: dict[str, Any]
) -> None:
    with clock.frozen(BEFORE), CaptureQueriesContext(connection) as queries:
        patch(admin, path, body, 200)
    statements = [
        query["sql"] for query in queries if "bookings_" in query["sql"] or "advisory" in query["sql"]
    ]
    assert statements == []


def test_a_change_of_several_tables_is_checked_if_one_may_strand(admin: APIClient) -> None:
    with clock.frozen(BEFORE):
        changes = {"T1": {"x": 120}, "T3": {"y": 340}}
        with CaptureQueriesContext(connection) as queries:
            update_tables(caller=SYSTEM, sector_id="S1", changes=changes)
        assert not [query for query in queries if "bookings_" in query["sql"]]
        with pytest.raises(StrandsBookings):
            update_tables(caller=SYSTEM, sector_id="S1", changes=changes | {"T2": {"capacity_max": 2}})


def test_moving_a_flagged_booking_clears_its_flag(admin: APIClient) -> None:
    with clock.frozen(BEFORE):
        token = patch(admin, "tables/T2", {"active": False}, 409)["acknowledge"]
        patch(admin, f"tables/T2?acknowledge={token}", {"active": False}, 200)
        patch(admin, "woki/bookings/B1", {"tableIds": ["T3"]}, 200)
    booking = Booking.objects.get(reference="B1")
    assert (booking.attention, booking.table_ids) == ([], ["T3"])
    assert events_of(str(booking.id))[-1].payload["changes"] == {
        "tableIds": {"from": ["T2"], "to": ["T3"]},
        "attention": {"from": ["tables"], "to": []},
    }


def test_each_booking_that_is_flagged_costs_one_statement(admin: APIClient) -> None:
    """No booking can be created while they are flagged."""
    for day in (23, 24, 25):
        with clock.frozen(BEFORE):
            body = {"restaurantId": "R1", "date": f"2025-10-{day}", "partySize": 3, "durationMinutes": 60}
            response = admin.post(f"{API}/woki/bookings", body | {"tableIds": ["T2"]}, format="json")
        assert response.status_code == 201, response.content
    with clock.frozen(BEFORE), transaction.atomic():
        watch = PlanWatch("R1")
        Table.objects.filter(pk="T2").update(active=False)
        Restaurant.objects.filter(pk="R1").update(plan_version=F("plan_version") + 1)
        stranded = watch.stranded()
        costs = []
        for bookings in (stranded[:1], stranded):
            with CaptureQueriesContext(connection) as queries:
                watch.flag(bookings, SYSTEM)
            costs.append(len(queries))
    assert (len(stranded), costs[1] - costs[0]) == (4, 3)


def test_an_acknowledgement_is_valid_for_one_list_only(admin: APIClient) -> None:
    with clock.frozen(BEFORE):
        token = patch(admin, "tables/T2", {"active": False}, 409)["acknowledge"]
        body = {
            "restaurantId": "R1",
            "sectorId": "S1",
            "partySize": 2,
            "durationMinutes": 60,
            "date": "2025-10-22",
            "start": "2025-10-22T22:00:00-03:00",
            "tableIds": ["T2"],
        }
        assert admin.post(f"{API}/woki/bookings", body, format="json").status_code == 201
        assert len(patch(admin, f"tables/T2?acknowledge={token}", {"active": False}, 409)["issues"]) == 2
    assert Table.objects.get(pk="T2").active is True


def test_joins_and_combos_of_a_sector(admin: APIClient) -> None:
    body = {
        "joins": [["T3", "T2"], ["T3", "T4"]],
        "combos": [{"tableIds": ["T3", "T2"], "capacityMin": 5, "capacityMax": 6}],
    }
    data = patch(admin, "sectors/S1", body, 200)
    assert data["joins"] == [["T2", "T3"], ["T3", "T4"]]
    assert data["combos"] == [
        {"tableIds": ["T2", "T3"], "capacityMin": 5, "capacityMax": 6, "capacity": {"min": 5, "max": 6}}
    ]
    assert patch(admin, "sectors/S1", {"name": "Salón"}, 200)["joins"] == [["T2", "T3"], ["T3", "T4"]]
    assert patch(admin, "sectors/S1", {"joins": [["T1", "T9"]]}, 404)["issues"][0]["path"] == "joins"
    assert admin.delete(f"{API}/tables/T3").status_code == 204
    sector = admin.get(f"{API}/sectors/S1").json()
    assert (sector["joins"], sector["combos"]) == ([], [])


def test_blocks(admin: APIClient) -> None:
    span = {"start": "2025-10-22T12:00:00-03:00", "end": "2025-10-22T20:30:00-03:00", "reason": "Leg"}
    with clock.frozen(BEFORE):
        response = admin.post(f"{API}/tables/T2/blocks", span, format="json")
        assert response.status_code == 201, response.content
        block = response.json()
        assert UUID(block["id"]).version == 7
        assert {name: block[name] for name in ("tableId", *span)} == {"tableId": "T2", **span}
        over = admin.post(
            f"{API}/tables/T2/blocks", span | {"end": "2025-10-22T20:45:00-03:00"}, format="json"
        )
        assert over.status_code == 409
        assert "B1" in over.json()["detail"]
        blocks = admin.get(f"{API}/tables/T2/blocks").json()
        assert [entry["id"] for entry in blocks["blocks"]] == [block["id"]]
        assert admin.delete(f"{API}/tables/T2/blocks?blockId={block['id']}").status_code == 204
        assert admin.delete(f"{API}/tables/T2/blocks").status_code == 404


@pytest.mark.parametrize("last", ["20:00", "23:45", "00:30", "01:00"])
def test_a_last_seating_may_be_after_midnight(admin: APIClient, last: str) -> None:
    window = {"start": "20:00", "end": "01:00", "lastSeating": last}
    with clock.frozen(BEFORE):
        data = patch(admin, "restaurants/R1", {"windows": [window]}, 409 if last == "20:00" else 200)
    assert last == "20:00" or {window["lastSeating"] for window in data["windows"]} == {last}


@pytest.mark.parametrize(
    ("path", "body", "issue"),
    [
        (
            "sectors/S1",
            {"combos": [{"tableIds": ["T1", "T2"], "capacityMin": 5, "capacityMax": 4}]},
            {"path": "combos.0.capacityMax", "message": "Must be at least 5."},
        ),
        (
            "restaurants/R1",
            {"turnTimes": [{"partyUpTo": 2, "minutes": 60}, {"partyUpTo": 2, "minutes": 90}]},
            {"path": "turnTimes", "message": "Entries must be unique."},
        ),
        ("restaurants/R1", {"name": "x" * 101}, {"path": "name", "message": "At most 100 characters."}),
        ("restaurants/R1", {"name": ""}, {"path": "name", "message": "At least 1 characters."}),
        (
            "restaurants/R1",
            {"windows": [{"start": "20:00", "end": "23:00"}] * 71},
            {"path": "windows", "message": "At most 70 entries."},
        ),
    ],
)
def test_validation_errors_state_the_actual_fault(
    admin: APIClient, path: str, body: dict[str, Any], issue: dict[str, str]
) -> None:
    assert patch(admin, path, body, 400)["issues"] == [issue]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("restaurants/R1", {"timezone": "Mars/Olympus"}, "timezone"),
        ("restaurants/R1", {"windows": [{"start": "20:10", "end": "23:00"}]}, "windows"),
        ("restaurants/R1", {"timezone": "localtime"}, "timezone"),
        ("restaurants/R1", {"timezone": "Factory"}, "timezone"),
        (
            "restaurants/R1",
            {"windows": [{"start": "20:00", "end": "23:00", "lastSeating": "19:00"}]},
            "windows.0.lastSeating",
        ),
        (
            "restaurants/R1",
            {"windows": [{"start": "20:00", "end": "01:00", "lastSeating": "01:15"}]},
            "windows.0.lastSeating",
        ),
        ("restaurants/R1", {"minPartySize": 9, "maxPartySize": 8}, "minPartySize"),
        ("restaurants/R1", {"maxDurationMinutes": 15}, "maxDurationMinutes"),
        ("restaurants/R1", {"minDurationMinutes": 195}, "minDurationMinutes"),
        ("restaurants/R1", {"minDurationMinutes": 50}, "minDurationMinutes"),
        ("restaurants/R1", {"turnTimes": [{"partyUpTo": 2, "minutes": 60}] * 2}, "turnTimes"),
        ("restaurants/R1", {"id": "R7"}, "id"),
        ("tables/T1", {"capacityMin": 5}, "capacityMin"),
        ("tables/T4", {"capacityMax": 3}, "capacityMax"),
        ("tables/T1", {"shape": "star"}, "shape"),
        ("sectors/S1", {"combos": [{"tableIds": ["T1"], "capacityMin": 1, "capacityMax": 2}]}, "combos"),
    ],
)
def test_malformed_input_is_named(admin: APIClient, path: str, body: dict[str, Any], field: str) -> None:
    issues = patch(admin, path, body, 400)["issues"]
    assert issues[0]["path"].startswith(field), issues
