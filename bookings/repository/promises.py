"""The wall times that guests were told of what is to come, and whether the instants follow from them.

In SQL with named columns, since a migration runs this too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import IntegrityError, connection, transaction

from bookings.event_types import BOOKING, TABLE
from bookings.models import Booking
from bookings.repository.records import Promise, plain_offset
from bookings.statuses import Status
from restaurants.selectors import RESTAURANT, derived_with, zone_names
from restaurants.services.zones import record_release
from wokibrain.core import clock, zones
from wokibrain.core.errors import UnknownZone
from wokibrain.events.sql import FIRST

BATCH: Final = 1_000
"""Rows read and written at a time."""
MAX_SHIFT: Final = timedelta(hours=3)
"""By how much a change of rules moves an instant at most; by more, it was the restaurant's zone that was changed."""
LAST_ID: Final = UUID(int=2**128 - 1)
UNKNOWN: Final = "unknown"
"""The release of instants that do not follow from their promises by this process's rules."""

BOOKINGS: Final = f"""
SELECT booking.id, booking.start, booking."end", restaurant.zone,
       CASE WHEN NOT booking.flags @> ARRAY['{Booking.Attention.ZONE.value}']::varchar[] THEN told.payload END
FROM bookings_booking AS booking
JOIN {RESTAURANT} ON restaurant.id = booking.restaurant_id
LEFT JOIN LATERAL ({
    FIRST.format(
        aggregate_type=f"'{BOOKING}'",
        aggregate_id="booking.id::text",
        condition="(payload ->> 'start')::timestamptz = booking.start",
    )
}) AS told ON true
WHERE booking.promised_start IS NULL AND (booking."end", booking.id) > (%(end)s, %(id)s)
ORDER BY booking."end", booking.id LIMIT %(limit)s
"""  # noqa: S608 - made of constants

BLOCKS: Final = f"""
SELECT block.id, block.start, block."end", allocation.sector_id, told.payload
FROM bookings_tableblock AS block
JOIN bookings_allocation AS allocation ON allocation.block_id = block.id
LEFT JOIN LATERAL ({
    FIRST.format(
        aggregate_type=f"'{TABLE}'",
        aggregate_id="block.table_id",
        condition="payload ->> 'blockId' = block.id::text AND (payload ->> 'start')::timestamptz = block.start",
    )
}) AS told ON true
WHERE block.promised_start IS NULL AND (block."end", block.id) > (%(end)s, %(id)s)
ORDER BY block."end", block.id LIMIT %(limit)s
"""  # noqa: S608 - made of constants

MISSING: Final = """
SELECT (SELECT count(*) FROM bookings_booking WHERE promised_start IS NULL AND "end" > %(now)s)
     + (SELECT count(*) FROM bookings_tableblock WHERE promised_start IS NULL AND "end" > %(now)s)
"""

KEEP_BOOKING: Final = """
UPDATE bookings_booking SET promised_start = %(wall)s, promised_zone = %(zone)s, promised_fold = %(fold)s
WHERE id = %(id)s AND promised_start IS NULL AND start = %(start)s
"""
KEEP_BLOCK: Final = """
UPDATE bookings_tableblock
SET promised_start = %(wall)s, promised_start_fold = %(fold)s, promised_zone = %(zone)s,
    promised_end = %(end_wall)s, promised_end_fold = %(end_fold)s
WHERE id = %(id)s AND promised_start IS NULL
"""
KEEP_OFFSET: Final = """
UPDATE bookings_allocation SET utc_offset = %(offset)s
WHERE {holder} = %(id)s AND utc_offset IS NULL AND lower(period) = %(start)s
"""


@dataclass(frozen=True, slots=True)
class Span:
    """What is held from one promised wall time to another, or to the instant ``end`` where that was not promised."""

    id: UUID
    start: Promise
    end: datetime
    end_promise: Promise | None = None


def complete() -> int:
    """Store the promises that are missing of what is to come; return how many there were.

    They are read from the events, which say the wall time and the offset of their day, whatever rules this process
    has. The first time it is also recorded which rules the instants follow. A restaurant whose zone this host lacks
    is left out.
    """
    done = sum(_keep("booking_id", KEEP_BOOKING, span) for span in _bookings_without())
    done += sum(_keep("block_id", KEEP_BLOCK, span) for span in _blocks_without())
    if derived_with() is None:
        record_release(UNKNOWN if any(differing()) else zones.release())
    return done


def differing() -> Iterator[tuple[str, UUID]]:
    """Yield ("booking" or "block", id) of what is to come and does not stand at its promise by this process's rules."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, start, promised_start, promised_zone, promised_fold FROM bookings_booking "
            "WHERE start > %s AND status = %s AND promised_start IS NOT NULL",
            [clock.now(), Status.CONFIRMED.value],
        )
        rows = [("booking", *row) for row in cursor.fetchall()]
        cursor.execute(
            'SELECT id, start, promised_start, promised_zone, promised_start_fold, "end", promised_end, '
            "promised_zone, promised_end_fold FROM bookings_tableblock "
            'WHERE "end" > %s AND promised_start IS NOT NULL',
            [clock.now()],
        )
        for row in cursor.fetchall():
            rows.append(("block", *row[:5]))
            rows.append(("block", row[0], *row[5:]))
    differ: dict[tuple[str, UUID], None] = {}
    for kind, id_, instant, wall, zone, fold in rows:
        if kind == "block" and instant <= clock.now():
            continue
        try:
            if Promise(instant, wall, zone, fold).derived() != instant:
                differ[kind, id_] = None
        except UnknownZone:
            continue
    yield from differ


def missing() -> int:
    """Return how many bookings and blocks to come have no promise stored."""
    with connection.cursor() as cursor:
        cursor.execute(MISSING, {"now": clock.now()})
        return int(cursor.fetchone()[0])


def _bookings_without() -> Iterator[Span]:
    for id_, start, end, zone, told in _rows(BOOKINGS):
        yield from _span(id_, start, end, zone, told, whole=False)


def _blocks_without() -> Iterator[Span]:
    names = zone_names()
    for id_, start, end, sector_id, told in _rows(BLOCKS):
        yield from _span(id_, start, end, names[sector_id], told, whole=True)


def _rows(sql: str) -> Iterator[Sequence[Any]]:
    end, id_ = clock.now(), LAST_ID
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"end": end, "id": id_, "limit": BATCH})
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < BATCH:
            return
        id_, _start, end, *_ = rows[-1]


def _span(
    id_: UUID, start: datetime, end: datetime, zone: str, told: Mapping[str, Any] | str | None, *, whole: bool
) -> Iterator[Span]:
    try:
        clock.zone(zone)
    except UnknownZone:
        return
    texts = orjson.loads(told) if isinstance(told, str) else told or {}
    closing = _told(end, zone, texts.get("end")) if whole else None
    yield Span(id_, _told(start, zone, texts.get("start")), end, closing)


def _told(instant: datetime, zone: str, text: str | None) -> Promise:
    """Return the wall time that the event's text says for the instant; by this process's rules where it says none."""
    now = Promise.of(instant, zone)
    if text is None:
        return now
    wall = datetime.fromisoformat(text).replace(tzinfo=None)
    if wall == now.wall or abs(wall - now.wall) > MAX_SHIFT or datetime.fromisoformat(text) != instant:
        return now
    return Promise(instant, wall, zone, 0)


def _keep(holder: str, statement: str, span: Span) -> int:
    offset = plain_offset(span.start, span.end)
    values: dict[str, Any] = {
        "id": span.id,
        "start": span.start.instant,
        "wall": span.start.wall,
        "zone": span.start.zone,
        "fold": span.start.fold,
    }
    if span.end_promise:
        values |= {"end_wall": span.end_promise.wall, "end_fold": span.end_promise.fold}
        if span.end_promise.offset < span.start.offset:
            offset = None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        kept = int(cursor.rowcount)
        # Two guests may have been promised one table by different rules already: the instants keep them apart.
        with suppress(IntegrityError), transaction.atomic():
            cursor.execute(
                KEEP_OFFSET.format(holder=holder),
                {"id": span.id, "start": span.start.instant, "offset": offset},
            )
    return kept
