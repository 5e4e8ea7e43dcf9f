"""What keeps the promise that nothing is lost: retries that are due, events nobody took, and old receipts.

Runs inside the active relay. All of it may be run twice or by two at once; it only hands out work again.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from wokibrain.core import clock
from wokibrain.events import registry, tasks
from wokibrain.events.dispatch import TRANSIENT
from wokibrain.events.models import Failure
from wokibrain.events.registry import Consumer, Start
from wokibrain.events.sql import NEITHER_RECEIPT_NOR_FAILURE

log = logging.getLogger(__name__)

RETRY_EVERY: Final = 0.5
SETTLE_EVERY: Final = 10.0
AFTER_FULL: Final = 1.0
AFTER_TROUBLE: Final = 5.0
LEASE: Final = timedelta(seconds=60)
RETRY_BATCH: Final = 500
REDRIVE_BATCH: Final = 5_000
PRUNE_BATCH: Final = 20_000


class Sweeper:
    """Call ``sweep()`` as often as you like; it does what is due."""

    def __init__(self) -> None:
        self._retry_next = self._settle_next = 0.0

    def sweep(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._retry_next:
                self._retry_next = now + RETRY_EVERY
                retry_due()
            if now >= self._settle_next:
                self._settle_next = now + min(SETTLE_EVERY, settings.EVENTS_REDRIVE_SECONDS)
                for consumer in registry.consumers():
                    advance(consumer)
                    prune(consumer)
                    if redrive(consumer) == REDRIVE_BATCH:
                        self._settle_next = now + AFTER_FULL
        except TRANSIENT as error:
            if connection.connection is None or connection.connection.closed:
                raise
            # The queue is away. Not asked again for a while: each question may cost a timeout.
            self._retry_next = self._settle_next = time.monotonic() + AFTER_TROUBLE
            log.warning("the queue does not take work: %s", type(error).__name__)


def prepare() -> None:
    """Give every consumer its watermark; one that starts now skips what was published before."""
    for consumer in registry.consumers():
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO events_watermark (consumer, through)
                SELECT %s, CASE WHEN %s THEN max(published_at) END FROM events_storedevent
                ON CONFLICT DO NOTHING
                """,
                [consumer.name, consumer.start is Start.NOW],
            )


def retry_due() -> int:
    """Queue the failures whose time has come, and lease them so that they are not queued again meanwhile."""
    now = clock.now()
    known = [one.name for one in registry.consumers()]
    due = list(
        Failure.objects.filter(retry_at__lte=now, consumer__in=known).order_by("retry_at")[:RETRY_BATCH]
    )
    by_consumer: dict[str, list[Failure]] = {}
    for failure in due:
        by_consumer.setdefault(failure.consumer, []).append(failure)
    for name, failures in by_consumer.items():
        tasks.enqueue(registry.get(name), [failure.event_id for failure in failures], retrying=True)
        # Where the task is faster than this, the row is gone or has its next time already.
        leased = Failure.objects.filter(pk__in=[failure.pk for failure in failures], retry_at__lte=now)
        leased.update(retry_at=now + LEASE)
    return len(due)


def advance(consumer: Consumer) -> None:
    """Move the watermark up to the first published event that is not settled.

    Right because ``published_at`` grows strictly from one hand-over to the next: what is not visible yet
    will be later than all that is.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH mark AS (
                SELECT coalesce(through, '-infinity') AS through FROM events_watermark WHERE consumer = %(consumer)s),
            open AS (
                SELECT min(event.published_at) AS first FROM events_storedevent event, mark
                WHERE event.published_at > mark.through AND event.aggregate_type = ANY (%(topics)s)
                  AND {NEITHER_RECEIPT_NOR_FAILURE}
            )
            UPDATE events_watermark SET through = reached.through
            FROM (SELECT max(event.published_at) AS through FROM events_storedevent event, open
                  WHERE open.first IS NULL OR event.published_at < open.first) AS reached
            WHERE consumer = %(consumer)s AND reached.through > coalesce(events_watermark.through, '-infinity')
            """,  # noqa: S608 - made of constants
            {"consumer": consumer.name, "topics": list(consumer.topics)},
        )


def prune(consumer: Consumer) -> None:
    """Delete receipts the watermark covers, but for events that still stand in ``Failure``."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM events_receipt WHERE consumer = %(consumer)s AND event_id IN (
                SELECT r.event_id FROM events_receipt r
                JOIN events_storedevent e ON e.event_id = r.event_id
                JOIN events_watermark w ON w.consumer = r.consumer
                WHERE r.consumer = %(consumer)s AND e.published_at <= w.through
                  AND NOT EXISTS (SELECT FROM events_failure f
                                  WHERE f.consumer = r.consumer AND f.event_id = r.event_id)
                LIMIT %(limit)s)
            """,
            {"consumer": consumer.name, "limit": PRUNE_BATCH},
        )


def unsettled(consumer: Consumer, older_than: timedelta = timedelta(0)) -> list[UUID]:
    """Published events above the watermark that have neither receipt nor failure, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT event.event_id FROM events_storedevent event
            LEFT JOIN events_watermark w ON w.consumer = %(consumer)s
            WHERE event.published_at > coalesce(w.through, '-infinity')
              AND event.published_at <= now() - make_interval(secs => %(age)s::float8)
              AND event.aggregate_type = ANY (%(topics)s)
              AND {NEITHER_RECEIPT_NOR_FAILURE}
            ORDER BY event.published_at LIMIT %(limit)s
            """,  # noqa: S608 - made of constants
            {
                "consumer": consumer.name,
                "topics": list(consumer.topics),
                "age": older_than.total_seconds(),
                "limit": REDRIVE_BATCH,
            },
        )
        return [row[0] for row in cursor.fetchall()]


def redrive(consumer: Consumer) -> int:
    """Queue again what was handed on long ago and has no receipt: its message or its task was lost.

    Not while the queue has work: then the tasks are there, and more of them would not help.
    """
    lost = unsettled(consumer, timedelta(seconds=settings.EVENTS_REDRIVE_SECONDS))
    if not lost or tasks.queued(consumer):
        return 0
    log.warning("%s: handing on %d events again that nobody took", consumer.name, len(lost))
    tasks.enqueue(consumer, lost)
    return len(lost)
