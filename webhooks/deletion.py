"""Delete a webhook with its deliveries, and messages that are past their retention: both may be many rows.

Rows are deleted in batches, each in a transaction of its own. One statement for all would hold a million locks
while senders wait, and would exceed the statement timeout; the ORM's cascade would read every row into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from webhooks.models import TEST_STREAM, Delivery, Webhook
from wokibrain.core import clock

BATCH_SIZE: Final = 1_000
MAX_BATCHES: Final = 10
"""Batches per webhook and sweep; the next sweep, seconds later, continues."""

# Locks the webhook before its deliveries, as ``queue.record`` does. Skips one that another transaction has locked, to
# delete it too, to record results or to write a new delivery: the next sweep comes soon enough.
LOCK_WEBHOOK: Final = """
SELECT FROM webhooks_webhook WHERE id = %s AND reason = 'deleted' FOR UPDATE SKIP LOCKED
"""
# In the order in which ``queue.record`` locks them, and before their attempts are deleted: an attempt may be being
# recorded.
LOCK: Final = "SELECT id FROM webhooks_delivery WHERE id IN ({}) ORDER BY id FOR UPDATE"
OF_WEBHOOK: Final = "SELECT id FROM webhooks_delivery WHERE webhook_id = %s LIMIT %s"
OLD_MESSAGES: Final = "SELECT id FROM webhooks_message WHERE created_at < %s ORDER BY created_at LIMIT %s"
OF_MESSAGES: Final = "SELECT id FROM webhooks_delivery WHERE message_id = ANY (%s) LIMIT %s"

DELETE_EMPTY: Final = """
DELETE FROM webhooks_message m
WHERE id = ANY (%s) AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.message_id = m.id)
"""


def mark_deleted(webhook: Webhook) -> None:
    """Mark a webhook, locked by the caller, as deleted: it is hidden, sends nothing and has no secrets left."""
    webhook.status, webhook.reason, webhook.paused_at = Webhook.Status.INACTIVE, Webhook.Reason.DELETED, None
    webhook.secret, webhook.previous_secret, webhook.previous_until = "", "", None
    webhook.dropping_before, webhook.updated_at = None, clock.now()
    webhook.save()
    # Test deliveries are the only ones that would still be sent to an inactive webhook.
    Delivery.objects.filter(webhook=webhook, stream=TEST_STREAM, status=Delivery.Status.PENDING).update(
        status=Delivery.Status.DROPPED, due_at=None, leased_until=None, finished_at=clock.now()
    )


def sweep() -> None:
    """Delete more of the webhooks marked as deleted, and messages older than WEBHOOK_RETENTION_DAYS."""
    for webhook_id in Webhook.objects.filter(reason=Webhook.Reason.DELETED).values_list("pk", flat=True):
        delete_marked(webhook_id)
    delete_old(clock.now() - timedelta(days=settings.WEBHOOK_RETENTION_DAYS))


def delete_marked(webhook_id: UUID) -> None:
    """Delete up to MAX_BATCHES batches of a marked webhook's deliveries, and the webhook once none is left.

    Does nothing while another transaction has the webhook locked.
    """
    for _ in range(MAX_BATCHES):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_WEBHOOK, [webhook_id])
            if not cursor.rowcount:
                return
            if _delete_deliveries(OF_WEBHOOK, webhook_id) < BATCH_SIZE:
                cursor.execute("DELETE FROM webhooks_webhook WHERE id = %s", [webhook_id])
                return


def delete_old(before: datetime) -> None:
    """Delete messages created before ``before``, with their deliveries and attempts."""
    for _ in range(MAX_BATCHES):
        with transaction.atomic(), connection.cursor() as cursor:
            old = _ids(cursor, OLD_MESSAGES, before, BATCH_SIZE)
            if not old:
                return
            _delete_deliveries(OF_MESSAGES, old)
            cursor.execute(DELETE_EMPTY, [old])


def _delete_deliveries(query: str, owner: UUID | Sequence[UUID]) -> int:
    """Delete up to BATCH_SIZE deliveries that ``query`` selects. Return how many there were."""
    with connection.cursor() as cursor:
        ids = _ids(cursor, LOCK.format(query), owner, BATCH_SIZE)
        cursor.execute("DELETE FROM webhooks_attempt WHERE delivery_id = ANY (%s)", [ids])
        cursor.execute("DELETE FROM webhooks_delivery WHERE id = ANY (%s)", [ids])
    return len(ids)


def _ids(cursor: Any, query: str, *parameters: object) -> list[UUID]:
    cursor.execute(query, parameters)
    return [row[0] for row in cursor.fetchall()]
