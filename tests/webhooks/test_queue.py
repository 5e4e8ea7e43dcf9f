"""From an event to a receiver's log."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver
from tests.wokibrain.events import support as events
from webhooks import queue, sender, signing
from webhooks.models import Attempt, Delivery, Message, Webhook
from wokibrain.core import clock
from wokibrain.core.ids import uuid7
from wokibrain.events.models import AuditEntry, StoredEvent
from wokibrain.ops import metrics

pytestmark = pytest.mark.django_db

BOOKING = "01970000-0000-7000-8000-000000000001"
BODY = (
    '{"event":"booking.created","data":{"id":"01970000-0000-7000-8000-000000000001","restaurantId":"R1",'
    '"sectorId":"S1","tableIds":["T1"],"partySize":2,"start":"2026-05-04T20:00:00-03:00",'
    '"end":"2026-05-04T21:30:00-03:00","durationMinutes":90,"status":"CONFIRMED",'
    '"createdAt":"2026-05-04T09:00:00-03:00"},"timestamp":"2026-05-04T09:00:00.000-03:00","id":"EVENT"}'
)


def test_receiver_gets_exactly_the_documented_request(receiver: Receiver) -> None:
    webhook = support.webhook(receiver.url)
    event = support.publish_event(BOOKING)
    assert sender.drain() == 1
    (request,) = receiver.requests
    delivery = Delivery.objects.get()
    assert request.path == "/hook"
    assert request.body.decode() == BODY.replace("EVENT", str(event.event_id))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-wokibrain-event"] == "booking.created"
    assert request.headers["x-wokibrain-delivery-id"] == str(delivery.pk)
    assert request.headers["x-wokibrain-attempt"] == "1"
    assert request.headers["x-wokibrain-sequence"] == "1"
    assert request.headers["x-wokibrain-signature"] == signing.legacy(support.SECRET, request.body)
    assert request.headers["webhook-id"] == str(event.event_id)
    assert "x-wokibrain-signature-previous" not in request.headers
    assert "x-wokibrain-test" not in request.headers
    assert (delivery.status, delivery.attempts, delivery.webhook_id) == ("SUCCEEDED", 1, webhook.pk)
    attempt = Attempt.objects.get()
    assert (attempt.number, attempt.status_code, attempt.error, attempt.response_head) == (1, 200, "", "ok")


def test_metrics_count_attempts_whose_rows_were_deleted(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    support.webhook(receiver.url)
    support.publish_event()
    support.publish_event()
    assert sender.drain() == 2
    receiver.answer = Answer(400)
    support.publish_event()
    assert sender.drain() == 1
    # Rows are deleted after a while; the count of attempts must not shrink.
    Attempt.objects.all().delete()
    lines = [
        line for line in metrics.exposition().decode().splitlines() if "webhook_deliveries_total" in line
    ]
    assert lines == [
        "# HELP webhook_deliveries_total Attempts to deliver to webhooks",
        "# TYPE webhook_deliveries_total counter",
        'webhook_deliveries_total{outcome="delivered"} 2.0',
        'webhook_deliveries_total{outcome="retry"} 0.0',
        'webhook_deliveries_total{outcome="failed"} 1.0',
        'webhook_deliveries_total{outcome="gone"} 0.0',
    ]


def test_update_lists_changes_in_the_order_of_the_data(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    support.publish_event(BOOKING)
    changes = {
        "guestId": {"from": None, "to": "x"},
        "notes": {"changed": True},
        "partySize": {"from": 2, "to": 4},
        "tableIds": {"from": ["T1"], "to": ["T2"]},
    }
    support.publish_event(BOOKING, 2, "BookingUpdated", partySize=4, changes=changes)
    sender.drain()
    body = json.loads(receiver.requests[1].body)
    assert list(body) == ["event", "data", "timestamp", "id"]
    assert list(body["data"])[-2:] == ["createdAt", "changes"]
    assert list(body["data"]["changes"]) == ["tableIds", "partySize", "notes"]
    assert list(body["data"]["changes"]["partySize"].items()) == [("from", 2), ("to", 4)]
    assert list(body["data"]["changes"]["tableIds"]) == ["from", "to"]


def test_blocked_table_has_the_shape_of_a_booking(receiver: Receiver) -> None:
    from django.db import transaction

    from wokibrain.events import store

    support.webhook(receiver.url, events=["table.unavailable"])
    with transaction.atomic():
        event = store.append(
            aggregate_type="table",
            aggregate_id="T1",
            expected_version=0,
            event_type="TableBlocked",
            payload={
                "tableId": "T1", "sectorId": "S1", "restaurantId": "R1", "blockId": BOOKING,
                "start": "2026-05-04T20:00:00-03:00", "end": "2026-05-04T22:00:00-03:00",
            },
            occurred_at=events.NOON,
        )  # fmt: skip
    support.hand(event.event_id)
    sender.drain()
    assert json.loads(receiver.requests[0].body) == {
        "event": "table.unavailable",
        "data": {
            "id": BOOKING, "restaurantId": "R1", "sectorId": "S1", "tableIds": ["T1"], "partySize": None,
            "start": "2026-05-04T20:00:00-03:00", "end": "2026-05-04T22:00:00-03:00", "durationMinutes": 120,
            "status": "UNAVAILABLE", "createdAt": "2026-05-04T09:00:00.000-03:00",
        },
        "timestamp": "2026-05-04T09:00:00.000-03:00",
        "id": str(event.event_id),
    }  # fmt: skip


def test_event_makes_one_delivery_for_each_subscribed_webhook() -> None:
    hears = support.webhook("https://example.com/1")
    everywhere = support.webhook("https://example.com/2", place=None)
    paused = support.webhook("https://example.com/3", status="PAUSED", reason="asked", paused_at=clock.now())
    support.webhook("https://example.com/4", events=["booking.cancelled"])
    support.webhook("https://example.com/5", status="INACTIVE", reason="asked")
    support.webhook("https://example.com/6", place="R2")
    event = support.publish_event()
    support.hand(event.event_id)
    assert set(Delivery.objects.values_list("webhook_id", flat=True)) == {hears.pk, everywhere.pk, paused.pk}
    assert Message.objects.count() == 1


def test_event_without_subscribers_writes_nothing() -> None:
    support.webhook("https://example.com/1", events=["booking.cancelled"])
    support.publish_event()
    assert (Message.objects.count(), Delivery.objects.count()) == (0, 0)


def test_first_attempts_keep_the_order_of_a_bookings_events(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    for version, kind in enumerate(
        ["BookingCreated", "BookingUpdated", "BookingSeated", "BookingCompleted"], 1
    ):
        support.publish_event(BOOKING, version, kind, changes={})
    # Claimed together, they would be sent concurrently.
    assert len(queue.claim(100).jobs) == 1
    Delivery.objects.update(leased_until=None, attempts=0, tries=0)
    sender.drain()
    assert [request.headers["x-wokibrain-sequence"] for request in receiver.requests] == ["1", "2", "3", "4"]


def test_first_attempt_waits_for_an_earlier_event_that_is_not_fanned_out_yet(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    first = events.append(BOOKING)
    support.publish_event(BOOKING, 2, "BookingUpdated", changes={})
    assert queue.claim(10).jobs == []
    support.hand(first.event_id)
    sender.drain()
    assert [request.headers["x-wokibrain-sequence"] for request in receiver.requests] == ["1", "2"]


def test_first_attempt_waits_a_bounded_time(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    events.append(BOOKING)
    support.publish_event(BOOKING, 2, "BookingUpdated", changes={})
    with clock.frozen(clock.now() + queue.MAX_ORDER_WAIT + timedelta(seconds=1)):
        assert [job.headers["X-WokiBrain-Sequence"] for job in queue.claim(10).jobs] == ["2"]


def test_one_endpoint_takes_no_more_than_its_share(settings: Settings, receiver: Receiver) -> None:
    settings.WEBHOOK_CONCURRENCY = 3
    support.webhook(receiver.url)
    support.webhook(receiver.url, place="R2")
    for _ in range(5):
        support.publish_event()
        support.publish_event(restaurantId="R2")
    claimed = queue.claim(100).jobs
    assert len(claimed) == 6
    assert queue.claim(100).jobs == []


def test_circuit_breaker_allows_one_probe_of_a_dead_endpoint_at_a_time(
    settings: Settings, receiver: Receiver
) -> None:
    receiver.answer = Answer(503)
    webhook = support.webhook(receiver.url)
    for _ in range(8):
        support.publish_event()
    now = clock.now() + timedelta(seconds=1)
    with clock.frozen(now):
        sender.drain()
    webhook.refresh_from_db()
    assert (len(receiver.requests), webhook.failures) == (8, 8)
    assert webhook.open_until == now + timedelta(seconds=5 * 2**3)
    with clock.frozen(now + timedelta(seconds=39)):
        assert queue.claim(10).jobs == []
    receiver.answer = Answer(200)
    with clock.frozen(now + timedelta(seconds=41)):
        assert len(queue.claim(10).jobs) == 1
        Delivery.objects.update(leased_until=None)
        sender.drain()
    assert Webhook.objects.filter(failures=0, open_until=None, failing_since=None).count() == 1
    assert set(Delivery.objects.values_list("status", flat=True)) == {"SUCCEEDED"}


def test_attempt_whose_worker_died_is_repeated(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    support.publish_event()
    (job,) = queue.claim(10).jobs
    assert queue.claim(10).jobs == []
    with clock.frozen(clock.now() + timedelta(seconds=31)):
        sender.drain()
    (request,) = receiver.requests
    assert request.headers["x-wokibrain-attempt"] == "2"
    assert request.headers["x-wokibrain-delivery-id"] == str(job.delivery_id)
    assert request.body == job.body


def test_late_success_of_an_abandoned_attempt_counts(receiver: Receiver) -> None:
    from webhooks.http_client import Outcome
    from webhooks.queue import Result

    support.webhook(receiver.url)
    support.publish_event()
    (late,) = queue.claim(10).jobs
    with clock.frozen(clock.now() + timedelta(seconds=31)):
        (again,) = queue.claim(10).jobs
        queue.record([Result(late, Outcome(200, None, 30_000), clock.now())])
        queue.record([Result(again, Outcome(500, None, 10), clock.now())])
    assert Delivery.objects.get().status == "SUCCEEDED"
    assert list(Attempt.objects.values_list("number", "status_code")) == [(1, 200), (2, 500)]


def test_endpoint_that_is_gone_becomes_inactive_with_a_visible_reason(receiver: Receiver) -> None:
    receiver.answer = Answer(410)
    webhook = support.webhook(receiver.url)
    support.publish_event(BOOKING)
    support.publish_event(BOOKING, 2, "BookingSeated")
    sender.drain()
    webhook.refresh_from_db()
    assert (webhook.status, webhook.reason, len(receiver.requests)) == ("INACTIVE", "gone", 1)
    assert list(Delivery.objects.order_by("sequence").values_list("status", flat=True)) == [
        "FAILED",
        "DROPPED",
    ]
    event = StoredEvent.objects.get(aggregate_type="webhook")
    assert (event.event_type, event.aggregate_id, event.version) == ("WebhookDeactivated", str(webhook.pk), 1)
    entry = AuditEntry.objects.get(event_id=event.event_id)
    assert (entry.action, entry.target_id, entry.restaurant_id) == (
        "WebhookDeactivated",
        str(webhook.pk),
        "R1",
    )
    assert entry.after == {"status": "INACTIVE", "reason": "gone"}


@pytest.mark.parametrize(
    ("hours", "deliveries", "status"),
    [(121, 20, "INACTIVE"), (119, 20, "ACTIVE"), (121, 19, "ACTIVE")],
)
def test_endpoint_that_only_fails_is_deactivated(
    hours: int, deliveries: int, status: str, receiver: Receiver
) -> None:
    receiver.answer = Answer(400)
    webhook = support.webhook(receiver.url)
    start = clock.now()
    for _ in range(deliveries - 1):
        support.publish_event()
    sender.drain()
    support.publish_event()
    with clock.frozen(start + timedelta(hours=hours)):
        sender.drain()
    webhook.refresh_from_db()
    assert len(receiver.requests) == deliveries
    assert (webhook.status, webhook.reason) == (status, "failing" if status == "INACTIVE" else "")


def test_secret_whose_encryption_key_is_lost_fails_the_attempt_without_sending(
    settings: Settings, receiver: Receiver
) -> None:
    support.webhook(receiver.url)
    support.publish_event()
    settings.WEBHOOK_SECRET_KEYS = ["another key, and not the one it was sealed with"]
    sender.drain()
    assert receiver.requests == []
    assert Attempt.objects.get(number=1).error == "secret_unreadable"
    assert Delivery.objects.get().status == "PENDING"


def test_deleting_a_webhook_deletes_its_results(receiver: Receiver) -> None:
    from webhooks.http_client import Outcome
    from webhooks.queue import Result

    webhook = support.webhook(receiver.url)
    support.publish_event()
    (job,) = queue.claim(10).jobs
    Webhook.objects.filter(pk=webhook.pk).delete()
    queue.record([Result(job, Outcome(200, None, 1), clock.now())])
    assert Attempt.objects.count() == 0


def test_reference_is_stored_for_search_and_not_sent(receiver: Receiver) -> None:
    support.webhook(receiver.url)
    support.publish_event(reference="K7M2QX")
    sender.drain()
    assert Message.objects.get().reference == "K7M2QX"
    assert b"K7M2QX" not in receiver.requests[0].body


def test_logs_contain_no_urls_or_secrets(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    support.webhook(f"{receiver.url}?token=not-for-the-logs")
    support.publish_event()
    sender.drain()
    assert receiver.requests[0].path == "/hook?token=not-for-the-logs"
    assert "not-for-the-logs" not in caplog.text
    assert support.SECRET not in caplog.text


def test_unknown_delivery_ids_are_ignored() -> None:
    from webhooks.http_client import Outcome
    from webhooks.queue import Job, Result

    job = Job(uuid7(), uuid7(), 1, "https://example.com/", {}, b"", clock.now())
    queue.record([Result(job, Outcome(200, None, 1), clock.now())])
    assert Attempt.objects.count() == 0
