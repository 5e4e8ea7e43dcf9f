"""What an inactive or paused webhook holds and drops, and how long messages are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from tests.webhooks import support
from tests.webhooks.rest import Call, create_webhook, long_ago
from tests.webhooks.support import Receiver
from webhooks import health, housekeeping, sender
from webhooks.models import Attempt, Delivery, Message, Webhook
from wokibrain.core import clock

pytestmark = pytest.mark.django_db


def test_paused_webhook_holds_deliveries_and_sends_them_in_order_on_resume(
    call: Call, receiver: Receiver
) -> None:
    hook = create_webhook(
        call, url=receiver.url, events=["booking.created", "booking.seated"], status="PAUSED"
    )
    booking = str(uuid4())
    support.publish_event(booking)
    support.publish_event(booking, 2, "BookingSeated")
    sender.drain()
    housekeeping.sweep()
    assert receiver.requests == []
    call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
    sender.drain()
    assert [request.headers["x-wokibrain-sequence"] for request in receiver.requests] == ["1", "2"]


def test_paused_webhook_holds_deliveries_for_at_most_72_hours(call: Call, receiver: Receiver) -> None:
    start = clock.now()
    with clock.frozen(start):
        hook = create_webhook(call, url=receiver.url, status="PAUSED")
        support.publish_event()
    with clock.frozen(start + timedelta(hours=50)):
        late = support.publish_event()
    with clock.frozen(start + timedelta(hours=71)):
        housekeeping.sweep()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"PENDING"}
    with clock.frozen(start + timedelta(hours=73)):
        call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
        sender.drain()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [str(late.event_id)]
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["DROPPED", "SUCCEEDED"]


def test_webhook_shows_that_it_is_still_dropping_deliveries(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_DROPPED_AT_ONCE", 1)
    hook = create_webhook(call)
    for _ in range(3):
        support.publish_event()
    before = Delivery.objects.latest("created_at").created_at + timedelta(microseconds=1)
    call("PATCH", f"/{hook['id']}", {"status": "INACTIVE"})
    status, answer = call("PATCH", f"/{hook['id']}", {"status": "ACTIVE"})
    assert (status, answer["status"]) == (200, "ACTIVE")
    dropping_before = datetime.fromisoformat(answer["droppingBefore"])
    assert dropping_before == before - timedelta(microseconds=before.microsecond % 1000), "to the millisecond"
    assert answer["droppingBefore"].endswith("-03:00")
    path = f"/{hook['id']}/recover?since={long_ago()}"
    status, refused = call("POST", path)
    assert (status, refused["error"]) == (409, "INVALID_TRANSITION")
    housekeeping.sweep()
    assert call("GET", f"/{hook['id']}")[1]["droppingBefore"] is None
    assert call("POST", path)[1]["queued"] == 3


def test_sweep_drops_deliveries_held_too_long_or_written_late(call: Call) -> None:
    create_webhook(call, status="PAUSED")
    support.publish_event()
    with clock.frozen(clock.now() + timedelta(hours=73)):
        assert housekeeping.sweep() is False
    assert Delivery.objects.get().status == "DROPPED"
    Webhook.objects.update(status="INACTIVE", paused_at=None)
    Delivery.objects.update(status="PENDING", due_at=clock.now(), finished_at=None)
    housekeeping.sweep()
    assert Delivery.objects.get().status == "DROPPED"


def test_messages_are_kept_for_thirty_days(call: Call, receiver: Receiver) -> None:
    create_webhook(call, url=receiver.url)
    support.publish_event()
    sender.drain()
    for days, count in ((29, 1), (31, 0)):
        with clock.frozen(clock.now() + timedelta(days=days)):
            housekeeping.sweep()
        assert [model.objects.count() for model in (Message, Delivery, Attempt)] == [count] * 3
