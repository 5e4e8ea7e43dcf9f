"""API keys: their permissions and their end."""

from __future__ import annotations

import time
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from wokibrain.access import credentials, keys
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import Forbidden, NotFound, ValidationFailed
from wokibrain.core.permissions import Permission, Role

pytestmark = pytest.mark.usefixtures("example")
B1 = "/api/v1/woki/bookings/B1"


def status(token: str, path: str = B1, method: str = "get") -> int:
    return int(getattr(APIClient(), method)(path, HTTP_X_API_KEY=token).status_code)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("apikey", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_a_key_created_on_the_command_line_works(settings: Any) -> None:
    settings.PUBLIC_PERMISSIONS = []
    token = run("create", "Widget", "--restaurant", "R1", "--scope", "booking:read")
    assert token.startswith("wk_")
    assert status(token) == 200
    assert status(token, "/api/v1/restaurants/R1") == 403
    assert status(token, "/api/v1/restaurants/R2") == 404
    listed = run("list").split("\t")
    assert listed[1:7] == [token[:11], "Widget", "api_client", "R1", "booking:read", "active"]
    run("revoke", token[:11])
    assert status(token) == 401
    assert run("list").split("\t")[6] == "revoked"
    with pytest.raises(CommandError):
        run("revoke", "wk_nobodyis")


def test_a_keys_secret_is_not_stored(settings: Any) -> None:
    token = run("create", "Widget")
    key = ApiKey.objects.get()
    assert key.prefix == token[3:11]
    assert bytes(key.digest) == credentials.digest_of(token)
    assert token[11:] not in str(ApiKey.objects.values().get())


def test_a_known_key_id_with_a_wrong_secret_is_refused() -> None:
    token = run("create", "Widget")
    assert status(token[:-1] + ("a" if token[-1] != "a" else "b")) == 401


def test_a_key_expires_on_its_date() -> None:
    token = run("create", "Widget", "--days", "2")
    assert status(token) == 200
    with clock.frozen(clock.now() + timedelta(days=3)):
        assert status(token) == 401


def test_a_key_revoked_by_another_process_ends_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    token = run("create", "Widget")
    now = time.monotonic()
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: now))
    assert status(token) == 200
    ApiKey.objects.update(revoked_at=clock.now())
    now += 0.99
    assert status(token) == 200, "remembered"
    now += 0.02
    assert status(token) == 401


def test_a_cached_key_costs_no_query_and_one_write_a_minute() -> None:
    token = run("create", "Widget")
    credentials.caller_of(token)
    used = ApiKey.objects.get().last_used_at
    assert used is not None
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(20):
            credentials.caller_of(token)
    assert len(queries) == 0
    credentials.forget()
    credentials.caller_of(token)
    assert ApiKey.objects.get().last_used_at == used
    with clock.frozen(used + timedelta(seconds=61)):
        credentials.forget()
        credentials.caller_of(token)
    assert ApiKey.objects.get().last_used_at == used + timedelta(seconds=61)


def test_callers_cannot_grant_more_than_they_hold() -> None:
    _, token = keys.create_key(caller=SYSTEM, name="admin", role=Role.ADMIN, restaurant_id="R1")
    admin = credentials.caller_of(token)
    key, _ = keys.create_key(caller=admin, name="staff", role=Role.STAFF, restaurant_id="R1")
    assert key.restaurant_id == "R1"
    with pytest.raises(Forbidden):
        keys.create_key(caller=admin, name="all", role=Role.STAFF)
    with pytest.raises(Forbidden):
        keys.create_key(caller=admin, name="more", role=Role.SUPER_ADMIN, restaurant_id="R1")
    with pytest.raises(NotFound):
        keys.create_key(caller=admin, name="there", role=Role.STAFF, restaurant_id="R2")
    with pytest.raises(ValidationFailed):
        keys.create_key(
            caller=admin, name="x", role=Role.STAFF, restaurant_id="R1", scopes=[Permission.TABLE_CREATE]
        )
    with pytest.raises(ValidationFailed):
        keys.create_key(caller=admin, name="x", role=Role.STAFF, restaurant_id="R1", expires_at=clock.now())
    other, _ = keys.create_key(caller=SYSTEM, name="other", role=Role.ADMIN, restaurant_id="R2")
    with pytest.raises(NotFound):
        keys.revoke_key(caller=admin, key_id=str(other.pk))


def test_anonymous_callers_may_do_what_the_setting_allows(settings: Any) -> None:
    client = APIClient()
    settings.PUBLIC_PERMISSIONS = []
    assert client.get(B1).status_code == 401
    assert client.get("/api/v1/woki/bookings/NOPE").status_code == 401
    settings.PUBLIC_PERMISSIONS = ["booking:read"]
    assert client.get(B1).status_code == 200
    assert client.delete(B1).status_code == 401
