"""Requests that no honest client sends: they are refused properly and leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from tests.wokibrain.access.conftest import client_of
from tests.wokibrain.access.conftest import example as example
from wokibrain.access import password_guard
from wokibrain.core.permissions import Role
from wokibrain.events.models import AuditEntry

pytestmark = pytest.mark.usefixtures("example")
API = "/api/v1"


def test_a_thousand_parameters_are_a_client_error() -> None:
    query = "&".join(f"a{number}=1" for number in range(1_100))
    header: dict[str, Any] = {"HTTP_X_ADMIN_SECRET": settings.ADMIN_SECRET}
    nothing: dict[str, Any] = {}
    for secret in (nothing, header):
        response = APIClient().post(f"{API}/admin/tables?{query}", {}, format="json", **secret)
        assert (response.status_code, response.json()["error"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("path", "cookies"),
    [
        ("/admin/restaurants/table/?q=%00", {}),
        ("/admin/restaurants/table/?sector__id__exact=%00", {}),
        ("/admin/restaurants/table/?sector__restaurant__id__exact=a%00b", {}),
        ("/admin/restaurants/table/%00/change/", {}),
        ("/admin/", {"sessionid": '"\\000abcdefghij"'}),
        ("/admin/login/", {"sessionid": '"\\000abcdefghij"'}),
    ],
)
def test_a_nul_character_in_the_back_office_is_refused(path: str, cookies: dict[str, str]) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    headers: dict[str, Any] = {"HTTP_COOKIE": f"sessionid={cookies['sessionid']}"} if cookies else {}
    response = client.get(path, **headers)
    assert response.status_code in (302, 400, 404), response.status_code


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (Role.STAFF, "woki/bookings/B1", 200),
        (Role.STAFF, "woki/bookings?restaurantId=R1&date=2025-10-22", 200),
        (Role.STAFF, "restaurants", 200),
        (Role.STAFF, "restaurants/R2", 404),
        (None, "restaurants", 401),
    ],
)
def test_no_response_may_be_cached_on_the_way(role: Role | None, path: str, status: int) -> None:
    """Shared caches respect Authorization, but not X-API-Key."""
    response = client_of(role).get(f"{API}/{path}")
    assert (response.status_code, response["Cache-Control"]) == (status, "no-store")


def test_continued_guessing_is_audited_once() -> None:
    User.objects.create_user("ana", password="a-long-password")

    def guess(**headers: Any) -> int:
        body = {"username": "ana", "password": "wrong"}
        return int(APIClient().post(f"{API}/auth/login", body, format="json", **headers).status_code)

    assert [guess() for _ in range(9)] == [401] * password_guard.LIMITS["both"] + [429] * 4
    actions = AuditEntry.objects.filter(action__startswith="sign-in").order_by("id")
    assert [entry.action for entry in actions] == ["sign-in.failed"] * 5 + ["sign-in.blocked"]
