"""Permissions and tenant isolation of webhooks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.webhooks import support
from tests.webhooks.rest import URL, Call, key, long_ago
from webhooks.models import Delivery, Webhook
from wokibrain.core.permissions import Role

pytestmark = pytest.mark.django_db


REQUESTS = [
    ("GET", "", None),
    ("PUT", "", {"url": URL, "events": ["booking.created"]}),
    ("PATCH", "", {"status": "PAUSED"}),
    ("DELETE", "", None),
    ("POST", "/rotate-secret", {}),
    ("POST", "/test", {}),
    ("GET", "/deliveries", None),
    ("POST", "/deliveries/DELIVERY/redeliver", None),
    ("POST", "/recover?since=SINCE", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_foreign_webhook_is_not_found(call: Call, method: str, path: str, body: Any) -> None:
    foreign = [support.webhook(URL, place="R2"), support.webhook(URL, place=None)]
    support.publish_event(restaurantId="R2")
    state = list(Webhook.objects.order_by("pk").values())
    for hook in foreign:
        delivery = Delivery.objects.get(webhook=hook)
        filled_path = path.replace("DELIVERY", str(delivery.pk)).replace("SINCE", long_ago())
        theirs = call(method, f"/{hook.pk}{filled_path}", body)
        nobodys = call(method, f"/{uuid4()}{filled_path}", body)
        for status, answer in (theirs, nobodys):
            answer.pop("requestId")
            assert (status, answer["error"]) == (404, "NOT_FOUND")
        assert theirs == nobodys
    assert list(Webhook.objects.order_by("pk").values()) == state


def test_delivery_of_another_webhook_is_not_found(call: Call) -> None:
    mine, other = support.webhook(URL), support.webhook(URL)
    support.publish_event()
    theirs = Delivery.objects.get(webhook=other)
    status, _ = call("POST", f"/{mine.pk}/deliveries/{theirs.pk}/redeliver")
    assert status == 404


@pytest.mark.parametrize("id", ["x", "1", "%00", "00000000-0000-0000-0000-000000000000"])
def test_malformed_id_is_not_found(call: Call, id: str) -> None:
    assert call("GET", f"/{id}")[0] == 404


@pytest.mark.parametrize("role", [Role.MANAGER, Role.STAFF, Role.API_CLIENT])
def test_roles_below_admin_may_not_manage_webhooks(call: Call, role: Role) -> None:
    hook = support.webhook(URL)
    token = key(role)
    assert call("GET", "", token=token)[0] == 403
    assert call("POST", "", {"url": URL, "events": ["booking.created"]}, token=token)[0] == 403
    assert call("GET", f"/{hook.pk}", token=token)[0] == 403


def test_anonymous_callers_may_not_manage_webhooks(call: Call) -> None:
    for method, path, body in [("GET", "", None), ("POST", "", {"url": URL, "events": ["booking.created"]})]:
        assert call(method, path, body, token=None)[0] == 401


def test_list_contains_only_the_callers_webhooks(call: Call) -> None:
    mine = support.webhook(URL)
    support.webhook(URL, place="R2")
    support.webhook(URL, place=None)
    assert [webhook["id"] for webhook in call("GET", "")[1]["webhooks"]] == [str(mine.pk)]
    assert call("GET", "?restaurantId=R2")[0] == 404
    assert call("GET", "?restaurantId=R1&status=PAUSED")[1]["webhooks"] == []


def test_super_admin_has_webhooks_of_all_restaurants(call: Call) -> None:
    boss = key(Role.SUPER_ADMIN, None)
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"]}, token=boss)
    assert (status, answer["restaurantId"]) == (201, None)
    assert datetime.fromisoformat(answer["createdAt"]).utcoffset() == timedelta(0)
    status, answer = call(
        "POST", "", {"url": URL, "events": ["booking.created"], "restaurantId": "R1"}, token=boss
    )
    assert (status, answer["restaurantId"]) == (201, "R1")
    assert call("GET", "", token=boss)[1]["pagination"]["total"] == 2


def test_webhook_for_a_foreign_restaurant_is_refused(call: Call) -> None:
    support.restaurant("R2")
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], "restaurantId": "R2"})
    assert (status, answer["error"]) == (404, "NOT_FOUND")
