"""Gives events to a consumer so that each takes effect once, even if it is delivered twice or late.

A receipt (consumer, event) is written in the transaction of the effect; the process that inserts it does the work.
Receipts below the consumer's watermark are pruned, so the watermark is read after the insert: if the receipt was
pruned between two deliveries, the watermark covers the event by then (see ``sweeper``).

When a handler raises, the events of its batch are tried one by one, so that only the one at fault fails. A
``Failure`` row then keeps the event from ordinary deliveries until its next try. A try that failed because a service
was away (``TRANSIENT``) does not count, nor does one by a program that does not know the event's type: such an event
waits, however long, for a program that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from wokibrain.events import envelope, registry, types
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent
from wokibrain.events.registry import Consumer, Mode
from wokibrain.events.retries import TRANSIENT, NotStored, UnknownType, record_failure
from wokibrain.events.sql import ABOVE_WATERMARK

CONSUMER_LOCK: Final = 0x574B
"""First half of the advisory lock that a consumer's transactions share and a rebuild takes exclusively."""


def handle(consumer_name: str, event_ids: Iterable[UUID], *, retrying: bool = False) -> None:
    """Let a consumer handle those of ``event_ids`` that it has not handled yet.

    Skips events with a ``Failure``; with ``retrying`` it handles exactly those. Raises only if the database is away:
    then nothing is recorded, and the sweeper queues the events again.
    """
    consumer = registry.get(consumer_name)
    events = _load(consumer, set(event_ids))
    if not events:
        return
    try:
        _apply(consumer, events, retrying)
    except TRANSIENT as error:
        for event in events:
            record_failure(consumer, event.event_id, error, _origin(event))
    except Exception as error:
        if len(events) == 1:
            record_failure(consumer, events[0].event_id, error, _origin(events[0]))
            return
        for event in events:
            handle(consumer_name, [event.event_id], retrying=retrying)


def _load(consumer: Consumer, event_ids: set[UUID]) -> list[Envelope]:
    """Return the events in order of position. Those that cannot be handled are recorded as failures instead."""
    events = []
    for row in StoredEvent.objects.filter(event_id__in=event_ids).order_by("position"):
        event_ids.discard(row.event_id)
        event = Envelope.as_written(row)
        try:
            if types.get(event.event_type) is None:
                raise UnknownType(event.event_type)
            events.append(envelope.upcast(event))
        except Exception as error:
            record_failure(consumer, event.event_id, error, _origin(event))
    for event_id in event_ids:
        record_failure(consumer, event_id, NotStored("not in the event store"))
    return events


def _origin(event: Envelope) -> str:
    return f"{event.event_type} {event.aggregate_type}/{event.aggregate_id} v{event.version}"


def _apply(consumer: Consumer, events: Sequence[Envelope], retrying: bool) -> None:
    claim = _claim_failed if retrying else _claim_fresh
    if consumer.mode is Mode.INLINE:
        # The effect is outside the database: it comes first, and the receipt records it.
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
    """Keep a rebuild of this consumer's read models waiting until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [CONSUMER_LOCK, consumer.name]
        )


def _open(consumer: Consumer, events: Sequence[Envelope], retrying: bool) -> list[Envelope]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT event.event_id FROM events_storedevent AS event
            LEFT JOIN events_watermark AS mark ON mark.consumer = %(consumer)s
            LEFT JOIN events_failure f ON f.consumer = %(consumer)s AND f.event_id = event.event_id
            WHERE event.event_id = ANY (%(ids)s::uuid[])
              AND CASE WHEN %(retrying)s THEN f.retry_at IS NOT NULL ELSE f.id IS NULL AND {ABOVE_WATERMARK} END
              AND NOT EXISTS (SELECT FROM events_receipt r
                              WHERE r.consumer = %(consumer)s AND r.event_id = event.event_id)
            """,  # noqa: S608 - made of constants
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
            SELECT %s, delivered.event_id FROM unnest(%s::uuid[]) AS delivered(event_id)
            WHERE NOT EXISTS (SELECT FROM events_failure f WHERE f.consumer = %s AND f.event_id = delivered.event_id)
            ORDER BY delivered.event_id
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            [consumer.name, ids, consumer.name],
        )
        claimed = [row[0] for row in cursor.fetchall()]
        if not claimed:
            return []
        cursor.execute(
            f"""
            SELECT event.event_id FROM events_storedevent AS event
            LEFT JOIN events_watermark AS mark ON mark.consumer = %s
            WHERE event.event_id = ANY (%s::uuid[]) AND {ABOVE_WATERMARK}
            """,  # noqa: S608 - made of constants
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
            SELECT %s, delivered.event_id FROM unnest(%s::uuid[]) AS delivered(event_id) ORDER BY 2
            ON CONFLICT DO NOTHING RETURNING event_id
            """,
            [consumer.name, failed],
        )
        claimed = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id in claimed]
