"""How long parties usually stay, learnt from when they sat down and left."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.db import connection

from bookings.statuses import Status
from wokibrain.core import clock

DAYS: Final = 90
"""The past days whose visits count."""
MIN_VISITS: Final = 20
"""Visits of a party size below which nothing is said about it."""
FIGURES_LIFETIME: Final = timedelta(hours=1)
"""How long a process keeps a restaurant's figures, which change by a minute in a week."""
MAX_RESTAURANTS: Final = 512

# A visit whose end nobody marked says nothing about how long parties stay.
MEDIANS: Final = f"""
SELECT visit.party_size, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY visit.seconds) / 60)::int
FROM (
    SELECT booking.party_size,
           extract(epoch FROM max(upper(seating.period)) - min(lower(seating.period))) AS seconds
    FROM bookings_booking AS booking JOIN bookings_seating AS seating ON seating.booking_id = booking.id
    WHERE booking.restaurant_id = %s AND booking.service_date BETWEEN %s AND %s
      AND booking.status = '{Status.COMPLETED.value}'
    GROUP BY booking.id
    HAVING NOT bool_or(seating.assumed)
) AS visit
GROUP BY visit.party_size HAVING count(*) >= {MIN_VISITS}
"""  # noqa: S608 - made of constants

_figures: Final[OrderedDict[str, tuple[datetime, Mapping[int, int]]]] = OrderedDict()
_lock: Final = Lock()


def usual_minutes(restaurant_id: str, party: int) -> int | None:
    """Return the median stay of parties of this size in minutes; None with fewer than MIN_VISITS of the last DAYS.

    Read from the database once in FIGURES_LIFETIME for each restaurant and process.
    """
    now = clock.now()
    with _lock:
        figures = _figures.get(restaurant_id)
    if figures is None or not timedelta() <= now - figures[0] < FIGURES_LIFETIME:
        figures = now, usual_stays(restaurant_id)
        with _lock:
            _figures[restaurant_id] = figures
            while len(_figures) > MAX_RESTAURANTS:
                _figures.popitem(last=False)
    return figures[1].get(party)


def usual_stays(restaurant_id: str) -> dict[int, int]:
    """Return the median stay in minutes of each party size that visited at least MIN_VISITS times in the last DAYS."""
    today = clock.now().date()
    with connection.cursor() as cursor:
        cursor.execute(MEDIANS, [restaurant_id, today - timedelta(days=DAYS), today])
        return dict(cursor.fetchall())
