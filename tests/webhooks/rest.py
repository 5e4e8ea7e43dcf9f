"""Calls of the webhooks' endpoints."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.webhooks import support
from wokibrain.access.models import ApiKey
from wokibrain.core.permissions import Role

URL = "https://hooks.example.com/woki"
Call = Callable[..., tuple[int, Any]]


def key(role: Role = Role.ADMIN, place: str | None = "R1") -> str:
    if place is not None:
        support.restaurant(place)
    token = "wk_" + secrets.token_hex(26)
    digest = hashlib.sha256(token.encode()).digest()
    ApiKey.objects.create(name="test", prefix=token[3:11], digest=digest, role=role, restaurant_id=place)
    return token


def paths(answer: Any) -> list[str]:
    return [issue["path"] for issue in answer["issues"]]


def create_webhook(call: Call, **more: Any) -> Any:
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], **more})
    assert status == 201, answer
    return answer


def long_ago(**before: int) -> str:
    return (datetime.now(UTC) - timedelta(**(before or {"days": 1}))).strftime("%Y-%m-%dT%H:%M:%SZ")
