"""The read models of bookings: figures by day and sector, and by hour, quarter of arrival and table.

Each event adds the figures of the booking after it and subtracts those of the booking before it. Sums do not depend
on the order of their terms, so events may come in any order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from django.db import connection
from django.db.models import Model

from bookings import statuses
from bookings.models import BookingDay, BookingHour, BookingQuarter, TableDay
from bookings.selectors.history import evolve
from bookings.statuses import Status
from wokibrain.events import readmodels
from wokibrain.events.envelope import Envelope, Payload
from wokibrain.events.readmodels import ReadModel
from wokibrain.events.snapshots import save_snapshots
from wokibrain.events.store import with_previous

Key: TypeAlias = tuple[str | int, ...]
Figures: TypeAlias = dict[Key, dict[str, int]]

QUARTER_SECONDS: Final = 900


def apply_days(events: Sequence[Envelope], suffix: str = "") -> None:
    """Add the events to the figures by day; ``suffix`` as in ``wokibrain.events.readmodels``."""
    _add(BookingDay, _sum(events, _day), suffix)


def apply_analytics(events: Sequence[Envelope], suffix: str = "") -> None:
    """Add the events to the figures by hour, quarter of arrival and table."""
    _add(BookingHour, _sum(events, _hour), suffix)
    _add(BookingQuarter, _sum(events, _quarter), suffix)
    _add(TableDay, _sum(events, _tables), suffix)


def take_snapshots(events: Iterable[Envelope]) -> None:
    """Store the state of each booking that one of the events brings to a version due for a snapshot."""
    save_snapshots(events, evolve)


DAYS: Final = readmodels.register(ReadModel("days", "days", (BookingDay,), apply_days))
ANALYTICS: Final = readmodels.register(
    ReadModel("analytics", "analytics", (BookingHour, BookingQuarter, TableDay), apply_analytics)
)


# --- the figures of one booking --------------------------------------------------------------------------------------


def _day(booking: Payload) -> Figures:
    comes = booking["status"] not in statuses.FREED
    return {
        (booking["restaurantId"], booking["serviceDate"], booking["sectorId"]): {
            "bookings": int(comes),
            "covers": booking["partySize"] if comes else 0,
            "seated": int(booking["status"] in statuses.ARRIVED),
            "cancelled": int(booking["status"] == Status.CANCELLED),
            "no_shows": int(booking["status"] == Status.NO_SHOW),
        }
    }


def _hour(booking: Payload) -> Figures:
    comes = booking["status"] not in statuses.FREED
    # The start has the restaurant's own offset, so this is the hour on its clock.
    hour = datetime.fromisoformat(booking["start"]).hour
    return {
        (booking["restaurantId"], booking["serviceDate"], hour, booking["sectorId"]): {
            "bookings": 1,
            "covers": booking["partySize"] if comes else 0,
            "seated": int(booking["status"] in statuses.ARRIVED),
            "cancelled": int(booking["status"] == Status.CANCELLED),
            "no_shows": int(booking["status"] == Status.NO_SHOW),
            "table_minutes": _minutes(booking) * len(booking["tableIds"]) if comes else 0,
        }
    }


def _quarter(booking: Payload) -> Figures:
    comes = booking["status"] not in statuses.FREED
    start = datetime.fromisoformat(booking["start"]).timestamp()
    # In UTC, so that a key does not depend on the offset when the event was written.
    quarter = datetime.fromtimestamp(start // QUARTER_SECONDS * QUARTER_SECONDS, UTC).isoformat()
    return {
        (booking["restaurantId"], booking["serviceDate"], quarter): {
            "bookings": int(comes),
            "covers": booking["partySize"] if comes else 0,
        }
    }


def _tables(booking: Payload) -> Figures:
    comes = booking["status"] not in statuses.FREED
    return {
        (booking["restaurantId"], booking["serviceDate"], table_id): {
            "bookings": int(comes),
            "minutes": _minutes(booking) if comes else 0,
        }
        for table_id in booking["tableIds"]
    }


def _minutes(booking: Payload) -> int:
    start, end = (datetime.fromisoformat(booking[edge]) for edge in ("start", "end"))
    return round((end - start).total_seconds() / 60)


def _sum(events: Sequence[Envelope], figures: Callable[[Payload], Figures]) -> dict[Key, Counter[str]]:
    total: dict[Key, Counter[str]] = defaultdict(Counter)
    for previous, event in with_previous(events):
        for sign, version in ((1, event), (-1, previous)):
            if version is None:
                continue
            for key, values in figures(version.payload).items():
                for name, value in values.items():
                    total[key][name] += sign * value
    return total


def _add(model: type[Model], figures: dict[Key, Counter[str]], suffix: str) -> None:
    """Add the figures to the rows of their keys, in order of the keys so that concurrent batches do not deadlock."""
    if not figures:
        return
    key, values = readmodels.columns(model)
    columns = key + values
    rows = [[*row, *(counts[name] for name in values)] for row, counts in sorted(figures.items())]
    types = {field.column: field.db_type(connection) for field in model._meta.concrete_fields}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {model._meta.db_table}{suffix} AS l ({", ".join(columns)})
            SELECT * FROM unnest({", ".join(f"%s::{_plain(types[column])}[]" for column in columns)})
            ON CONFLICT ({", ".join(key)}) DO UPDATE SET
                {", ".join(f"{name} = l.{name} + EXCLUDED.{name}" for name in values)}
            """,  # noqa: S608 - names of our own tables
            [list(column) for column in zip(*rows, strict=True)],
        )


def _plain(db_type: str | None) -> str:
    return "text" if db_type is None or db_type.startswith("varchar") else db_type
