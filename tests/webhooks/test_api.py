"""Webhooks over REST: what is taken, what is refused and named, and who sees what."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client, TestCase
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver
from webhooks import housekeeping, pump
from webhooks.models import Attempt, Delivery, Message, Webhook
from wokibrain import clock
from wokibrain.access.models import ApiKey
from wokibrain.access.permissions import Role
from wokibrain.events.models import AuditEntry
from wokibrain.openapi import document

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/woki"
Call = Callable[..., tuple[int, Any]]


def key(role: Role = Role.ADMIN, place: str | None = "R1") -> str:
    if place is not None:
        support.restaurant(place)
    token = "wk_" + secrets.token_hex(26)
    digest = hashlib.sha256(token.encode()).digest()
    ApiKey.objects.create(name="test", prefix=token[3:11], digest=digest, role=role, restaurant_id=place)
    return token


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


def paths(answer: Any) -> list[str]:
    return [issue["path"] for issue in answer["issues"]]


def made(call: Call, **more: Any) -> Any:
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], **more})
    assert status == 201, answer
    return answer


def test_new_webhook_shows_its_secret_once(call: Call) -> None:
    answer = made(call)
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


def test_own_secret_is_taken_and_signs(call: Call, receiver: Receiver) -> None:
    answer = made(call, url=receiver.url, secret="sixteen letters!")
    assert answer["secret"] == "sixteen letters!"
    support.happen()
    pump.drain()
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
def test_bad_input_is_refused_by_the_name_of_its_field(call: Call, change: dict[str, Any], path: str) -> None:
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], **change})
    assert (status, answer["error"], paths(answer)) == (400, "VALIDATION_ERROR", [path])
    assert Webhook.objects.count() == 0
    hook = made(call)
    if "restaurantId" not in change:
        status, answer = call("PUT", f"/{hook['id']}", {"url": URL, "events": ["booking.created"], **change})
        assert (status, paths(answer)) == (400, [path])


@pytest.mark.parametrize("missing", ["url", "events"])
def test_what_is_missing_is_named(call: Call, missing: str) -> None:
    body = {"url": URL, "events": ["booking.created"]}
    del body[missing]
    status, answer = call("POST", "", body)
    assert (status, paths(answer)) == (400, [missing])


@pytest.mark.parametrize(
    ("said", "status", "active"),
    [
        ({}, "ACTIVE", True),
        ({"active": True}, "ACTIVE", True),
        ({"active": False}, "INACTIVE", False),
        ({"status": "PAUSED"}, "PAUSED", False),
        ({"status": "PAUSED", "active": False}, "PAUSED", False),
        ({"status": "INACTIVE"}, "INACTIVE", False),
    ],
)
def test_active_mirrors_status(call: Call, said: dict[str, Any], status: str, active: bool) -> None:
    answer = made(call, **said)
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


def test_name_that_leads_inside_is_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipaddress import ip_address

    from webhooks import services

    monkeypatch.setattr(services, "addresses_of", lambda host, port: [ip_address("10.0.0.7")])
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"]})
    assert (status, paths(answer)) == (400, ["url"])


def test_put_replaces_and_patch_changes(call: Call) -> None:
    hook = made(call, status="PAUSED")
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
    hook = made(call, secret="the first secret")
    status, answer = call("PATCH", f"/{hook['id']}", {"secret": "the second secret"})
    assert status == 200
    assert "secret" not in answer
    assert answer["previousSecretValidUntil"] is not None
    stored = Webhook.objects.get()
    assert stored.secrets_at(clock.now()) == ["the second secret", "the first secret"]


def test_delete_says_so_and_takes_the_deliveries_along(call: Call) -> None:
    hook = made(call)
    support.happen()
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert call("DELETE", f"/{hook['id']}") == (200, {"message": "The webhook is deleted."})
    assert (Webhook.objects.count(), Delivery.objects.count()) == (0, 0)
    status, answer = call("DELETE", f"/{hook['id']}")
    assert (status, answer["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("body", [None, {}, {"secret": "a secret of one's own"}])
def test_rotation_shows_the_new_secret(call: Call, body: Any) -> None:
    hook = made(call)
    status, answer = call("POST", f"/{hook['id']}/rotate-secret", body)
    assert status == 200
    assert answer["secret"] != hook["secret"]
    assert answer["secret"] == (body or {}).get("secret", answer["secret"])
    until = datetime.fromisoformat(answer["previousSecretValidUntil"])
    assert timedelta(hours=23, minutes=59) < until - datetime.now(UTC) <= timedelta(hours=24)


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED", "INACTIVE"])
def test_test_is_sent_once_whatever_the_status(call: Call, receiver: Receiver, status: str) -> None:
    hook = made(call, url=receiver.url, events=["booking.cancelled", "booking.seated"], status=status)
    receiver.answer = Answer(500, body=b"not yet")
    code, queued = call("POST", f"/{hook['id']}/test")
    assert (code, queued["status"], queued["test"], queued["attempts"]) == (202, "PENDING", True, [])
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        pump.drain()
    with clock.frozen(clock.now() + timedelta(hours=1)):
        pump.drain()
    (request,) = receiver.requests
    body = json.loads(request.body)
    assert (body["event"], body["data"]["id"], body["data"]["status"]) == (
        "booking.cancelled",
        str(UUID(int=0)),
        "CANCELLED",
    )
    assert request.headers["x-wokibrain-test"] == "true"
    (shown,) = call("GET", f"/{hook['id']}/deliveries")[1]["deliveries"]
    (attempt,) = shown["attempts"]
    assert (shown["id"], shown["status"]) == (queued["id"], "FAILED")
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["responseHead"]) == (
        1,
        500,
        None,
        "not yet",
    )
    stored = Webhook.objects.get()
    assert (stored.status, stored.failures, stored.failing_since) == (status, 0, None)


def test_test_of_a_chosen_event(call: Call, receiver: Receiver) -> None:
    hook = made(call, url=receiver.url)
    assert call("POST", f"/{hook['id']}/test", {"event": "table.unavailable"})[0] == 202
    pump.drain()
    data = json.loads(receiver.requests[0].body)["data"]
    assert (data["partySize"], data["status"]) == (None, "UNAVAILABLE")
    status, answer = call("POST", f"/{hook['id']}/test", {"event": "nonsense"})
    assert (status, paths(answer)) == (400, ["event"])


def test_deliveries_show_their_attempts(call: Call, receiver: Receiver) -> None:
    hook = made(call, url=receiver.url)
    receiver.answer = Answer(503, body="é".encode() * 3000)
    event = support.happen(reference="K7M2QX")
    pump.drain()
    status, answer = call("GET", f"/{hook['id']}/deliveries")
    (shown,) = answer["deliveries"]
    (attempt,) = shown["attempts"]
    assert (status, answer["pagination"]["total"]) == (200, 1)
    assert (shown["event"], shown["eventId"], shown["bookingReference"]) == (
        "booking.created",
        str(event.event_id),
        "K7M2QX",
    )
    assert (shown["status"], shown["sequence"], shown["finishedAt"]) == ("PENDING", 1, None)
    assert datetime.fromisoformat(shown["nextAttemptAt"]) > datetime.fromisoformat(attempt["startedAt"])
    assert attempt["responseHead"] == "é" * 1024
    assert 0 <= attempt["latencyMs"] < 10_000
    assert call("GET", f"/{hook['id']}/deliveries?status=SUCCEEDED")[1]["deliveries"] == []
    assert (
        call("GET", f"/{hook['id']}/deliveries?event=booking.created&status=PENDING")[1]["pagination"][
            "total"
        ]
        == 1
    )
    code, refused = call("GET", f"/{hook['id']}/deliveries?status=LOST")
    assert (code, paths(refused)) == (400, ["status"])


def test_redelivery_has_the_same_id_and_bytes(call: Call, receiver: Receiver) -> None:
    hook = made(call, url=receiver.url)
    receiver.answer = Answer(404)
    support.happen()
    pump.drain()
    receiver.answer = Answer(200)
    sent = Delivery.objects.get()
    status, queued = call("POST", f"/{hook['id']}/deliveries/{sent.pk}/redeliver")
    assert (status, queued["id"], queued["status"]) == (202, str(sent.pk), "PENDING")
    pump.drain()
    first, second = receiver.requests
    assert first.body == second.body
    for header in ("x-wokibrain-delivery-id", "x-wokibrain-signature", "webhook-id"):
        assert first.headers[header] == second.headers[header]
    assert (first.headers["x-wokibrain-attempt"], second.headers["x-wokibrain-attempt"]) == ("1", "2")
    sent.refresh_from_db()
    assert (sent.status, sent.attempts, sent.tries) == ("SUCCEEDED", 2, 1)


def test_inactive_webhook_neither_redelivers_nor_recovers(call: Call) -> None:
    hook = made(call)
    support.happen()
    call("PATCH", f"/{hook['id']}", {"status": "INACTIVE"})
    dropped = Delivery.objects.get()
    assert dropped.status == "DROPPED"
    for path in (f"/deliveries/{dropped.pk}/redeliver", "/recover?since=" + long_ago()):
        status, answer = call("POST", f"/{hook['id']}{path}")
        assert (status, answer["error"]) == (409, "INVALID_TRANSITION")


def long_ago(**before: int) -> str:
    return (datetime.now(UTC) - timedelta(**(before or {"days": 1}))).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_recovery_queues_what_was_missed_and_nothing_twice(call: Call, receiver: Receiver) -> None:
    now = clock.now()
    hook = made(call, url=receiver.url)
    delivered = support.happen(at=now)
    pump.drain()
    receiver.answer = Answer(400)
    failed = support.happen(at=now)
    pump.drain()
    call("PATCH", f"/{hook['id']}", {"status": "INACTIVE"})
    missed = support.happen(at=now)
    support.happen(at=now, restaurantId="R2")
    support.happen(at=now, event_type="BookingSeated")
    before = support.happen(at=now - timedelta(days=2))
    publish()
    call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
    receiver.answer = Answer(200)
    receiver.requests.clear()
    status, answer = call("POST", f"/{hook['id']}/recover?since={long_ago()}")
    assert (status, answer) == (202, {"message": "2 deliveries are queued.", "queued": 2, "complete": True})
    pump.drain()
    sent = {request.headers["webhook-id"] for request in receiver.requests}
    assert sent == {str(failed.event_id), str(missed.event_id)}
    assert not sent & {str(delivered.event_id), str(before.event_id)}
    assert call("POST", f"/{hook['id']}/recover?since={long_ago()}")[1]["queued"] == 0


def publish() -> None:
    from wokibrain.events.models import StoredEvent
    from wokibrain.events.relay import mark_published

    mark_published(list(StoredEvent.objects.values_list("position", flat=True)))


@pytest.mark.parametrize("since", ["", "yesterday", "2025-10-22", "2025-10-22T20:00:00"])
def test_recovery_wants_an_instant(call: Call, since: str) -> None:
    hook = made(call)
    status, answer = call("POST", f"/{hook['id']}/recover?since={since}")
    assert (status, paths(answer)) == (400, ["since"])


@pytest.mark.parametrize("before", [{"days": 31}, {"days": -1}])
def test_recovery_reaches_no_further_than_what_is_kept(call: Call, before: dict[str, int]) -> None:
    hook = made(call)
    status, answer = call("POST", f"/{hook['id']}/recover?since={long_ago(**before)}")
    assert (status, paths(answer)) == (400, ["since"])


def test_paused_webhook_holds_and_sends_on_resume_in_order(call: Call, receiver: Receiver) -> None:
    hook = made(call, url=receiver.url, events=["booking.created", "booking.seated"], status="PAUSED")
    booking = str(uuid4())
    support.happen(booking)
    support.happen(booking, 2, "BookingSeated")
    pump.drain()
    housekeeping.sweep()
    assert receiver.requests == []
    call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
    pump.drain()
    assert [request.headers["x-wokibrain-sequence"] for request in receiver.requests] == ["1", "2"]


def test_paused_webhook_holds_no_longer_than_72_hours(call: Call, receiver: Receiver) -> None:
    start = clock.now()
    with clock.frozen(start):
        hook = made(call, url=receiver.url, status="PAUSED")
        support.happen()
    with clock.frozen(start + timedelta(hours=50)):
        late = support.happen()
    with clock.frozen(start + timedelta(hours=71)):
        housekeeping.sweep()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"PENDING"}
    with clock.frozen(start + timedelta(hours=73)):
        call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
        pump.drain()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [str(late.event_id)]
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["DROPPED", "SUCCEEDED"]


def test_sweep_drops_what_is_held_too_long_and_what_slipped_in(call: Call) -> None:
    made(call, status="PAUSED")
    support.happen()
    with clock.frozen(clock.now() + timedelta(hours=73)):
        assert housekeeping.sweep() is False
    assert Delivery.objects.get().status == "DROPPED"
    Webhook.objects.update(status="INACTIVE", paused_at=None)
    Delivery.objects.update(status="PENDING", due_at=clock.now(), finished_at=None)
    housekeeping.sweep()
    assert Delivery.objects.get().status == "DROPPED"


def test_messages_are_kept_for_thirty_days(call: Call, receiver: Receiver) -> None:
    made(call, url=receiver.url)
    support.happen()
    pump.drain()
    for days, left in ((29, 1), (31, 0)):
        with clock.frozen(clock.now() + timedelta(days=days)):
            housekeeping.sweep()
        assert [model.objects.count() for model in (Message, Delivery, Attempt)] == [left] * 3


def test_number_of_webhooks_is_bounded(call: Call, settings: Settings) -> None:
    settings.WEBHOOK_LIMIT = 2
    made(call)
    made(call)
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"]})
    assert (status, paths(answer)) == (400, ["restaurantId"])


def test_changes_enter_the_audit_trail_without_url_or_secret(call: Call) -> None:
    hook = made(call, secret="not for the audit trail")
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
    changed = entries[2]
    assert (changed.before["status"], changed.after["status"]) == ("ACTIVE", "PAUSED")
    for entry in entries:
        assert (entry.target_id, entry.restaurant_id, entry.source) == (hook["id"], "R1", "rest")
        assert entry.actor.startswith("api_key:")
        assert "example.com" not in json.dumps(entry.after)


# --- tenants ---------------------------------------------------------------------------------------------------------

EACH = [
    ("GET", "", None),
    ("PUT", "", {"url": URL, "events": ["booking.created"]}),
    ("PATCH", "", {"status": "PAUSED"}),
    ("DELETE", "", None),
    ("POST", "/rotate-secret", {}),
    ("POST", "/test", {}),
    ("GET", "/deliveries", None),
    ("POST", "/deliveries/DELIVERY/redeliver", None),
    ("POST", "/recover?since=" + long_ago(), None),
]


@pytest.mark.parametrize(("method", "path", "body"), EACH)
def test_webhook_of_another_is_not_there(call: Call, method: str, path: str, body: Any) -> None:
    foreign = [support.webhook(URL, place="R2"), support.webhook(URL, place=None)]
    support.happen(restaurantId="R2")
    state = list(Webhook.objects.order_by("pk").values())
    for hook in foreign:
        sent = Delivery.objects.get(webhook=hook)
        theirs = call(method, f"/{hook.pk}{path}".replace("DELIVERY", str(sent.pk)), body)
        nobodys = call(method, f"/{uuid4()}{path}".replace("DELIVERY", str(sent.pk)), body)
        for status, answer in (theirs, nobodys):
            answer.pop("requestId")
            assert (status, answer["error"]) == (404, "NOT_FOUND")
        assert theirs == nobodys
    assert list(Webhook.objects.order_by("pk").values()) == state


def test_delivery_of_another_webhook_is_not_there(call: Call) -> None:
    mine, other = support.webhook(URL), support.webhook(URL)
    support.happen()
    theirs = Delivery.objects.get(webhook=other)
    status, _ = call("POST", f"/{mine.pk}/deliveries/{theirs.pk}/redeliver")
    assert status == 404


@pytest.mark.parametrize("id", ["x", "1", "%00", "00000000-0000-0000-0000-000000000000"])
def test_id_that_is_none_is_not_found(call: Call, id: str) -> None:
    assert call("GET", f"/{id}")[0] == 404


@pytest.mark.parametrize("role", [Role.MANAGER, Role.STAFF, Role.API_CLIENT])
def test_others_may_not_manage_webhooks(call: Call, role: Role) -> None:
    hook = support.webhook(URL)
    token = key(role)
    assert call("GET", "", token=token)[0] == 403
    assert call("POST", "", {"url": URL, "events": ["booking.created"]}, token=token)[0] == 403
    assert call("GET", f"/{hook.pk}", token=token)[0] == 403


def test_nobody_may_not_manage_webhooks(call: Call) -> None:
    for method, path, body in [("GET", "", None), ("POST", "", {"url": URL, "events": ["booking.created"]})]:
        assert call(method, path, body, token=None)[0] == 401


def test_list_holds_only_ones_own(call: Call) -> None:
    mine = support.webhook(URL)
    support.webhook(URL, place="R2")
    support.webhook(URL, place=None)
    assert [each["id"] for each in call("GET", "")[1]["webhooks"]] == [str(mine.pk)]
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


@pytest.mark.parametrize("path", ["rotate-secret", "test"])
def test_body_and_its_type_may_be_left_out(client: Client, path: str) -> None:
    hook = support.webhook(URL)
    response = client.generic("POST", f"/api/v1/webhooks/{hook.pk}/{path}", headers={"X-API-Key": key()})
    assert response.status_code in (200, 202)


def test_list_costs_the_same_however_long(
    call: Call, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for _ in range(20):
        support.webhook(URL)
    with django_assert_max_num_queries(5):
        assert len(call("GET", "")[1]["webhooks"]) == 20


def test_webhook_for_a_restaurant_of_another_is_refused(call: Call) -> None:
    support.restaurant("R2")
    status, answer = call("POST", "", {"url": URL, "events": ["booking.created"], "restaurantId": "R2"})
    assert (status, answer["error"]) == (404, "NOT_FOUND")


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
