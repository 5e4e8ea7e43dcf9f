"""Invariants between bookings, the tables that they hold, and their events."""

from __future__ import annotations

from typing import Final

from bookings import statuses
from bookings.event_types import BOOKING
from bookings.statuses import Status
from wokibrain.events.invariants import count, register
from wokibrain.events.sql import LATEST

OVERLAPS: Final = """
SELECT count(*) FROM bookings_allocation a JOIN bookings_allocation b
    ON a.table_id = b.table_id AND a.id < b.id AND a.period && b.period
WHERE a.active AND b.active
"""

NOT_THE_FOLD: Final = f"""
SELECT count(*) FROM bookings_booking b
LEFT JOIN LATERAL ({LATEST.format(aggregate_type=f"'{BOOKING}'", aggregate_id="b.id::text")}) AS e (version, p) ON true
WHERE (e.version, p ->> 'restaurantId', p ->> 'sectorId', p -> 'tableIds', (p ->> 'serviceDate')::date,
       (p ->> 'start')::timestamptz, (p ->> 'end')::timestamptz, (p ->> 'partySize')::int, p ->> 'status')
    IS DISTINCT FROM
      (b.version, b.restaurant_id, b.sector_id, to_jsonb(b.table_ids), b.service_date,
       b.start, b."end", b.party_size::int, b.status)
"""  # noqa: S608 - made of constants

WRONGLY_HELD: Final = f"""
SELECT count(*) FROM bookings_booking b WHERE CASE WHEN b.status IN ({statuses.sql(statuses.OPEN)})
    THEN (SELECT array_agg(table_id::text ORDER BY table_id) FROM bookings_allocation a
          WHERE a.booking_id = b.id AND a.active AND a.period = tstzrange(b.start, b."end"))
         IS DISTINCT FROM (SELECT array_agg(t ORDER BY t) FROM unnest(b.table_ids::text[]) AS t)
    WHEN b.status IN ({statuses.sql(statuses.FREED)})
    THEN EXISTS (SELECT FROM bookings_allocation a WHERE a.booking_id = b.id AND a.active)
    ELSE false END
"""  # noqa: S608 - values of our own


TWO_PARTIES: Final = """
SELECT count(*) FROM bookings_seating a JOIN bookings_seating b
    ON a.table_id = b.table_id AND a.id < b.id AND a.period && b.period
"""

# A party that was at a table before the next one sat down there counted as gone from it when seatings began.
WRONGLY_SEATED: Final = f"""
SELECT (SELECT count(*) FROM bookings_seating s JOIN bookings_booking b ON b.id = s.booking_id
        WHERE upper_inf(s.period)
          AND NOT (b.status = '{Status.SEATED.value}' AND s.table_id = ANY (b.table_ids) AND s.sector_id = b.sector_id))
     + (SELECT count(*) FROM bookings_booking b, unnest(b.table_ids) AS t (id)
        WHERE b.status = '{Status.SEATED.value}'
          AND NOT EXISTS (SELECT FROM bookings_seating s
                          WHERE s.booking_id = b.id AND s.table_id = t.id AND upper_inf(s.period))
          AND NOT EXISTS (SELECT FROM bookings_seating s
                          WHERE s.booking_id <> b.id AND s.table_id = t.id AND lower(s.period) >= b.start))
"""  # noqa: S608 - values of our own


@register("no table is held twice at a time")
def overlaps() -> int:
    """Return how many pairs of allocations overlap at a table."""
    return count(OVERLAPS)


@register("no two parties sit at one table at a time")
def two_parties() -> int:
    """Return how many pairs of seatings overlap at a table."""
    return count(TWO_PARTIES)


@register("those who sit are seated, and sit at their tables")
def wrongly_seated() -> int:
    """Return how many tables have a party that is not seated there, or lack the one that is."""
    return count(WRONGLY_SEATED)


@register("every booking is the fold of its events")
def not_the_fold() -> int:
    """Return how many bookings differ from the payload of their latest event."""
    return count(NOT_THE_FOLD)


@register("every booking holds its tables, or none once it is gone")
def wrongly_held() -> int:
    """Return how many bookings hold other tables than they name, or hold any though they were cancelled."""
    return count(WRONGLY_HELD)
