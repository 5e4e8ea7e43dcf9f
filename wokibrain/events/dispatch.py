"""Give events to a consumer so that each has its effect once, whatever is delivered twice, late or never.

A receipt (consumer, event) is written in the transaction of the effect; whoever inserts it does the work.
Receipts are pruned below the consumer's watermark, so the watermark is read after the insert: where the
receipt was pruned between two deliveries, the watermark already covers the event (see ``sweeper``).

A handler that raises fails for the event that made it raise, not for its batch. A ``Failure`` row then holds the
event back from ordinary deliveries until its next try; when the neighbour was merely away (``TRANSIENT``)
the try does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import kombu.exceptions
import redis.exceptions
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from wokibrain.core import clock
from wokibrain.events import envelope, registry, types
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import Failure, StoredEvent
from wokibrain.events.registry import Consumer, Mode

log = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
TRANSIENT_PAUSE: Final = timedelta(seconds=5)
TRANSIENT: Final = (
    OperationalError,
    InterfaceError,
    ConnectionError,
    TimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    kombu.exceptions.OperationalError,
)
"""What a neighbour that is away makes a handler raise."""

CONSUMER_LOCK: Final = 0x574B
"""First half of the advisory lock a consumer's work shares and a rebuild takes for itself."""


class Unknown(Exception):
    """An event that can never be handled as things stand: not in the store, or of a type nobody knows."""


def handle(consumer_name: str, event_ids: Iterable[UUID], *, retrying: bool = False) -> None:
    """Let a consumer handle those of ``event_ids`` it has not handled yet.

    Ordinary deliveries pass by an event with a ``Failure``; ``retrying`` handles exactly those. Raises only
    where the database itself is away: nothing is recorded then, and the sweeper brings the events again.
    """
    consumer = registry.get(consumer_name)
    known = _load(consumer, set(event_ids))
    if not known:
        return
    try:
        _apply(consumer, known, retrying)
    except TRANSIENT as error:
        for event in known:
            _fail(consumer, event.event_id, error, _origin(event))
    except Exception as error:
        if len(known) == 1:
            _fail(consumer, known[0].event_id, error, _origin(known[0]))
            return
        for event in known:
            handle(consumer_name, [event.event_id], retrying=retrying)


def _load(consumer: Consumer, event_ids: set[UUID]) -> list[Envelope]:
    """The events in order of position; what cannot be one for this consumer is booked as failed."""
    events = []
    for row in StoredEvent.objects.filter(event_id__in=event_ids).order_by("position"):
        event_ids.discard(row.event_id)
        event = Envelope.as_written(row)
        try:
            if types.get(event.event_type) is None:
                raise Unknown(f"unknown event type {event.event_type}")
            events.append(envelope.upcast(event))
        except Exception as error:
            _fail(consumer, event.event_id, error, _origin(event))
    for event_id in event_ids:
        _fail(consumer, event_id, Unknown("not in the event store"))
    return events


def _origin(event: Envelope) -> str:
    return f"{event.event_type} {event.aggregate_type}/{event.aggregate_id} v{event.version}"


def _apply(consumer: Consumer, events: Sequence[Envelope], retrying: bool) -> None:
    claim = _claim_failed if retrying else _claim_fresh
    if consumer.mode is Mode.INLINE:
        # The effect is not the database's: it comes first, and the receipt says that it came.
        if todo := _open(consumer, events, retrying):
            consumer.handler(todo)
            with transaction.atomic():
                claim(consumer, todo)
        return
    with transaction.atomic():
        share(consumer)
        if todo := claim(consumer, events):
            consumer.handler(todo)


def share(consumer: Consumer) -> None:
    """Hold off a rebuild of this consumer's read models until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [CONSUMER_LOCK, consumer.name]
        )


def _open(consumer: Consumer, events: Sequence[Envelope], retrying: bool) -> list[Envelope]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.event_id FROM events_storedevent e
            LEFT JOIN events_watermark w ON w.consumer = %(consumer)s
            LEFT JOIN events_failure f ON f.consumer = %(consumer)s AND f.event_id = e.event_id
            WHERE e.event_id = ANY (%(ids)s::uuid[])
              AND CASE WHEN %(retrying)s THEN f.retry_at IS NOT NULL ELSE f.id IS NULL
                  AND (e.published_at IS NULL OR w.through IS NULL OR e.published_at > w.through) END
              AND NOT EXISTS (SELECT FROM events_receipt r WHERE r.consumer = %(consumer)s AND r.event_id = e.event_id)
            """,
            {
                "consumer": consumer.name,
                "ids": [event.event_id for event in events],
                "retrying": retrying,
            },
        )
        ids = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id in ids]


def _claim_fresh(consumer: Consumer, events: Sequence[Envelope]) -> list[Envelope]:
    ids = [event.event_id for event in events]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO events_receipt (consumer, event_id)
            SELECT %s, wanted.event_id FROM unnest(%s::uuid[]) AS wanted(event_id)
            WHERE NOT EXISTS (SELECT FROM events_failure f WHERE f.consumer = %s AND f.event_id = wanted.event_id)
            ORDER BY wanted.event_id
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            [consumer.name, ids, consumer.name],
        )
        claimed = [row[0] for row in cursor.fetchall()]
        if not claimed:
            return []
        cursor.execute(
            """
            SELECT e.event_id FROM events_storedevent e
            LEFT JOIN events_watermark w ON w.consumer = %s
            WHERE e.event_id = ANY (%s::uuid[])
              AND (e.published_at IS NULL OR w.through IS NULL OR e.published_at > w.through)
            """,
            [consumer.name, claimed],
        )
        fresh = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id in fresh]


def _claim_failed(consumer: Consumer, events: Sequence[Envelope]) -> list[Envelope]:
    ids = [event.event_id for event in events]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM events_failure WHERE consumer = %s AND event_id = ANY (%s::uuid[]) "
            "AND retry_at IS NOT NULL RETURNING event_id",
            [consumer.name, ids],
        )
        failed = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            """
            INSERT INTO events_receipt (consumer, event_id)
            SELECT %s, wanted.event_id FROM unnest(%s::uuid[]) AS wanted(event_id) ORDER BY 2
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            [consumer.name, failed],
        )
        claimed = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id in claimed]


def _fail(consumer: Consumer, event_id: UUID, error: Exception, origin: str = "") -> None:
    """Book a failed try, unless another delivery has had the effect meanwhile."""
    hopeless = isinstance(error, Unknown)
    counts = not isinstance(error, TRANSIENT)
    text = f"{type(error).__name__}: {error}".replace("\x00", "")[:500]
    now = clock.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO events_failure (consumer, event_id, attempts, error, retry_at, origin, created_at)
                SELECT %s, %s::uuid, 0, %s, %s::timestamptz, %s, %s::timestamptz
                WHERE NOT EXISTS (SELECT FROM events_receipt WHERE consumer = %s AND event_id = %s::uuid)
                ON CONFLICT DO NOTHING
                """,
                [consumer.name, event_id, text, now, origin, now, consumer.name, event_id],
            )
        row = (
            Failure.objects.select_for_update()
            .filter(consumer=consumer.name, event_id=event_id, dead_at=None)
            .first()
        )
        if row is None:
            return
        row.attempts += counts
        row.error = text
        if hopeless or row.attempts >= MAX_ATTEMPTS:
            row.retry_at, row.dead_at = None, now
        else:
            row.retry_at = now + (_backoff(row.attempts) if counts else TRANSIENT_PAUSE)
        row.save(update_fields=["attempts", "error", "retry_at", "dead_at"])
    log.warning(
        "%s could not handle event %s (%s): %s",
        consumer.name,
        event_id,
        "dead" if row.dead_at else "again later",
        text,
    )


def _backoff(attempts: int) -> timedelta:
    return timedelta(seconds=settings.EVENTS_RETRY_SECONDS * 2 ** (attempts - 1))
