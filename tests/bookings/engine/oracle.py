"""The engine's rules implemented naively: no masks, no pruning, nothing shared but the dataclasses.

Slow on purpose. Minutes are walked one by one, every set of tables is tried at every start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from zoneinfo import ZoneInfo

from bookings.engine import Busy, Candidate, Table, Window

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """One request to both engine and oracle."""

    date: date
    zone: str
    windows: tuple[Window, ...]
    tables: tuple[Table, ...]
    busy: tuple[Busy, ...]
    party: int
    duration: int
    joins: tuple[tuple[str, str], ...] = ()
    combos: Mapping[frozenset[str], tuple[int, int]] = field(default_factory=dict)
    window_start: time | None = None
    window_end: time | None = None
    not_before: datetime | None = None
    start: datetime | None = None
    only: frozenset[str] | None = None
    limit: int = 10


@lru_cache(maxsize=64)
def minutes(zone: str, day: date) -> list[tuple[datetime, datetime]]:
    """Return (wall time, UTC) of every minute around ``day``."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    instants = [first + n * MINUTE for n in range(5 * 24 * 60)]
    return [(instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None), instant) for instant in instants]


@lru_cache(maxsize=20_000)
def clock(zone: str, day: date, wall: datetime) -> tuple[datetime, bool]:
    """Return the first minute whose wall time is ``wall`` or later, and whether it is exactly that."""
    reads, instant = next(minute for minute in minutes(zone, day) if minute[0] >= wall)
    return instant, reads == wall


def opened(case: Case) -> list[tuple[Window, datetime, datetime]]:
    """Return the service windows as instants, without those that a clock change leaves empty."""
    spans = []
    for window in case.windows:
        opens = datetime.combine(case.date, window.opens)
        closes = datetime.combine(case.date, window.closes)
        if closes <= opens:
            closes += DAY
        begin, end = clock(case.zone, case.date, opens)[0], clock(case.zone, case.date, closes)[0]
        if begin < end:
            spans.append((window, begin, end))
    return spans


def requested_windows(case: Case) -> list[tuple[datetime, datetime]]:
    """Return the requested window in each of its readings, or all time if none was requested."""
    spans = opened(case)
    if not spans or (case.window_start is None and case.window_end is None):
        return [(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))]
    opening, closing = min(a for _, a, _ in spans), max(b for _, _, b in spans)

    def at(wall: time, days: int) -> datetime:
        return clock(case.zone, case.date, datetime.combine(case.date, wall) + days * DAY)[0]

    if case.window_start is not None and case.window_end is not None:
        later = 1 if case.window_end < case.window_start else 0
        return [(at(case.window_start, n), at(case.window_end, n + later)) for n in (0, 1)]
    if case.window_start is not None:
        begin = at(case.window_start, 0)
        if not opening <= begin and opening <= at(case.window_start, 1) < closing:
            begin = at(case.window_start, 1)
        return [(begin, closing)]
    assert case.window_end is not None
    end = at(case.window_end, 0)
    if not opening < end and opening < at(case.window_end, 1) <= closing:
        end = at(case.window_end, 1)
    return [(opening, end)]


def starts(case: Case) -> list[datetime]:
    """The starts on offer, in order: each of a window in which, and in the requested one, the booking ends too."""
    length = timedelta(minutes=case.duration)
    instants = set()
    for window, begin, end in opened(case):
        opens = datetime.combine(case.date, window.opens)
        closes = datetime.combine(case.date, window.closes)
        if closes <= opens:
            closes += DAY
        last = None
        if window.last_seating is not None:
            last = datetime.combine(case.date, window.last_seating)
            if last < opens:
                last += DAY
        wall = opens
        while wall < closes:
            instant, exists = clock(case.zone, case.date, wall)
            inside = begin <= instant and instant + length <= end
            inside = inside and any(
                a <= instant and instant + length <= b for a, b in requested_windows(case)
            )
            if exists and inside and (last is None or wall <= last):
                instants.add(instant)
            wall += QUARTER
    return sorted(
        start
        for start in instants
        if (case.not_before is None or start >= case.not_before)
        and (case.start is None or start == case.start)
    )


def quarter(instant: datetime, up: bool) -> datetime:
    seconds = instant.astimezone(UTC).timestamp()
    below = int(seconds // 900)
    if up and seconds % 900:
        below += 1
    return datetime.fromtimestamp(below * 900, UTC)


def free(case: Case, table: Table, start: datetime) -> bool:
    end = start + timedelta(minutes=case.duration)
    for row in case.busy:
        if row.table_id != table.id or row.start >= row.end:
            continue
        if quarter(row.start, False) < end and start < quarter(row.end, True):
            return False
    return True


def together(case: Case, tables: Iterable[Table]) -> bool:
    ids = [table.id for table in tables]
    connected = {ids[0]}
    for _ in ids:
        for a, b in case.joins:
            if a in ids and b in ids and (a in connected or b in connected):
                connected |= {a, b}
    return connected == set(ids)


def seats(case: Case, tables: tuple[Table, ...]) -> tuple[int, int] | None:
    if len(tables) == 1:
        return tables[0].capacity_min, tables[0].capacity_max
    ids = frozenset(table.id for table in tables)
    if ids in case.combos:
        return case.combos[ids]
    if not all(table.combinable for table in tables):
        return None
    if case.joins and not together(case, tables):
        return None
    return sum(table.capacity_min for table in tables), sum(table.capacity_max for table in tables)


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return the sort key of a name: digits padded to 60 places, then the name itself to break ties."""
    out: list[tuple[int, str]] = []
    digits = ""
    for char in text + "\0":
        if char in "0123456789":
            digits += char
            continue
        if digits:
            out.append((0, digits.zfill(60)))
            digits = ""
        if char != "\0":
            out.append((1, char))
    return out, text


def answer(case: Case) -> list[Candidate]:
    """Return what `find` must return."""
    length = timedelta(minutes=case.duration)
    ranked = []
    whens = starts(case)
    at = {table.id: {when for when in whens if free(case, table, when)} for table in case.tables}
    for size in (1, 2, 3, 4):
        for tables in combinations(sorted(case.tables, key=lambda table: natural(table.id)), size):
            capacity = seats(case, tables)
            if capacity is None or not capacity[0] <= case.party <= capacity[1]:
                continue
            if case.only is not None and {table.id for table in tables} != case.only:
                continue
            score = Fraction(50 * case.party, capacity[1])
            score += 20 if size == 1 else 0
            score += 30 if case.party == capacity[1] else 0
            rounded_score = (Decimal(score.numerator) / Decimal(score.denominator)).quantize(
                Decimal("0.1"), ROUND_HALF_UP
            )
            for when in whens:
                if all(when in at[table.id] for table in tables):
                    ranked.append(
                        (-score, size > 1, when, size, [natural(t.id) for t in tables], tables, rounded_score)
                    )
    ranked.sort(key=lambda entry: entry[:5])
    return [
        Candidate(
            "combo" if combo else "single",
            tuple(table.id for table in tables),
            when,
            when + length,
            float(rounded_score),
            0,
        )
        for _, combo, when, _, _, tables, rounded_score in ranked[: case.limit]
    ]
