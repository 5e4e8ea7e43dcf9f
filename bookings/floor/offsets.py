"""How far a restaurant's clocks are from UTC, for browsers whose own zone data may be older or lack the zone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

Period = tuple[datetime, datetime]

AROUND: Final = timedelta(days=1)
"""How far beyond a period its offsets are valid too."""
STEP_SECONDS: Final = 6 * 3600
"""No zone changes its clocks twice within this time."""


def offsets_json(zone: ZoneInfo, *periods: Period) -> list[list[int]]:
    """Return [[from, seconds], ...] in order: from that instant (milliseconds) on, clocks are that far ahead of UTC.

    They are valid within the periods and a day around them; between two distant ones, changes may be missing.
    """
    offsets: dict[int, int] = {}
    for begin, end in periods:
        offsets |= dict(_offsets(zone, begin - AROUND, end + AROUND))
    changes: list[list[int]] = []
    for second, offset in sorted(offsets.items()):
        if not changes or changes[-1][1] != offset:
            changes.append([second * 1000, offset])
    return changes


def _offsets(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Yield (second of the Unix epoch, offset in seconds): the first at ``begin``, then one for each change."""

    def at(second: int) -> int:
        offset = datetime.fromtimestamp(second, zone).utcoffset()
        assert offset is not None, "a zone has an offset at every instant"
        return int(offset.total_seconds())

    first, last = int(begin.timestamp()), int(end.timestamp())
    yield first, at(first)
    for earlier in range(first, last, STEP_SECONDS):
        later = earlier + STEP_SECONDS
        if at(earlier) != at(later):
            yield _change(at, earlier, later), at(later)


def _change(at: Callable[[int], int], earlier: int, later: int) -> int:
    """Return the first second in (earlier, later] whose offset differs from that at ``earlier``."""
    seconds = range(earlier, later + 1)
    return seconds[bisect_left(seconds, True, key=lambda second: at(second) != at(earlier))]
