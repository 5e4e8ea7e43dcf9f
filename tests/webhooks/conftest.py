from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from tests.webhooks.rest import Call, key
from tests.webhooks.sessions import Sessions
from tests.webhooks.support import Receiver


@pytest.fixture
def private(settings: Settings) -> None:
    """Allow deliveries to this machine, where the tests' receivers are."""
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def receiver(private: None) -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def call(client: Client) -> Call:
    """Call the API as the administrator of R1, or with another ``token`` (None: without)."""
    mine = key()

    def ask(method: str, path: str, body: Any = None, token: str | None = mine) -> tuple[int, Any]:
        headers = {"X-API-Key": token} if token else {}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        response = client.generic(
            method, f"/api/v1/webhooks{path}", data, content_type="application/json", headers=headers
        )
        return response.status_code, json.loads(response.content)

    return ask


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    running = Sessions()
    with running.pool:
        yield running
