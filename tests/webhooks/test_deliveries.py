"""Tests, deliveries, redelivery and recovery over REST."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.webhooks import support
from tests.webhooks.rest import Call, create_webhook, long_ago, paths
from tests.webhooks.support import Answer, Receiver
from webhooks import sender
from webhooks.event_types import WEBHOOK_EVENTS
from webhooks.models import Delivery, Webhook
from wokibrain.core import clock
from wokibrain.events.types import event_types

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED", "INACTIVE"])
def test_test_is_sent_once_whatever_the_status(call: Call, receiver: Receiver, status: str) -> None:
    hook = create_webhook(
        call, url=receiver.url, events=["booking.cancelled", "booking.seated"], status=status
    )
    receiver.answer = Answer(500, body=b"not yet")
    code, queued = call("POST", f"/{hook['id']}/test")
    assert (code, queued["status"], queued["test"], queued["attempts"]) == (202, "PENDING", True, [])
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        sender.drain()
    with clock.frozen(clock.now() + timedelta(hours=1)):
        sender.drain()
    (request,) = receiver.requests
    body = json.loads(request.body)
    assert (body["event"], body["data"]["id"], body["data"]["status"]) == (
        "booking.cancelled",
        str(UUID(int=0)),
        "CANCELLED",
    )
    assert request.headers["x-wokibrain-test"] == "true"
    (delivery,) = call("GET", f"/{hook['id']}/deliveries")[1]["deliveries"]
    (attempt,) = delivery["attempts"]
    assert (delivery["id"], delivery["status"]) == (queued["id"], "FAILED")
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["responseHead"]) == (
        1,
        500,
        None,
        "not yet",
    )
    webhook = Webhook.objects.get()
    assert (webhook.status, webhook.failures, webhook.failing_since) == (status, 0, None)


def test_every_delivered_domain_event_type_is_registered() -> None:
    assert set(WEBHOOK_EVENTS) < {event_type.name for event_type in event_types()}


def test_test_of_a_chosen_event(call: Call, receiver: Receiver) -> None:
    hook = create_webhook(call, url=receiver.url)
    assert call("POST", f"/{hook['id']}/test", {"event": "table.unavailable"})[0] == 202
    sender.drain()
    data = json.loads(receiver.requests[0].body)["data"]
    assert (data["partySize"], data["status"]) == (None, "UNAVAILABLE")
    status, answer = call("POST", f"/{hook['id']}/test", {"event": "nonsense"})
    assert (status, paths(answer)) == (400, ["event"])


def test_deliveries_show_their_attempts(call: Call, receiver: Receiver) -> None:
    hook = create_webhook(call, url=receiver.url)
    receiver.answer = Answer(503, body="é".encode() * 3000)
    event = support.publish_event(reference="K7M2QX")
    sender.drain()
    status, answer = call("GET", f"/{hook['id']}/deliveries")
    (delivery,) = answer["deliveries"]
    (attempt,) = delivery["attempts"]
    assert (status, answer["pagination"]["total"]) == (200, 1)
    assert (delivery["event"], delivery["eventId"], delivery["bookingReference"]) == (
        "booking.created",
        str(event.event_id),
        "K7M2QX",
    )
    assert (delivery["status"], delivery["sequence"], delivery["finishedAt"]) == ("PENDING", 1, None)
    assert datetime.fromisoformat(delivery["nextAttemptAt"]) > datetime.fromisoformat(attempt["startedAt"])
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
    hook = create_webhook(call, url=receiver.url)
    receiver.answer = Answer(404)
    support.publish_event()
    sender.drain()
    receiver.answer = Answer(200)
    delivery = Delivery.objects.get()
    status, queued = call("POST", f"/{hook['id']}/deliveries/{delivery.pk}/redeliver")
    assert (status, queued["id"], queued["status"]) == (202, str(delivery.pk), "PENDING")
    sender.drain()
    first, second = receiver.requests
    assert first.body == second.body
    for header in ("x-wokibrain-delivery-id", "x-wokibrain-signature", "webhook-id"):
        assert first.headers[header] == second.headers[header]
    assert (first.headers["x-wokibrain-attempt"], second.headers["x-wokibrain-attempt"]) == ("1", "2")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.tries) == ("SUCCEEDED", 2, 1)


def test_inactive_webhook_neither_redelivers_nor_recovers(call: Call) -> None:
    hook = create_webhook(call)
    support.publish_event()
    call("PATCH", f"/{hook['id']}", {"status": "INACTIVE"})
    dropped = Delivery.objects.get()
    assert dropped.status == "DROPPED"
    for path in (f"/deliveries/{dropped.pk}/redeliver", "/recover?since=" + long_ago()):
        status, answer = call("POST", f"/{hook['id']}{path}")
        assert (status, answer["error"]) == (409, "INVALID_TRANSITION")


def test_recovery_queues_what_was_missed_and_nothing_twice(call: Call, receiver: Receiver) -> None:
    now = clock.now()
    hook = create_webhook(call, url=receiver.url)
    delivered = support.publish_event(at=now)
    sender.drain()
    receiver.answer = Answer(400)
    failed = support.publish_event(at=now)
    sender.drain()
    call("PATCH", f"/{hook['id']}", {"status": "INACTIVE"})
    missed = support.publish_event(at=now)
    support.publish_event(at=now, restaurantId="R2")
    support.publish_event(at=now, event_type="BookingSeated")
    before = support.publish_event(at=now - timedelta(days=2))
    publish()
    call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
    receiver.answer = Answer(200)
    receiver.requests.clear()
    status, answer = call("POST", f"/{hook['id']}/recover?since={long_ago()}")
    assert (status, answer) == (202, {"message": "2 deliveries are queued.", "queued": 2, "complete": True})
    sender.drain()
    sent_ids = {request.headers["webhook-id"] for request in receiver.requests}
    assert sent_ids == {str(failed.event_id), str(missed.event_id)}
    assert not sent_ids & {str(delivered.event_id), str(before.event_id)}
    assert call("POST", f"/{hook['id']}/recover?since={long_ago()}")[1]["queued"] == 0


def publish() -> None:
    from wokibrain.events.models import StoredEvent
    from wokibrain.events.relay import mark_published

    mark_published(list(StoredEvent.objects.values_list("position", flat=True)))


@pytest.mark.parametrize("since", ["", "yesterday", "2025-10-22", "2025-10-22T20:00:00"])
def test_recovery_requires_an_instant(call: Call, since: str) -> None:
    hook = create_webhook(call)
    status, answer = call("POST", f"/{hook['id']}/recover?since={since}")
    assert (status, paths(answer)) == (400, ["since"])


@pytest.mark.parametrize("before", [{"days": 31}, {"days": -1}])
def test_recovery_reaches_back_no_further_than_the_retention(call: Call, before: dict[str, int]) -> None:
    hook = create_webhook(call)
    status, answer = call("POST", f"/{hook['id']}/recover?since={long_ago(**before)}")
    assert (status, paths(answer)) == (400, ["since"])
