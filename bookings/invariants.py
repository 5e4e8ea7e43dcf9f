"""Invariants between bookings, the tables that they hold, and their events."""

from __future__ import annotations

from typing import Final

from bookings import statuses
from bookings.event_types import BOOKING
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


@register("no table is held twice at a time")
def overlaps() -> int:
    """Return how many pairs of allocations overlap at a table."""
    return count(OVERLAPS)


@register("every booking is the fold of its events")
def not_the_fold() -> int:
    """Return how many bookings differ from the payload of their latest event."""
    return count(NOT_THE_FOLD)


@register("every booking holds its tables, or none once it is gone")
def wrongly_held() -> int:
    """Return how many bookings hold other tables than they name, or hold any though they were cancelled."""
    return count(WRONGLY_HELD)
