"""The service day: wall-clock windows laid on a grid of elapsed quarter hours.

Bit ``i`` of every mask stands for the quarter hour that begins ``i`` x 15 elapsed minutes after
the day's ``origin``. Wall times become instants here and nowhere else.
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
    """One service window of a service day, in wall-clock time on the quarter hour.

    ``closes <= opens`` means the next day. ``last_seating`` is the latest start allowed, as the
    clock reads; earlier than ``opens`` it means the next day. None: until the booking no longer fits.
    Raises ValueError for a time off the quarter hour or with a zone of its own.
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
    """The slots from ``lo`` up to ``hi`` in which one booking may lie, and the mask of starts offered.

    ``seats`` is the mask of slots in which who is there may sit down: every one up to the last
    seating, also those that a clock put back shows again and that are therefore not on offer.
    """

    lo: int
    hi: int
    starts: int
    seats: int


@dataclass(frozen=True, slots=True, eq=False)
class AskedDay:
    """A service day seen through the window a guest asked for.

    ``intervals`` are the asked window itself as instants (none when nothing was asked); ``spans``
    are its meetings with the service windows, each of which a booking must lie inside alone.
    """

    day: ServiceDay
    intervals: tuple[tuple[datetime, datetime], ...]
    spans: tuple[Span, ...]

    def standing(self) -> AskedDay:
        """The same for who is there, or was promised the start: any slot to sit down in is on offer."""
        return replace(self, spans=tuple(replace(span, starts=span.seats) for span in self.spans))

    def fit(self, slots: int) -> int:
        """Mask of the offered starts from which ``slots`` (>= 1) quarter hours end inside the same span."""
        mask = 0
        for span in self.spans:
            last = span.hi - slots
            if last >= span.lo:
                mask |= span.starts & ((2 << last) - (1 << span.lo))
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDay:
    """The service windows of one date in one zone. Compared by identity; `build` hands out shared ones.

    ``origin`` is the UTC instant of slot 0 (the first opening), ``slots`` how many quarter hours
    there are up to the latest closing, ``spans`` the windows by their opening. Windows may touch or
    overlap; a booking lies inside one of them alone all the same.
    """

    date: dt.date
    zone: ZoneInfo
    windows: tuple[Window, ...]
    origin: datetime
    slots: int
    spans: tuple[Span, ...] = field(repr=False)

    @classmethod
    def build(cls, date: dt.date, zone: ZoneInfo, windows: tuple[Window, ...]) -> ServiceDay:
        """The day of these windows, remembered for the next call. No window: closed.

        Starts are walked in wall time from each opening. A wall time that does not exist is skipped
        and one that happens twice is offered the first time only. An edge that does not exist is
        the instant of the clock change. Years 1 and 9999 are closed: their neighbours do not exist.
        """
        return _build(date, zone, tuple(windows))

    def restrict(self, window_start: time | None = None, window_end: time | None = None) -> AskedDay:
        """This day seen through an asked window of wall times.

        Both edges: read on the date and again on the next day, so that 00:30 may mean after
        midnight; an end before the start crosses midnight. One edge alone means the next day only
        when it falls within the opening hours there and not on the date.
        Raises ValueError when both edges are equal.
        """
        return _restrict(self, window_start, window_end)

    def opened(self) -> list[tuple[int, int]]:
        """The slots, from and up to, in which there is service: windows that overlap count once."""
        found: list[tuple[int, int]] = []
        for span in self.spans:
            if found and span.lo < found[-1][1]:
                found[-1] = found[-1][0], max(found[-1][1], span.hi)
            else:
                found.append((span.lo, span.hi))
        return found

    def slot_of(self, instant: datetime) -> int:
        """Slot of the aware ``instant``; below 0 before the origin, ``slots`` or more after closing."""
        return (instant - self.origin) // SLOT

    def instant_of(self, slot: int) -> datetime:
        """UTC instant at which ``slot`` begins."""
        return self.origin + slot * SLOT


def resolve(zone: ZoneInfo, wall: datetime) -> tuple[datetime, bool]:
    """UTC instant of the naive ``wall`` time in ``zone``, and whether that wall time exists.

    The first of two; for a time that does not exist, the instant of the clock change.
    """
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant, True
    # PEP 495: in a gap fold=1 lands before the change and fold=0 after it.
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
    opened = sorted(_opened(date, zone, windows), key=lambda each: each[:2])
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


def _opened(
    date: dt.date, zone: ZoneInfo, windows: tuple[Window, ...]
) -> Iterator[tuple[datetime, datetime, list[datetime], datetime]]:
    """Opening, closing, starts and last seating, as instants, of each window that is open at all."""
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
def _restrict(day: ServiceDay, window_start: time | None, window_end: time | None) -> AskedDay:
    if window_start is not None and window_start == window_end:
        raise ValueError("an asked window must not begin and end at the same time")
    if not day.spans or (window_start is None and window_end is None):
        return AskedDay(day, (), day.spans)
    intervals = tuple(_asked(day, window_start, window_end))
    spans = []
    for begin, end in intervals:
        first, last = -((day.origin - begin) // SLOT), (end - day.origin) // SLOT
        for span in day.spans:
            lo, hi = max(span.lo, first), min(span.hi, last)
            if lo < hi:
                within = (1 << hi) - (1 << lo)
                spans.append(Span(lo, hi, span.starts & within, span.seats & within))
    return AskedDay(day, intervals, tuple(spans))


def _asked(
    day: ServiceDay, window_start: time | None, window_end: time | None
) -> Iterator[tuple[datetime, datetime]]:
    """The asked window as instants, in each of its readings."""
    opening, closing = day.origin, day.instant_of(day.slots)

    def at(wall: time, days: int) -> datetime:
        return resolve(day.zone, datetime.combine(day.date, wall) + days * _DAY)[0]

    if window_start is not None and window_end is not None:
        crosses = int(window_end < window_start)
        for days in (0, 1):
            begin, end = at(window_start, days), at(window_end, days + crosses)
            if begin < end:
                yield begin, end
    elif window_start is not None:
        begin = at(window_start, 0)
        if begin < opening and at(window_start, 1) < closing:
            begin = at(window_start, 1)
        yield begin, max(begin, closing)
    elif window_end is not None:
        end = at(window_end, 0)
        if end <= opening and at(window_end, 1) <= closing:
            end = at(window_end, 1)
        yield min(end, opening), end
