"""Deleting what may be much: a webhook with its deliveries, and what was kept for as long as it is kept.

In the database and some at a time, each time in a transaction of its own. One statement
over all of it would hold a million locks while senders wait, and would not get done within the time a statement has;
the ORM's cascade would read every row into memory besides.
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

BATCH: Final = 1_000
BATCHES: Final = 10
"""How many are deleted in one go; what is left is for the next sweep, seconds later."""

# The webhook before its deliveries, as ``delivery.record`` does. Who else has it is at the same work, or writes down
# results or a new delivery: the next sweep comes soon enough.
LOCK_WEBHOOK: Final = """
SELECT FROM webhooks_webhook WHERE id = %s AND reason = 'deleted' FOR UPDATE SKIP LOCKED
"""
# In the order in which ``delivery.record`` locks them, and before their attempts are looked for: one may just be
# written down.
LOCK: Final = "SELECT id FROM webhooks_delivery WHERE id IN ({}) ORDER BY id FOR UPDATE"
OF_WEBHOOK: Final = "SELECT id FROM webhooks_delivery WHERE webhook_id = %s LIMIT %s"
OLD_MESSAGES: Final = "SELECT id FROM webhooks_message WHERE created_at < %s ORDER BY created_at LIMIT %s"
OF_MESSAGES: Final = "SELECT id FROM webhooks_delivery WHERE message_id = ANY (%s) LIMIT %s"

DELETE_SILENT: Final = """
DELETE FROM webhooks_message m
WHERE id = ANY (%s) AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.message_id = m.id)
"""


def mark(webhook: Webhook) -> None:
    """Make a webhook, locked by the caller, one that is deleted."""
    webhook.status, webhook.reason, webhook.paused_at = Webhook.Status.INACTIVE, Webhook.Reason.DELETED, None
    webhook.secret, webhook.previous_secret, webhook.previous_until = "", "", None
    webhook.dropping_before, webhook.updated_at = None, clock.now()
    webhook.save()
    # Of all that waits only these go to a webhook that is inactive.
    Delivery.objects.filter(webhook=webhook, stream=TEST_STREAM, status=Delivery.Status.PENDING).update(
        status=Delivery.Status.DROPPED, due_at=None, leased_until=None, finished_at=clock.now()
    )


def sweep() -> None:
    """Go on with the webhooks that are deleted, and with what is older than WEBHOOK_RETENTION_DAYS."""
    for webhook_id in Webhook.objects.filter(reason=Webhook.Reason.DELETED).values_list("pk", flat=True):
        dispose(webhook_id)
    purge(clock.now() - timedelta(days=settings.WEBHOOK_RETENTION_DAYS))


def dispose(webhook_id: UUID) -> None:
    """Delete the deliveries of a deleted webhook, or so many of them, and itself when there is none left.

    Leaves it alone while somebody else has it locked.
    """
    for _ in range(BATCHES):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_WEBHOOK, [webhook_id])
            if not cursor.rowcount:
                return
            if _delete_deliveries(OF_WEBHOOK, webhook_id) < BATCH:
                cursor.execute("DELETE FROM webhooks_webhook WHERE id = %s", [webhook_id])
                return


def purge(over: datetime) -> None:
    """Delete messages from before then with all that was done about them."""
    for _ in range(BATCHES):
        with transaction.atomic(), connection.cursor() as cursor:
            old = _ids(cursor, OLD_MESSAGES, over, BATCH)
            if not old:
                return
            _delete_deliveries(OF_MESSAGES, old)
            cursor.execute(DELETE_SILENT, [old])


def _delete_deliveries(which: str, of: UUID | Sequence[UUID]) -> int:
    """Up to BATCH of them. Returns how many there were."""
    with connection.cursor() as cursor:
        ids = _ids(cursor, LOCK.format(which), of, BATCH)
        cursor.execute("DELETE FROM webhooks_attempt WHERE delivery_id = ANY (%s)", [ids])
        cursor.execute("DELETE FROM webhooks_delivery WHERE id = ANY (%s)", [ids])
    return len(ids)


def _ids(cursor: Any, query: str, *parameters: object) -> list[UUID]:
    cursor.execute(query, parameters)
    return [row[0] for row in cursor.fetchall()]
