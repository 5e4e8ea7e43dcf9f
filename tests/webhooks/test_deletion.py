"""Deleting webhooks and old messages, also in great numbers."""

from __future__ import annotations

import threading
import time
import tracemalloc
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import TestCase
from pytest_django import DjangoAssertNumQueries, Settings

from tests.waiting import PATIENCE
from tests.webhooks import support
from tests.webhooks.sessions import Sessions, elsewhere
from tests.webhooks.support import Receiver
from tests.wokibrain.events import support as events
from webhooks import deletion, fanout, health, housekeeping, queue, selectors, sender, services
from webhooks.http_client import Outcome
from webhooks.models import Attempt, Delivery, Message, Webhook
from webhooks.queue import Result
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.events import envelope
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
    """Insert ``count`` deliveries that are ``days`` old, each with one attempt."""
    with connection.cursor() as cursor:
        at = clock.now() - timedelta(days=days)
        cursor.execute(FILL, {"webhook": webhook.pk, "count": count, "at": at})
        # As autovacuum does within a minute of such growth: a query plan that this connection cached when the
        # tables were empty would read all of a table for each key.
        cursor.execute("ANALYZE webhooks_message, webhooks_delivery, webhooks_attempt")


def count_rows() -> tuple[int, int, int]:
    return Webhook.objects.count(), Delivery.objects.count(), Attempt.objects.count()


def delete(webhook: Webhook) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        services.delete_webhook(caller=SYSTEM, webhook_id=str(webhook.pk))


@pytest.fixture
def by_tens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH_SIZE", 10)
    monkeypatch.setattr(deletion, "MAX_BATCHES", 2)


@pytest.mark.usefixtures("by_tens")
def test_webhook_with_many_deliveries_vanishes_at_once_and_is_deleted_by_sweeps() -> None:
    other, webhook = support.webhook(URL + "/other"), support.webhook(URL)
    fill(other, 3)
    fill(webhook, 45)
    delete(webhook)
    assert count_rows() == (2, 28, 28)
    assert list(selectors.webhooks(SYSTEM)) == [other]
    support.publish_event()
    assert Delivery.objects.filter(webhook=webhook).count() == 25
    housekeeping.sweep()
    assert count_rows() == (2, 9, 8)
    housekeeping.sweep()
    assert count_rows() == (1, 4, 3)
    assert [entry.action for entry in AuditEntry.objects.filter(target_id=webhook.pk)] == ["WebhookDeleted"]


@pytest.mark.usefixtures("by_tens")
def test_deleted_webhook_is_sent_nothing_and_counts_nowhere(receiver: Receiver, settings: Settings) -> None:
    settings.WEBHOOK_LIMIT = 1
    webhook = support.webhook(receiver.url)
    fill(webhook, 45)
    support.publish_event()
    services.send_test(caller=SYSTEM, webhook_id=str(webhook.pk))
    delete(webhook)
    assert sender.drain() == 0
    assert queue.next_due() is None
    assert receiver.requests == []
    assert housekeeping.rekey() == 0
    new_webhook, _ = services.create_webhook(
        caller=SYSTEM, restaurant_id="R1", url=services.check_url(receiver.url), events=["booking.created"]
    )
    assert list(selectors.webhooks(SYSTEM)) == [new_webhook]


@pytest.mark.usefixtures("by_tens")
def test_old_messages_are_deleted_in_batches_and_new_ones_stay() -> None:
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
def test_message_is_deleted_with_the_last_of_its_deliveries() -> None:
    for number in range(25):
        support.webhook(f"{URL}/{number}")
    with clock.frozen(clock.now() - timedelta(days=31)):
        support.publish_event()
    housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count()) == (1, 5)
    housekeeping.sweep()
    assert (Message.objects.count(), Delivery.objects.count()) == (0, 0)


def test_ten_thousand_deliveries_are_deleted_in_little_memory_and_few_statements(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    webhook = support.webhook(URL)
    fill(webhook, 25_000)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with django_assert_max_num_queries(70):
            delete(webhook)
        duration = time.monotonic() - began
        while Webhook.objects.exists():
            deletion.sweep()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(
        f"answered after {duration:.1f} s, all gone after {time.monotonic() - began:.1f} s, {peak / 2**20:.1f} MB"
    )
    assert count_rows() == (0, 0, 0)
    assert peak < 10 * 2**20


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("by_tens")
def test_two_concurrent_sweeps_delete_no_more_than_one(sessions: Sessions) -> None:
    webhook = support.webhook(URL)
    fill(webhook, 45)
    with transaction.atomic():
        deletion.mark_deleted(webhook)
    with elsewhere(webhook):
        first = sessions.start(lambda: deletion.delete_marked(webhook.pk), waiting=1)
        second = sessions.start(lambda: deletion.delete_marked(webhook.pk), waiting=2)
    for future in (first, second):
        future.result(PATIENCE)
    assert count_rows() == (1, 25, 25)


def remove(webhook: Webhook) -> None:
    """Delete a webhook as a request does, in a separate session."""
    services.delete_webhook(caller=SYSTEM, webhook_id=str(webhook.pk))


@pytest.mark.django_db(transaction=True)
def test_failing_webhook_is_deleted_while_its_results_are_recorded(sessions: Sessions) -> None:
    for number in range(2):
        support.webhook(f"{URL}/{number}")
    support.publish_event()
    done = [Result(job, Outcome(500, None, 10), clock.now()) for job in queue.claim(10).jobs]
    assert len(done) == 2
    # Locks are taken in order of the deliveries' ids.
    other, failing = (delivery.webhook for delivery in Delivery.objects.order_by("pk"))
    with transaction.atomic():
        deletion.mark_deleted(failing)
    with elsewhere(other):
        # The sweep has locked the webhooks and waits for the first delivery.
        recording = sessions.start(lambda: queue.record(done), waiting=1)
        disposing = sessions.start(lambda: deletion.delete_marked(failing.pk), waiting=2)
    for future in (recording, disposing):
        future.result(PATIENCE)
    assert count_rows() == (2, 2, 2)
    deletion.sweep()
    assert count_rows() == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_delivery_written_during_the_deletion_of_its_webhook_is_deleted(sessions: Sessions) -> None:
    webhook = support.webhook(URL)
    event = envelope.Envelope.as_written(events.append("", 1, "BookingCreated"))
    fanned_out, over = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            fanout.fan_out([event])
            fanned_out.set()
            over.wait(PATIENCE)

    writing = sessions.start(write)
    assert fanned_out.wait(PATIENCE)
    removing = sessions.start(lambda: remove(webhook), waiting=1)
    over.set()
    for future in (writing, removing):
        future.result(PATIENCE)
    assert count_rows() == (1, 1, 0)
    deletion.sweep()
    assert count_rows() == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_no_delivery_is_written_for_webhooks_that_are_being_deleted(sessions: Sessions) -> None:
    first, going, last = (support.webhook(f"{URL}/{number}") for number in range(3))
    event = envelope.Envelope.as_written(events.append("", 1, "BookingCreated"))

    def write() -> set[UUID]:
        with transaction.atomic():
            return {delivery.webhook_id for delivery in fanout.fan_out([event])}

    with transaction.atomic():
        deletion.mark_deleted(going)
        deletion.delete_marked(going.pk)
        writing = sessions.start(write, waiting=1)
        # A session that waits for one delivery does not block the others.
        for other in (first, last):
            assert health.drop_expired(selectors.lock_webhook(SYSTEM, str(other.pk))) == 0
    assert writing.result(PATIENCE) == {first.pk, last.pk}
    assert count_rows() == (2, 2, 0)


@pytest.mark.django_db(transaction=True)
def test_webhook_is_deleted_though_its_deliveries_are_locked(sessions: Sessions) -> None:
    webhook = support.webhook(URL)
    support.publish_event()

    def remove_in_haste() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        remove(webhook)

    with elsewhere(webhook):
        sessions.start(remove_in_haste).result(PATIENCE)
    assert list(selectors.webhooks(SYSTEM)) == []
    assert count_rows() == (1, 1, 0)
    deletion.sweep()
    assert count_rows() == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_claim_does_not_wait_for_deliveries_that_are_being_deleted() -> None:
    going, staying = support.webhook(URL), support.webhook(URL + "/other")
    support.publish_event()
    with elsewhere(going):
        assert [job.webhook_id for job in queue.claim(10).jobs] == [staying.pk]
    assert [job.webhook_id for job in queue.claim(10).jobs] == [going.pk]
