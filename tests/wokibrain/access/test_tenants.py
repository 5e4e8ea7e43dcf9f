"""P15: no operation reveals anything for another tenant's id in its path, query or body."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from bookings.models import Booking, Guest
from bookings.repository.records import Contact
from bookings.selectors import bookings
from bookings.services.create import NewBooking, create_booking
from tests.wokibrain.access.conftest import client_of
from wokibrain.core.callers import SYSTEM, Caller
from wokibrain.core.clock import now
from wokibrain.core.permissions import Role
from wokibrain.rest import openapi

SECRET = "Zenobia Ocampo"
# The ids of R2's rows by name of field or parameter.
FOREIGN = {"restaurant": "R2", "restaurantId": "R2", "sector": "S9", "sectorId": "S9", "table": "T9"}
OWN = {"restaurant": "R1", "restaurantId": "R1", "sector": "S1", "sectorId": "S1", "table": "T1"}
# They have no caller, but take a credential of their own.
OTHER_TAGS = {"set-up", "auth"}
GOOD = {
    "date": "2030-01-15",
    "partySize": 2,
    "durationMinutes": 60,
    "duration": 60,
    "startDate": "2030-01-01",
    "endDate": "2030-01-31",
    "since": f"{now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
}


@pytest.fixture
def foreign_booking(example: None) -> Booking:
    """Create a booking with a guest at R2, which R1's callers must not see."""
    request = NewBooking(
        restaurant_id="R2",
        party_size=2,
        date=now().date().replace(year=now().year + 1),
        duration_minutes=60,
        contact=Contact(SECRET, "zenobia@example.org", "+34 600 000 001"),
        notes=SECRET,
    )
    booking = create_booking(caller=SYSTEM, new=request)
    assert Guest.objects.filter(name=SECRET).count() == 1
    return Booking.objects.get(pk=booking.id)  # type: ignore[union-attr]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and not OTHER_TAGS & set(operation["tags"]):
                yield method, path, operation


def example_of(schema: dict[str, Any]) -> Any:
    """Return a valid body from the document's own examples."""
    parts = openapi.document()["components"]["schemas"]
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    if "examples" in schema:
        return copy.deepcopy(schema["examples"][0])
    return {
        name: field["examples"][0]
        for name, field in schema.get("properties", {}).items()
        if "examples" in field
    }


def requests(booking: Booking) -> Iterator[tuple[str, str, str, dict[str, str], Any]]:
    """Yield (foreign id, method, path, query, body) for every place of an id in every operation."""
    ids: dict[str, Any] = {**FOREIGN, "booking": str(booking.pk), "id": "", "tableIds": ["T9"]}
    for method, template, operation in operations():
        parameters = operation.get("parameters", [])
        in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        query = {
            parameter["name"]: str((OWN | GOOD).get(parameter["name"], ""))
            for parameter in parameters
            if parameter["in"] == "query" and parameter["name"] in OWN | GOOD
        }
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body: Any = example_of(content["schema"]) if content else None
        own_path = template
        foreign_path = template
        for name in in_path:
            own_path = own_path.replace(f"{{{name}}}", OWN.get(name, "B1"))
            foreign_path = foreign_path.replace(f"{{{name}}}", ids.get(name) or str(booking.pk))
        if in_path:
            yield f"path of {operation['operationId']}", method, foreign_path, query, body
        for name in query.keys() & FOREIGN.keys():
            yield f"query {name}", method, own_path, query | {name: FOREIGN[name]}, body
        for name in (body or {}).keys() & (FOREIGN.keys() | {"tableIds"}):
            yield f"body {name}", method, own_path, query, body | {name: ids[name]}


def leaks(client: APIClient, booking: Booking) -> list[str]:
    """Return each request whose response is not 401, 403 or 404, or contains foreign data."""
    reports = []
    for what, method, path, query, body in requests(booking):
        url = path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
        response = client.generic(
            method.upper(), url, json.dumps(body) if body is not None else "", "application/json"
        )
        text = response.content.decode()
        foreign = [
            word for word in (SECRET, booking.reference, "La Otra", "Patio", "zenobia") if word in text
        ]
        if response.status_code not in (401, 403, 404) or foreign:
            reports.append(f"{what}: {method} {url} -> {response.status_code} {foreign} {text[:200]}")
    return reports


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.STAFF, Role.API_CLIENT])
def test_another_tenants_ids_give_no_access(foreign_booking: Booking, role: Role) -> None:
    assert leaks(client_of(role), foreign_booking) == []


def test_anonymous_callers_without_permissions_see_nothing(foreign_booking: Booking, settings: Any) -> None:
    settings.PUBLIC_PERMISSIONS = []
    assert leaks(client_of(None), foreign_booking) == []


def test_foreign_rows_look_like_missing_ones(foreign_booking: Booking) -> None:
    client = client_of(Role.ADMIN)
    pairs = [("restaurants", "R2", "R404"), ("sectors", "S9", "S404"), ("tables", "T9", "T404")]
    pairs += [("woki/bookings", foreign_booking.reference, "ZZZZZZ")]
    for kind, foreign, absent in pairs:
        answers = [client.get(f"/api/v1/{kind}/{id_}") for id_ in (foreign, absent)]
        assert [response.status_code for response in answers] == [404, 404]
        first, second = (answer.json() | {"requestId": ""} for answer in answers)
        assert first == second, kind


def test_lists_contain_nothing_foreign(foreign_booking: Booking) -> None:
    text = client_of(Role.ADMIN).get("/api/v1/restaurants").content.decode()
    assert "La Otra" not in text
    assert "Bistro Central" in text


def test_every_operation_was_tried(foreign_booking: Booking) -> None:
    calls = {(method, path.split("/")[3]) for _, method, path, _, _ in requests(foreign_booking)}
    assert calls >= {
        ("get", "woki"), ("post", "woki"), ("patch", "woki"), ("delete", "woki"), ("get", "restaurants"),
        ("patch", "restaurants"), ("delete", "restaurants"), ("post", "restaurants"), ("get", "sectors"),
        ("patch", "sectors"), ("delete", "sectors"), ("get", "tables"), ("patch", "tables"), ("post", "tables"),
        ("delete", "tables"),
    }  # fmt: skip


def test_canary_a_selector_that_ignores_its_caller_is_caught(
    foreign_booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: a selector that treats every caller as the system appears in the list."""
    real = bookings.get_booking

    def forgetful(*, caller: Caller, booking: str) -> Any:
        return real(caller=SYSTEM, booking=booking)

    monkeypatch.setattr(bookings, "get_booking", forgetful)
    (leak,) = [leak for leak in leaks(client_of(Role.API_CLIENT), foreign_booking) if "getBooking" in leak]
    assert SECRET in leak
