"""The board's data: what a change of the set-up did to bookings, until somebody has seen to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from bookings.models import Booking
from restaurants.guards import StrandsBookings
from restaurants.services import update_table
from tests.backoffice.pages import DAY, make_places, person
from wokibrain import clock
from wokibrain.access.callers import SYSTEM
from wokibrain.access.permissions import Role

# B1 is on T2 on 2025-10-22 20:30-21:15 for 3.
BEFORE = datetime(2025, 10, 20, 12, tzinfo=UTC)


@pytest.fixture
def client(db: None) -> Iterator[Client]:
    make_places()
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
    shown: dict[str, Any] = client.get("/admin/floor/data", {"restaurant": "R1", "date": DAY}).json()
    return shown


def retired(shown: dict[str, Any]) -> dict[str, bool]:
    return {each["id"]: each["retired"] for each in shown["sectors"][0]["tables"]}


def test_a_booking_that_lost_its_table_is_flagged_until_it_is_moved(client: Client) -> None:
    pk = Booking.objects.get(reference="B1").pk
    assert [each["attention"] for each in day(client)["bookings"]] == [""]
    retire("T2")
    shown = day(client)
    assert [each["attention"] for each in shown["bookings"]] == ["tables"]
    # It has a row to stand in and to be dragged from.
    assert retired(shown) == {"T1": False, "T2": True, "T3": False, "T4": False, "T5": False}
    assert client.get(f"/admin/floor/bookings/{pk}").json()["attention"] == "tables"
    found = client.get("/admin/floor/search", {"restaurant": "R1", "date": DAY, "q": "B1"}).json()
    assert [each["attention"] for each in found["bookings"]] == ["tables"]
    moved = client.post(
        f"/admin/floor/bookings/{pk}/change", json.dumps({"tableIds": ["T3"]}), "application/json"
    )
    assert (moved.status_code, moved.json()["attention"]) == (200, "")
    assert retired(day(client)) == {"T1": False, "T3": False, "T4": False, "T5": False}


def test_what_is_over_needs_nobody(client: Client) -> None:
    retire("T2")
    pk = Booking.objects.get(reference="B1").pk
    assert client.post(f"/admin/floor/bookings/{pk}/cancel").json()["attention"] == ""
    assert [each["attention"] for each in day(client)["bookings"]] == [""]


def test_a_table_out_of_use_joins_nothing(client: Client) -> None:
    retire("T2")
    tables = {each["id"]: each["combinable"] for each in day(client)["sectors"][0]["tables"]}
    assert (tables["T2"], tables["T3"]) == (False, True)
