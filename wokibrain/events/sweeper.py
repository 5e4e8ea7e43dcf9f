"""Sees to it that no event is lost: queues retries that are due and events that no consumer took, prunes receipts.

Runs inside the active relay. Running it twice, or in two processes at once, only queues work again.
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
from wokibrain.events.models import Failure
from wokibrain.events.registry import Consumer, Start
from wokibrain.events.retries import TRANSIENT
from wokibrain.events.sql import NEITHER_RECEIPT_NOR_FAILURE

log = logging.getLogger(__name__)

RETRY_EVERY_SECONDS: Final = 0.5
SETTLE_EVERY_SECONDS: Final = 10.0
"""Between two rounds of advancing watermarks, pruning receipts and redriving lost events."""
MORE_AFTER_SECONDS: Final = 1.0
"""Before the next round when there was more to redrive than goes at once."""
OUTAGE_PAUSE_SECONDS: Final = 5.0
"""After the queue failed: each further try may cost a time-out while events wait."""
LEASE: Final = timedelta(seconds=60)
"""How long a queued retry is not queued again."""
MAX_RETRIES: Final = 500
MAX_REDRIVEN: Final = 5_000
MAX_PRUNED: Final = 20_000
"""Rows of one consumer in one statement."""


class Sweeper:
    """Keeps the intervals: ``sweep`` may be called at any time and does only what is due."""

    def __init__(self) -> None:
        self._retry_next = self._settle_next = 0.0

    def sweep(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._retry_next:
                self._retry_next = now + RETRY_EVERY_SECONDS
                retry_due()
            if now >= self._settle_next:
                self._settle_next = now + min(SETTLE_EVERY_SECONDS, settings.EVENTS_REDRIVE_SECONDS)
                for consumer in registry.consumers():
                    advance(consumer)
                    prune(consumer)
                    if redrive(consumer) == MAX_REDRIVEN:
                        self._settle_next = now + MORE_AFTER_SECONDS
        except TRANSIENT as error:
            if connection.connection is None or connection.connection.closed:
                raise
            self._retry_next = self._settle_next = time.monotonic() + OUTAGE_PAUSE_SECONDS
            log.warning("the queue does not take work: %s", type(error).__name__)


def prepare() -> None:
    """Give every new consumer its watermark; one with ``Start.NOW`` skips the events published before."""
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
    """Queue the failures whose next try is due, and lease them. Return how many."""
    now = clock.now()
    names = [consumer.name for consumer in registry.consumers()]
    due = list(
        Failure.objects.filter(retry_at__lte=now, consumer__in=names).order_by("retry_at")[:MAX_RETRIES]
    )
    by_consumer: dict[str, list[Failure]] = {}
    for failure in due:
        by_consumer.setdefault(failure.consumer, []).append(failure)
    for name, failures in by_consumer.items():
        tasks.enqueue(registry.get(name), [failure.event_id for failure in failures], retrying=True)
        # If the task was faster, the row is gone or has its next time already.
        leased = Failure.objects.filter(pk__in=[failure.pk for failure in failures], retry_at__lte=now)
        leased.update(retry_at=now + LEASE)
    return len(due)


def advance(consumer: Consumer) -> None:
    """Move the watermark up to the first published event that is not settled.

    This is safe because ``published_at`` grows strictly: an event that is not visible yet will be marked later than
    all that are.
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
    """Delete the receipts that the watermark covers, except those of events that have a ``Failure``."""
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
            {"consumer": consumer.name, "limit": MAX_PRUNED},
        )


def unsettled(consumer: Consumer, older_than: timedelta = timedelta(0)) -> list[UUID]:
    """Return the published events above the watermark that have neither receipt nor failure, oldest first.

    At most MAX_REDRIVEN; ``older_than`` leaves out those published since.
    """
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
                "limit": MAX_REDRIVEN,
            },
        )
        return [row[0] for row in cursor.fetchall()]


def redrive(consumer: Consumer) -> int:
    """Queue again the events handed on EVENTS_REDRIVE_SECONDS ago that are not settled: a message or task was lost.

    Does nothing while the consumer's queue has work, because the tasks may still be in it. Return how many.
    """
    lost = unsettled(consumer, timedelta(seconds=settings.EVENTS_REDRIVE_SECONDS))
    if not lost or tasks.queued(consumer):
        return 0
    log.warning("%s: handing on %d events again that were lost", consumer.name, len(lost))
    tasks.enqueue(consumer, lost)
    return len(lost)
