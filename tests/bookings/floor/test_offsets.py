"""The offsets that a board draws by: the same wall times as the server's zone data, through every change of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bookings.floor.offsets import offsets_json
from wokibrain.core import clock

HOUR = 3600


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def drawn(offsets: list[list[int]], instant: datetime) -> datetime:
    """Return the wall time as clock.js derives it."""
    at = instant.timestamp() * 1000
    seconds = [offset for begin, offset in offsets if begin <= at][-1]
    return (instant + timedelta(seconds=seconds)).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("America/Santiago", [("2026-09-06T04:00Z", -4, -3)]),
        ("Africa/Cairo", [("2026-10-29T21:00Z", 3, 2)]),
        ("Australia/Lord_Howe", [("2026-04-04T15:00Z", 11, 10.5)]),
        ("Europe/Madrid", [("2026-03-29T01:00Z", 1, 2)]),
        ("Asia/Kolkata", []),
    ],
)
def test_a_day_is_drawn_as_the_servers_clocks_show_it(
    zone: str, changes: list[tuple[str, float, float]]
) -> None:
    middle = datetime.fromisoformat(changes[0][0] if changes else "2026-06-01T12:00Z")
    begin, end = middle - timedelta(hours=9), middle + timedelta(hours=9)
    offsets = offsets_json(clock.zone(zone), (begin, end))
    first = changes[0][1] if changes else 5.5
    assert offsets == [
        [milliseconds((begin - timedelta(days=1)).isoformat()), int(first * HOUR)],
        *([milliseconds(instant), int(after * HOUR)] for instant, _before, after in changes),
    ]
    for quarter in range(4 * 18):
        instant = begin + quarter * timedelta(minutes=15)
        assert drawn(offsets, instant) == instant.astimezone(clock.zone(zone)).replace(tzinfo=None)


def test_the_present_is_drawn_beside_a_distant_day() -> None:
    madrid = clock.zone("Europe/Madrid")
    now, day = datetime(2026, 1, 10, 12, tzinfo=UTC), datetime(2026, 7, 10, 12, tzinfo=UTC)
    offsets = offsets_json(madrid, (day, day), (now, now))
    assert offsets == [
        [milliseconds("2026-01-09T12:00Z"), HOUR],
        [milliseconds("2026-07-09T12:00Z"), 2 * HOUR],
    ]
    # Another order, or a day that is the present one, changes nothing.
    assert offsets_json(madrid, (now, now), (day, day)) == offsets
    assert offsets_json(madrid, (now, now), (now, now)) == offsets[:1]


def test_a_missing_change_would_show() -> None:
    """Canary: without the change of that night, its morning is drawn at another time."""
    cairo, morning = clock.zone("Africa/Cairo"), datetime(2026, 10, 30, 5, tzinfo=UTC)
    offsets = offsets_json(cairo, (morning - timedelta(hours=12), morning))
    assert len(offsets) == 2
    assert drawn(offsets, morning) == morning.astimezone(cairo).replace(tzinfo=None)
    assert drawn(offsets[:1], morning) != morning.astimezone(cairo).replace(tzinfo=None)
