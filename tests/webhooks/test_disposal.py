"""Deleting a webhook, and what is old, where there is very much of it."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from tests.webhooks import support
from tests.webhooks.support import Receiver
from webhooks import delivery, disposal, housekeeping, pump, selectors, services
from webhooks.models import Attempt, Delivery, Message, Webhook
from wokibrain import clock
from wokibrain.access.callers import SYSTEM
from wokibrain.events.models import AuditEntry

pytestmark = pytest.mark.django_db
URL = "https://example.com/hooks"

FILL = """
WITH said AS (
    INSERT INTO webhooks_message (id, event, restaurant_id, reference, body, test, created_at)
    SELECT gen_random_uuid(), 'booking.created', 'R1', 'B' || n, '{}', false, %(at)s
    FROM generate_series(1, %(count)s) AS n RETURNING id
), sent AS (
    INSERT INTO webhooks_delivery
        (id, webhook_id, message_id, stream, sequence, status, due_at, attempts, tries, created_at, finished_at)
    SELECT gen_random_uuid(), %(webhook)s, id, 'booking:' || id, 1, 'SUCCEEDED', NULL, 1, 1, %(at)s, %(at)s
    FROM said RETURNING id
)
INSERT INTO webhooks_attempt (delivery_id, number, started_at, milliseconds, status_code, error, response_head)
SELECT id, 1, %(at)s, 20, 200, '', 'ok' FROM sent
"""


def fill(webhook: Webhook, count: int, *, days: int = 0) -> None:
    """So many deliveries of so many days ago, each with its one attempt."""
    with connection.cursor() as cursor:
        at = clock.now() - timedelta(days=days)
        cursor.execute(FILL, {"webhook": webhook.pk, "count": count, "at": at})


def left() -> tuple[int, int, int]:
    return Webhook.objects.count(), Delivery.objects.count(), Attempt.objects.count()


def delete(webhook: Webhook) -> None:
    services.delete_webhook(caller=SYSTEM, webhook_id=str(webhook.pk))


@pytest.fixture
def by_tens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disposal, "BATCH", 10)
    monkeypatch.setattr(disposal, "BATCHES", 2)


@pytest.mark.usefixtures("by_tens")
def test_webhook_with_many_deliveries_is_gone_for_all_at_once_and_cleared_by_sweeps() -> None:
    other, webhook = support.webhook(URL + "/other"), support.webhook(URL)
    fill(other, 3)
    fill(webhook, 45)
    delete(webhook)
    assert left() == (2, 28, 28)
    assert list(selectors.webhooks(SYSTEM)) == [other]
    support.happen()
    assert Delivery.objects.filter(webhook=webhook).count() == 25
    housekeeping.sweep()
    assert left() == (2, 9, 8)
    housekeeping.sweep()
    assert left() == (1, 4, 3)
    assert [entry.action for entry in AuditEntry.objects.filter(target_id=webhook.pk)] == ["WebhookDeleted"]


@pytest.mark.usefixtures("by_tens")
def test_deleted_webhook_is_sent_nothing_more_and_counts_for_nothing(
    receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_LIMIT = 1
    webhook = support.webhook(receiver.url)
    fill(webhook, 45)
    support.happen()
    services.send_test(caller=SYSTEM, webhook_id=str(webhook.pk))
    delete(webhook)
    assert pump.drain() == 0
    assert delivery.next_due() is None
    assert receiver.requests == []
    assert housekeeping.rekey() == 0
    made, _ = services.create_webhook(
        caller=SYSTEM, restaurant_id="R1", url=services.check_url(receiver.url), events=["booking.created"]
    )
    assert list(selectors.webhooks(SYSTEM)) == [made]


@pytest.mark.usefixtures("by_tens")
def test_old_messages_go_some_at_a_time_and_new_ones_stay() -> None:
    webhook, other = support.webhook(URL), support.webhook(URL + "/other")
    fill(webhook, 45, days=31)
    fill(other, 4, days=29)
    housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count(), Attempt.objects.count()) == (29, 29, 29)
    for _ in range(3):
        housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count(), Attempt.objects.count()) == (4, 4, 4)
    assert set(Delivery.objects.values_list("webhook", flat=True)) == {other.pk}


@pytest.mark.usefixtures("by_tens")
def test_message_goes_when_the_last_of_its_many_deliveries_went() -> None:
    for number in range(25):
        support.webhook(f"{URL}/{number}")
    with clock.frozen(clock.now() - timedelta(days=31)):
        support.happen()
    housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count()) == (1, 5)
    housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count()) == (0, 0)


def test_hundred_thousand_deliveries_take_no_memory_and_few_statements(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    webhook = support.webhook(URL)
    fill(webhook, 100_000)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with django_assert_max_num_queries(70):
            delete(webhook)
        answered = time.monotonic() - began
        while Webhook.objects.exists():
            disposal.sweep()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(
        f"answered after {answered:.1f} s, all gone after {time.monotonic() - began:.1f} s, {peak / 2**20:.1f} MB"
    )
    assert left() == (0, 0, 0)
    assert peak < 10 * 2**20


@contextmanager
def elsewhere(webhook: Webhook) -> Iterator[None]:
    """Meanwhile another session has the deliveries of the webhook locked, as a deletion has."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Delivery.objects.select_for_update().filter(webhook=webhook))
            locked.set()
            over.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(5)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_claim_does_not_wait_for_deliveries_that_are_being_deleted() -> None:
    going, staying = support.webhook(URL), support.webhook(URL + "/other")
    support.happen()
    with elsewhere(going):
        assert [job.webhook_id for job in delivery.claim(10).jobs] == [staying.pk]
    assert [job.webhook_id for job in delivery.claim(10).jobs] == [going.pk]


@pytest.mark.usefixtures("by_tens")
def test_what_waits_for_an_inactive_webhook_is_dropped_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from webhooks import health

    monkeypatch.setattr(health, "DROPPED_AT_ONCE", 2)
    webhook = support.webhook(URL)
    for _ in range(5):
        support.happen()
    services.update_webhook(caller=SYSTEM, webhook_id=str(webhook.pk), status=Webhook.Status.INACTIVE)
    dropped = []
    for _ in range(4):
        dropped.append(Delivery.objects.filter(status="DROPPED").count())
        housekeeping.sweep()
    assert dropped == [2, 4, 5, 5]
