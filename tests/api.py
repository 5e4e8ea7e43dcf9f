"""Shared by the tests of the API: a JSON client, callers with keys, and rows to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import UUID

from django.test import Client

from restaurants.models import Restaurant
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.access.credentials import digest_of, prefix_of
from wokibrain.access.keys import new_token
from wokibrain.access.models import ApiKey
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.events.models import StoredEvent

BASE = "/api/v1"


@dataclass(frozen=True)
class Reply:
    """A response: ``body`` is its JSON, or None if it is empty or not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]
    content: bytes


class Api:
    """A caller of the API, with an API key or without."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self.client = Client()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request. ``body`` is sent as JSON, ``raw`` unchanged; ``path`` is below /api/v1."""
        all_headers = dict(headers or {})
        if self.key:
            all_headers["X-API-Key"] = self.key
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        response = self.client.generic(
            method, BASE + path, content, content_type, query_params=dict(query or {}), headers=all_headers
        )
        content = b"".join(response) if response.streaming else response.content
        is_json = response.headers.get("Content-Type") == "application/json"
        answer = json.loads(content) if content and is_json else None
        return Reply(response.status_code, answer, response.headers, content)

    def get(self, path: str, **query: Any) -> Reply:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Reply:
        return self.call("POST", path, body, headers=_key_header(key))

    def patch(self, path: str, body: Any, *, key: str | None = None) -> Reply:
        return self.call("PATCH", path, body, headers=_key_header(key))

    def delete(self, path: str, *, key: str | None = None) -> Reply:
        return self.call("DELETE", path, headers=_key_header(key))

    def discover(self, **query: Any) -> Reply:
        """Discover in S1 on the example's day for 4, 90 minutes; ``query`` overrides, None omits a parameter."""
        return self.get("/woki/discover", **_without_none(DISCOVERY | query))

    def book(self, *, key: str | None = None, **body: Any) -> Reply:
        """Book in S1 on the example's day for 4, 90 minutes; ``body`` overrides, None omits a field."""
        return self.post("/woki/bookings", _without_none(BOOKING | body), key=key)

    def change(self, booking: str, *, key: str | None = None, **body: Any) -> Reply:
        return self.patch(f"/woki/bookings/{booking}", body, key=key)

    def step(self, booking: str, step: str, *, key: str | None = None) -> Reply:
        return self.post(f"/woki/bookings/{booking}/{step}", key=key)

    def cancel(self, booking: str, *, key: str | None = None) -> Reply:
        return self.delete(f"/woki/bookings/{booking}", key=key)


DISCOVERY = {"restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22", "partySize": 4, "duration": 90}
BOOKING = {
    "restaurantId": "R1",
    "sectorId": "S1",
    "date": "2025-10-22",
    "partySize": 4,
    "durationMinutes": 90,
}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _key_header(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def api_as(role: str = Role.SUPER_ADMIN, restaurant_id: str | None = None) -> Api:
    """Return a caller with a new API key of that role, for all restaurants unless one is named."""
    token = new_token()
    ApiKey.objects.create(
        name=role, prefix=prefix_of(token), digest=digest_of(token), role=role, restaurant_id=restaurant_id
    )
    return Api(token)


def assert_refused(reply: Reply, status: int, code: str, *paths: str) -> str:
    """Assert an error response's shape, code and named fields; return its detail."""
    issue_paths = [issue["path"] for issue in reply.body.get("issues", [])]
    assert (reply.status, reply.body["error"], issue_paths) == (status, code, list(paths)), reply.body
    assert set(reply.body) - {"alternatives"} == {"error", "detail", "requestId"} | (
        {"issues"} if paths else set()
    )
    assert reply.headers["X-Request-ID"] == str(UUID(reply.body["requestId"]))
    assert all(set(issue) == {"path", "message"} for issue in reply.body.get("issues", []))
    detail: str = reply.body["detail"]
    return detail


def at(clock: str, day: str = "2025-10-22", offset: str = "-03:00") -> str:
    """Return an instant as the API writes it, with the offset of Buenos Aires by default."""
    return f"{day}T{clock}:00{offset}"


def seat_of(booking: Mapping[str, Any]) -> tuple[list[str], str, str]:
    """Return the tables, start and end (wall time) of a booking or candidate."""
    return booking["tableIds"], booking["start"][11:16], booking["end"][11:16]


def make_restaurant(
    restaurant_id: str = "H",
    *,
    zone: str = "America/Argentina/Buenos_Aires",
    hours: tuple[Hours, ...] = (Hours(time(20), time(23)),),
    tables: Mapping[str, tuple[int, int]] | None = None,
    refuse_past: bool = False,
    **bounds: Any,
) -> Restaurant:
    """Create a restaurant with sector ``<id>-S`` and tables ``<id>-<name>``, by default T (2-4)."""
    restaurant = create_restaurant(
        caller=SYSTEM,
        id=restaurant_id,
        name=restaurant_id,
        zone=zone,
        hours=hours,
        refuse_past=refuse_past,
        **bounds,
    )
    sector = create_sector(caller=SYSTEM, id=f"{restaurant_id}-S", restaurant_id=restaurant.id, name="Room")
    for name, (least, most) in (tables or {"T": (2, 4)}).items():
        create_table(
            caller=SYSTEM,
            id=f"{restaurant_id}-{name}",
            sector_id=sector.id,
            capacity_min=least,
            capacity_max=most,
        )
    return restaurant


def events_of(aggregate_id: str) -> list[StoredEvent]:
    """Return an aggregate's events, oldest first."""
    return list(StoredEvent.objects.filter(aggregate_id=aggregate_id).order_by("version"))
