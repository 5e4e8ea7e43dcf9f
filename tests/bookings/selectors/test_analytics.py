"""Figures of a period, from the read models."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from bookings import readmodels
from tests.wokibrain.access.conftest import client_of
from tests.wokibrain.access.conftest import example as example
from wokibrain.core.permissions import Role
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent

PATH = "/api/v1/restaurants/R1/analytics"
BOOKING = {"restaurantId": "R1", "sectorId": "S1", "durationMinutes": 90, "date": "2025-10-22"}


@pytest.fixture
def admin(example: None) -> APIClient:
    """Create R1 with B1 (3 covers, T2, 45 min), a booking of 4 on 23 October, and a cancelled one of 2."""
    client = client_of(Role.ADMIN)
    for more in ({"partySize": 4, "date": "2025-10-23", "tableIds": ["T4"]}, {"partySize": 2}):
        response = client.post("/api/v1/woki/bookings", BOOKING | more, format="json")
        assert response.status_code == 201, response.content
    assert client.delete(f"/api/v1/woki/bookings/{response.json()['id']}").status_code == 204
    events = [Envelope.from_row(event) for event in StoredEvent.objects.order_by("position")]
    readmodels.apply_analytics(events)
    return client


def figures(client: APIClient, **query: str) -> dict[str, Any]:
    response = client.get(PATH, {"startDate": "2025-10-22", "endDate": "2025-10-23"} | query)
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def test_the_figures(admin: APIClient) -> None:
    report = figures(admin)
    assert report["period"] == {"startDate": "2025-10-22", "endDate": "2025-10-23", "groupBy": "day"}
    # Open 12-16 and 20-23:45, two days, five tables; taken 45 and 90 minutes.
    assert report["metrics"] == {
        "totalBookings": 3, "covers": 7, "occupancyRate": round(135 / (2 * 465 * 5), 4), "averagePartySize": 3.5,
        "noShowRate": 0.0, "cancellationRate": 0.3333,
        "peakHours": [{"hour": 12, "bookings": 2}, {"hour": 20, "bookings": 1}],
    }  # fmt: skip
    assert report["trends"] == [
        {"date": "2025-10-22", "bookings": 2, "covers": 3, "cancelled": 1},
        {"date": "2025-10-23", "bookings": 1, "covers": 4, "cancelled": 0},
    ]
    assert report["tables"] == [
        {"tableId": "T1", "utilization": 0.0},
        {"tableId": "T2", "utilization": round(45 / 930, 4)},
        {"tableId": "T3", "utilization": 0.0},
        {"tableId": "T4", "utilization": round(90 / 930, 4)},
        {"tableId": "T5", "utilization": 0.0},
    ]


@pytest.mark.parametrize(
    ("group_by", "dates"),
    [
        ("hour", ["2025-10-22T12:00", "2025-10-22T20:00", "2025-10-23T12:00"]),
        ("week", ["2025-10-20"]),
        ("month", ["2025-10-01"]),
    ],
)
def test_trends_by(admin: APIClient, group_by: str, dates: list[str]) -> None:
    assert [trend["date"] for trend in figures(admin, groupBy=group_by)["trends"]] == dates


def test_a_period_without_bookings_is_all_zeros(admin: APIClient) -> None:
    report = figures(admin, startDate="2024-01-01", endDate="2024-01-02")
    assert (report["metrics"]["totalBookings"], report["metrics"]["averagePartySize"]) == (0, 0.0)
    assert report["trends"] == []


@pytest.mark.parametrize(
    "query", [{"endDate": "2025-10-21"}, {"endDate": "2027-01-01"}, {"groupBy": "year"}, {"startDate": "x"}]
)
def test_an_invalid_period_is_refused(admin: APIClient, query: dict[str, str]) -> None:
    response = admin.get(PATH, {"startDate": "2025-10-22", "endDate": "2025-10-23"} | query)
    assert response.json()["error"] == "VALIDATION_ERROR"


def test_figures_need_permission(admin: APIClient) -> None:
    query = {"startDate": "2025-10-22", "endDate": "2025-10-23"}
    assert client_of(Role.API_CLIENT).get(PATH, query).status_code == 403
    assert client_of(Role.ADMIN, "R2").get(PATH, query).status_code == 404
