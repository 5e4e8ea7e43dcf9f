"""Webhooks over REST: creating, changing, deleting, and refusals with the field's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client, TestCase
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.rest import URL, Call, create_webhook, key, paths
from tests.webhooks.support import Receiver
from webhooks import sender
from webhooks.models import Delivery, Webhook
from wokibrain.events.models import AuditEntry
from wokibrain.rest.openapi import document

pytestmark = pytest.mark.django_db


def test_new_webhook_shows_its_secret_once(call: Call) -> None:
    answer = create_webhook(call)
    secret = answer.pop("secret")
    assert secret.startswith("whsec_")
    assert answer == {
        "id": answer["id"],
        "restaurantId": "R1",
        "url": URL,
        "events": ["booking.created"],
        "status": "ACTIVE",
        "active": True,
        "statusReason": None,
        "droppingBefore": None,
        "previousSecretValidUntil": None,
        "createdAt": answer["createdAt"],
        "updatedAt": answer["createdAt"],
    }
    assert datetime.fromisoformat(answer["createdAt"]).utcoffset() == timedelta(hours=-3)
    assert len(answer["createdAt"]) == len("2025-10-01T09:00:00.289-03:00")
    assert call("GET", f"/{answer['id']}") == (200, answer)
    assert call("GET", "") == (
        200,
        {"webhooks": [answer], "pagination": {"page": 1, "limit": 50, "total": 1, "totalPages": 1}},
    )


def test_secret_of_the_caller_is_used_to_sign(call: Call, receiver: Receiver) -> None:
    answer = create_webhook(call, url=receiver.url, secret="sixteen letters!")
    assert answer["secret"] == "sixteen letters!"
    support.publish_event()
    sender.drain()
    from webhooks.signing import legacy

    (request,) = receiver.requests
    assert request.headers["x-wokibrain-signature"] == legacy("sixteen letters!", request.body)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"events": ["booking.created", "booking.exploded"]}, "events"),
        ({"events": []}, "events"),
        ({"events": ["booking.created", "booking.created"]}, "events"),
        ({"events": "booking.created"}, "events"),
        ({"events": None}, "events"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "https://example.com/\x00"}, "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "url"),
        ({"secret": "fifteen letters"}, "secret"),
        ({"secret": "x" * 201}, "secret"),
        ({"secret": "whsec_not base64 at all"}, "secret"),
        ({"secret": 1234567890123456}, "secret"),
        ({"status": "ACTIVE", "active": False}, "active"),
        ({"status": "PAUSED", "active": True}, "active"),
        ({"status": "INACTIVE", "active": True}, "active"),
        ({"status": "RUNNING"}, "status"),
        ({"active": "yes"}, "active"),
        ({"restaurantId": "no such"}, "restaurantId"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_invalid_input_is_refused_and_its_field_named(call: Call, change: dict[str, Any], path: str) -> None:
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], **change})
    assert (status, answer["error"], paths(answer)) == (400, "VALIDATION_ERROR", [path])
    assert Webhook.objects.count() == 0
    hook = create_webhook(call)
    if "restaurantId" not in change:
        status, answer = call("PUT", f"/{hook['id']}", {"url": URL, "events": ["booking.created"], **change})
        assert (status, paths(answer)) == (400, [path])


@pytest.mark.parametrize("missing", ["url", "events"])
def test_missing_fields_are_named(call: Call, missing: str) -> None:
    body = {"url": URL, "events": ["booking.created"]}
    del body[missing]
    status, answer = call("POST", "", body)
    assert (status, paths(answer)) == (400, [missing])


@pytest.mark.parametrize(
    ("body", "status", "active"),
    [
        ({}, "ACTIVE", True),
        ({"active": True}, "ACTIVE", True),
        ({"active": False}, "INACTIVE", False),
        ({"status": "PAUSED"}, "PAUSED", False),
        ({"status": "PAUSED", "active": False}, "PAUSED", False),
        ({"status": "INACTIVE"}, "INACTIVE", False),
    ],
)
def test_active_mirrors_status(call: Call, body: dict[str, Any], status: str, active: bool) -> None:
    answer = create_webhook(call, **body)
    assert (answer["status"], answer["active"]) == (status, active)
    assert answer["statusReason"] == (None if active else "asked")


def test_sentence_follows_the_language_and_code_does_not(client: Client) -> None:
    response = client.post(
        "/api/v1/webhooks",
        {"url": URL, "events": ["x"]},
        content_type="application/json",
        headers={"X-API-Key": key(), "Accept-Language": "es"},
    )
    assert (response.status_code, response.json()["error"]) == (400, "VALIDATION_ERROR")
    assert response["Content-Language"] == "es"


def test_host_name_of_a_private_address_is_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipaddress import ip_address

    from webhooks import services

    monkeypatch.setattr(services, "addresses_of", lambda host, port: [ip_address("10.0.0.7")])
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"]})
    assert (status, paths(answer)) == (400, ["url"])


def test_put_replaces_and_patch_changes(call: Call) -> None:
    hook = create_webhook(call, status="PAUSED")
    status, answer = call("PATCH", f"/{hook['id']}", {"events": ["table.unavailable", "booking.updated"]})
    assert (status, answer["events"], answer["status"]) == (
        200,
        ["booking.updated", "table.unavailable"],
        "PAUSED",
    )
    status, answer = call("PUT", f"/{hook['id']}", {"url": URL + "2", "events": ["booking.no_show"]})
    assert (answer["url"], answer["events"], answer["status"]) == (URL + "2", ["booking.no_show"], "ACTIVE")
    assert "secret" not in answer
    assert call("PATCH", f"/{hook['id']}", {}) == (
        200,
        answer | {"updatedAt": call("GET", f"/{hook['id']}")[1]["updatedAt"]},
    )


def test_new_secret_by_patch_is_a_rotation_and_is_not_shown(call: Call) -> None:
    hook = create_webhook(call, secret="the first secret")
    status, answer = call("PATCH", f"/{hook['id']}", {"secret": "the second secret"})
    assert status == 200
    assert "secret" not in answer
    assert answer["previousSecretValidUntil"] is not None
    assert support.signs(Webhook.objects.get(), "the second secret", "the first secret")


def test_delete_confirms_and_removes_the_deliveries(call: Call) -> None:
    hook = create_webhook(call)
    support.publish_event()
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert call("DELETE", f"/{hook['id']}") == (200, {"message": "The webhook is deleted."})
    assert (Webhook.objects.count(), Delivery.objects.count()) == (0, 0)
    status, answer = call("DELETE", f"/{hook['id']}")
    assert (status, answer["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("body", [None, {}, {"secret": "a secret of one's own"}])
def test_rotation_shows_the_new_secret(call: Call, body: Any) -> None:
    hook = create_webhook(call)
    status, answer = call("POST", f"/{hook['id']}/rotate-secret", body)
    assert status == 200
    assert answer["secret"] != hook["secret"]
    assert answer["secret"] == (body or {}).get("secret", answer["secret"])
    until = datetime.fromisoformat(answer["previousSecretValidUntil"])
    assert timedelta(hours=23, minutes=59) < until - datetime.now(UTC) <= timedelta(hours=24)


def test_number_of_webhooks_is_bounded(call: Call, settings: Settings) -> None:
    settings.WEBHOOK_LIMIT = 2
    create_webhook(call)
    create_webhook(call)
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"]})
    assert (status, paths(answer)) == (400, ["restaurantId"])


def test_changes_enter_the_audit_trail_without_url_or_secret(call: Call) -> None:
    hook = create_webhook(call, secret="not for the audit trail")
    call("POST", f"/{hook['id']}/rotate-secret", {})
    call("PATCH", f"/{hook['id']}", {"status": "PAUSED"})
    call("DELETE", f"/{hook['id']}")
    entries = list(AuditEntry.objects.filter(target_type="webhook").order_by("occurred_at", "id"))
    assert [entry.action for entry in entries] == [
        "WebhookCreated",
        "WebhookSecretRotated",
        "WebhookUpdated",
        "WebhookDeleted",
    ]
    update = entries[2]
    assert (update.before["status"], update.after["status"]) == ("ACTIVE", "PAUSED")
    for entry in entries:
        assert (entry.target_id, entry.restaurant_id, entry.source) == (hook["id"], "R1", "rest")
        assert entry.actor.startswith("api_key:")
        assert "example.com" not in json.dumps(entry.after)


@pytest.mark.parametrize("path", ["rotate-secret", "test"])
def test_body_and_content_type_are_optional(client: Client, path: str) -> None:
    hook = support.webhook(URL)
    response = client.generic("POST", f"/api/v1/webhooks/{hook.pk}/{path}", headers={"X-API-Key": key()})
    assert response.status_code in (200, 202)


def test_list_takes_the_same_queries_whatever_its_length(
    call: Call, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for _ in range(20):
        support.webhook(URL)
    with django_assert_max_num_queries(5):
        assert len(call("GET", "")[1]["webhooks"]) == 20


def test_every_operation_is_documented() -> None:
    documented = {path for path in document()["paths"] if path.startswith("/api/v1/webhooks")}
    assert documented == {
        "/api/v1/webhooks",
        "/api/v1/webhooks/{webhook}",
        "/api/v1/webhooks/{webhook}/rotate-secret",
        "/api/v1/webhooks/{webhook}/test",
        "/api/v1/webhooks/{webhook}/deliveries",
        "/api/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver",
        "/api/v1/webhooks/{webhook}/recover",
    }
