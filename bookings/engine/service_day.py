"""The service day: wall-clock windows on a grid of elapsed quarter hours.

Bit s of every mask stands for slot s, the quarter hour that begins s x 15 elapsed minutes after the
day's ``origin``. In the engine, wall times become instants in this module only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SLOT_MINUTES = 15
SLOT = timedelta(minutes=SLOT_MINUTES)

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """One service window of a service day, in naive wall-clock times on the quarter hour.

    ``closes <= opens`` means closing on the next day. ``last_seating`` is the latest start as the clock
    reads, on the next day if earlier than ``opens``; None means any start from which the booking fits.
    Raises ValueError for a time that is off the quarter hour or carries a time zone.
    """

    opens: time
    closes: time
    last_seating: time | None = None

    def __post_init__(self) -> None:
        for edge in (self.opens, self.closes, self.last_seating):
            if edge is None:
                continue
            if edge.tzinfo is not None or edge.minute % SLOT_MINUTES or edge.second or edge.microsecond:
                raise ValueError(f"{edge.isoformat()} is not a wall time on the quarter hour")


@dataclass(frozen=True, slots=True)
class Span:
    """The slots from ``lo`` up to but not including ``hi`` that one booking may use, and masks of its starts.

    ``starts`` are the slots offered to guests. ``seats`` are the slots in which a party that is already
    there may sit down: all up to the last seating, including the repeated hour after the clock goes back,
    which is never offered.
    """

    lo: int
    hi: int
    starts: int
    seats: int


@dataclass(frozen=True, slots=True, eq=False)
class RestrictedDay:
    """A service day cut down to the window that a guest requested.

    ``intervals`` are the requested window as UTC instants, empty if none was requested. ``spans`` are its
    intersections with the service windows; a booking must lie inside one of them.
    """

    day: ServiceDay
    intervals: tuple[tuple[datetime, datetime], ...]
    spans: tuple[Span, ...]

    def standing(self) -> RestrictedDay:
        """Return the day as it is for a party that is already there or was promised its start: see `Span`."""
        return replace(self, spans=tuple(replace(span, starts=span.seats) for span in self.spans))

    def fit(self, slots: int) -> int:
        """Return the mask of offered starts from which ``slots`` (>= 1) quarter hours fit into the same span."""
        mask = 0
        for span in self.spans:
            last = span.hi - slots
            if last >= span.lo:
                mask |= span.starts & ((2 << last) - (1 << span.lo))
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDay:
    """The service windows of one date in one zone. Compared by identity; `build` shares instances.

    ``origin`` is the UTC instant of slot 0, the first opening; ``slots`` is the number of quarter hours
    from there to the latest closing; ``spans`` are the windows in order of opening. Windows may touch or
    overlap; a booking must still lie inside one of them.
    """

    date: dt.date
    zone: ZoneInfo
    windows: tuple[Window, ...]
    origin: datetime
    slots: int
    spans: tuple[Span, ...] = field(repr=False)

    @classmethod
    def build(cls, date: dt.date, zone: ZoneInfo, windows: tuple[Window, ...]) -> ServiceDay:
        """Return the day with these windows, closed if there is none; equal arguments return the same object.

        Starts go in steps of a quarter hour of wall time from each opening. A wall time that does not
        exist is skipped, one that happens twice is offered the first time only. An opening or closing
        that does not exist falls on the instant of the clock change. Years 1 and 9999 are closed, because
        `datetime` has no days before and after them.
        """
        return _build(date, zone, tuple(windows))

    def restrict(self, window_start: time | None = None, window_end: time | None = None) -> RestrictedDay:
        """Return this day cut down to a requested window of wall times; None leaves that side open.

        With both edges, the window counts on the date and again on the next day, so that 00:30 may mean
        after midnight; an end before the start crosses midnight. One edge alone falls on the next
        day only if it is within the opening hours there and outside them on the date.
        Raises ValueError if both edges are equal.
        """
        return _restrict(self, window_start, window_end)

    def opened(self) -> list[tuple[int, int]]:
        """Return the slots with service as (first, one past the last); overlapping windows are merged."""
        merged: list[tuple[int, int]] = []
        for span in self.spans:
            if merged and span.lo < merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], span.hi)
            else:
                merged.append((span.lo, span.hi))
        return merged

    def slot_of(self, instant: datetime) -> int:
        """Return the slot of the aware ``instant``: negative before the origin, ``slots`` or more after closing."""
        return (instant - self.origin) // SLOT

    def instant_of(self, slot: int) -> datetime:
        """Return the UTC instant at which ``slot`` begins."""
        return self.origin + slot * SLOT


def resolve(zone: ZoneInfo, wall: datetime) -> tuple[datetime, bool]:
    """Return the UTC instant of the naive ``wall`` time in ``zone``, and whether that wall time exists.

    A wall time that happens twice gives its first instant; one that does not exist, the clock change.
    """
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant, True
    # PEP 495: in a gap, fold=1 lands before the change and fold=0 after it; bisect between them.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while instant - before > _SECOND:
        middle = before + (instant - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            instant = middle
    return instant, False


@lru_cache(maxsize=4096)
def _build(date: dt.date, zone: ZoneInfo, windows: tuple[Window, ...]) -> ServiceDay:
    if not 1 < date.year < 9999:
        return ServiceDay(date, zone, (), datetime.combine(date, time(), UTC), 0, ())
    opened = sorted(_open_windows(date, zone, windows), key=lambda window: window[:2])
    if not opened:
        return ServiceDay(date, zone, windows, resolve(zone, datetime.combine(date, time()))[0], 0, ())
    origin = opened[0][0]
    spans: list[Span] = []
    for opens, closes, starts, last_seating in opened:
        lo, hi = -((origin - opens) // SLOT), (closes - origin) // SLOT
        end = min(max((last_seating - origin) // SLOT + 1, lo), hi)
        seats = (1 << end) - (1 << lo)
        mask = 0
        for start in starts:
            slot, rest = divmod(start - origin, SLOT)
            if not rest:
                mask |= 1 << slot
        spans.append(Span(lo, hi, mask, seats))
    return ServiceDay(date, zone, windows, origin, max(span.hi for span in spans), tuple(spans))


def _open_windows(
    date: dt.date, zone: ZoneInfo, windows: tuple[Window, ...]
) -> Iterator[tuple[datetime, datetime, list[datetime], datetime]]:
    """Yield (opening, closing, starts, last seating) as instants of each window that is open at all."""
    for window in windows:
        wall = datetime.combine(date, window.opens)
        shut = datetime.combine(date, window.closes)
        if shut <= wall:
            shut += _DAY
        opens, closes = resolve(zone, wall)[0], resolve(zone, shut)[0]
        if closes <= opens:
            continue
        last = shut
        if window.last_seating is not None:
            last = datetime.combine(date, window.last_seating)
            if last < wall:
                last += _DAY
        starts = []
        while wall < shut and wall <= last:
            start, exists = resolve(zone, wall)
            if exists:
                starts.append(start)
            wall += SLOT
        yield opens, closes, starts, resolve(zone, last)[0]


@lru_cache(maxsize=4096)
def _restrict(day: ServiceDay, window_start: time | None, window_end: time | None) -> RestrictedDay:
    if window_start is not None and window_start == window_end:
        raise ValueError("a requested window must not begin and end at the same time")
    if not day.spans or (window_start is None and window_end is None):
        return RestrictedDay(day, (), day.spans)
    intervals = tuple(_readings(day, window_start, window_end))
    spans = []
    for begin, end in intervals:
        first, last = -((day.origin - begin) // SLOT), (end - day.origin) // SLOT
        for span in day.spans:
            lo, hi = max(span.lo, first), min(span.hi, last)
            if lo < hi:
                within = (1 << hi) - (1 << lo)
                spans.append(Span(lo, hi, span.starts & within, span.seats & within))
    return RestrictedDay(day, intervals, tuple(spans))


def _readings(
    day: ServiceDay, window_start: time | None, window_end: time | None
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the requested window as (begin, end) instants, once per reading: see `ServiceDay.restrict`."""
    opening, closing = day.origin, day.instant_of(day.slots)

    def instant(wall: time, days: int) -> datetime:
        return resolve(day.zone, datetime.combine(day.date, wall) + days * _DAY)[0]

    if window_start is not None and window_end is not None:
        crosses = int(window_end < window_start)
        for days in (0, 1):
            begin, end = instant(window_start, days), instant(window_end, days + crosses)
            if begin < end:
                yield begin, end
    elif window_start is not None:
        begin = instant(window_start, 0)
        if begin < opening and instant(window_start, 1) < closing:
            begin = instant(window_start, 1)
        yield begin, max(begin, closing)
    elif window_end is not None:
        end = instant(window_end, 0)
        if end <= opening and instant(window_end, 1) <= closing:
            end = instant(window_end, 1)
        yield min(end, opening), end
