"""Dropping queued deliveries that must never be sent, and only these, also in great numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.test import TestCase
from pytest_django import Settings

from tests.waiting import PATIENCE
from tests.webhooks import support
from tests.webhooks.sessions import Sessions, elsewhere
from tests.webhooks.support import Receiver
from webhooks import health, housekeeping, queue, sender, services
from webhooks.models import Delivery, Webhook
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import InvalidTransition

pytestmark = pytest.mark.django_db
URL = "https://example.com/hooks"


@pytest.fixture
def by_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_DROPPED_AT_ONCE", 2)
    monkeypatch.setattr(housekeeping, "MAX_BATCHES", 2)


@pytest.mark.usefixtures("by_twos")
def test_deliveries_waiting_for_an_inactive_webhook_are_dropped_in_batches() -> None:
    webhook = support.webhook(URL)
    for _ in range(7):
        support.publish_event()
    change(webhook, INACTIVE)
    counts = []
    for _ in range(4):
        counts.append(count_dropped())
        housekeeping.sweep()
    assert counts == [2, 6, 7, 7]


INACTIVE, PAUSED, ACTIVE = Webhook.Status.INACTIVE, Webhook.Status.PAUSED, Webhook.Status.ACTIVE


def change(webhook: Webhook, *statuses: Webhook.Status) -> None:
    for status in statuses:
        services.update_webhook(caller=SYSTEM, webhook_id=str(webhook.pk), status=status)


def count_dropped() -> int:
    return Delivery.objects.filter(status="DROPPED").count()


def ids(receiver: Receiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


@pytest.mark.parametrize(
    ("way", "at_once"),
    [((INACTIVE, ACTIVE), 4), ((INACTIVE, PAUSED, ACTIVE), 6), ((PAUSED, INACTIVE, ACTIVE), 4)],
)
@pytest.mark.usefixtures("by_twos")
def test_deliveries_that_waited_for_an_inactive_webhook_are_dropped_by_sweeps_after_reactivation(
    way: tuple[Webhook.Status, ...], at_once: int, receiver: Receiver
) -> None:
    webhook = support.webhook(receiver.url)
    for _ in range(9):
        support.publish_event()
    change(webhook, *way)
    assert count_dropped() == at_once
    event = support.publish_event()
    assert sender.drain() == 0
    assert queue.next_due() is None
    while Webhook.objects.get().dropping_before:
        before = count_dropped()
        housekeeping.sweep()
        assert before < count_dropped() <= before + 4
    assert count_dropped() == 9
    assert sender.drain() == 1
    assert ids(receiver) == [str(event.event_id)]


@pytest.mark.usefixtures("by_twos")
def test_few_deliveries_waiting_for_an_inactive_webhook_are_dropped_at_once(receiver: Receiver) -> None:
    webhook = support.webhook(receiver.url)
    for _ in range(3):
        support.publish_event()
    change(webhook, INACTIVE, ACTIVE)
    assert (count_dropped(), Webhook.objects.get().dropping_before) == (3, None)
    support.publish_event()
    assert sender.drain() == 1


@pytest.mark.usefixtures("by_twos")
def test_deliveries_that_waited_for_a_deactivated_webhook_are_not_sent_after_reactivation(
    receiver: Receiver,
) -> None:
    webhook = support.webhook(receiver.url)
    for _ in range(7):
        support.publish_event()
    health.deactivate(webhook, Webhook.Reason.GONE)
    change(webhook, ACTIVE)
    assert count_dropped() == 4
    housekeeping.sweep()
    assert sender.drain() == 0
    assert count_dropped() == 7


@pytest.mark.usefixtures("by_twos")
def test_deliveries_held_too_long_are_dropped_on_resume_and_the_rest_sent_in_order(
    receiver: Receiver, settings: Settings
) -> None:
    webhook = support.webhook(receiver.url)
    booking = str(uuid4())
    with clock.frozen(clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS + 1)):
        change(webhook, PAUSED)
        for _ in range(6):
            support.publish_event()
        support.publish_event(booking)
    kept_events = [
        support.publish_event(booking, version, "BookingUpdated", changes={}) for version in (2, 3)
    ]
    change(webhook, ACTIVE)
    assert (count_dropped(), sender.drain()) == (2, 0)
    kept_events.append(support.publish_event(booking, 4, "BookingSeated"))
    housekeeping.sweep()
    assert (count_dropped(), sender.drain()) == (6, 0)
    housekeeping.sweep()
    assert (count_dropped(), sender.drain()) == (7, 3)
    assert ids(receiver) == [str(event.event_id) for event in kept_events]


@pytest.mark.usefixtures("by_twos")
def test_deliveries_written_by_a_slow_clock_are_not_dropped(receiver: Receiver) -> None:
    webhook = support.webhook(receiver.url)
    at = clock.now()
    with clock.frozen(at - timedelta(minutes=1)):
        for _ in range(7):
            support.publish_event()
    change(webhook, INACTIVE, ACTIVE)
    with clock.frozen(at - timedelta(seconds=2)):
        event = support.publish_event()
    housekeeping.sweep()
    assert sender.drain() == 1
    assert ids(receiver) == [str(event.event_id)]


@pytest.mark.usefixtures("by_twos")
def test_redelivery_is_refused_while_the_delivery_could_still_be_dropped(receiver: Receiver) -> None:
    webhook = support.webhook(receiver.url)
    start = clock.now()
    for _ in range(7):
        support.publish_event()
    change(webhook, INACTIVE, ACTIVE)
    delivery = Delivery.objects.filter(status="DROPPED").first()
    assert delivery is not None

    def again() -> None:
        services.redeliver(caller=SYSTEM, webhook_id=str(webhook.pk), delivery_id=str(delivery.pk))

    def recover(since: datetime) -> int:
        return services.recover(caller=SYSTEM, webhook_id=str(webhook.pk), since=since).queued

    for attempt in (again, lambda: recover(start)):
        with pytest.raises(InvalidTransition) as refused:
            attempt()
        assert "still being dropped" in str(refused.value.detail)
    assert recover(clock.now()) == 0
    housekeeping.sweep()
    again()
    assert recover(start) == 6
    assert sender.drain() == 7


@pytest.mark.usefixtures("by_twos")
@pytest.mark.parametrize("end", ["inactive", "gone", "deleted"])
def test_webhook_deactivated_while_dropping_drops_everything(end: str) -> None:
    webhook = support.webhook(URL)
    for _ in range(7):
        support.publish_event()
    change(webhook, INACTIVE, ACTIVE)
    support.publish_event()
    webhook.refresh_from_db()
    match end:
        case "inactive":
            change(webhook, INACTIVE)
        case "gone":
            health.deactivate(webhook, Webhook.Reason.GONE)
        case _:
            with TestCase.captureOnCommitCallbacks(execute=True):
                services.delete_webhook(caller=SYSTEM, webhook_id=str(webhook.pk))
    for _ in range(2):
        housekeeping.sweep()
    assert Delivery.objects.exclude(status="DROPPED").count() == 0
    assert count_dropped() == (0 if end == "deleted" else 8)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", [INACTIVE, PAUSED])
def test_sweep_drops_nothing_of_a_webhook_activated_meanwhile(
    before: Webhook.Status, sessions: Sessions, settings: Settings
) -> None:
    with clock.frozen(clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS + 1)):
        for number in range(2):
            support.webhook(f"{URL}/{number}")
        support.publish_event()
        paused_at = clock.now() if before == PAUSED else None
        Webhook.objects.update(status=before, reason=Webhook.Reason.ASKED, paused_at=paused_at)
    slow, webhook = Webhook.objects.all()
    mine = Delivery.objects.filter(webhook=webhook)
    with elsewhere(slow):
        # The sweep has read the webhooks and waits for the first one's deliveries.
        sweeping = sessions.start(housekeeping.sweep, waiting=1)
        change(webhook, ACTIVE)
        assert mine.get().status == "DROPPED"
        services.redeliver(caller=SYSTEM, webhook_id=str(webhook.pk), delivery_id=str(mine.get().pk))
    sweeping.result(PATIENCE)
    assert Delivery.objects.get(webhook=slow).status == "DROPPED"
    assert mine.get().status == "PENDING"
