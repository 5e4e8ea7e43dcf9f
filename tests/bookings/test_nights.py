"""Nights in which the clocks change: every channel tells the same times, those that the guest was told."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.test import Client
from icalendar import Calendar

from bookings.models import Booking
from restaurants.services.calendar import Hours
from tests.api import Api, api_as, make_restaurant
from tests.wokibrain.office.pages import person
from wokibrain.core import env
from wokibrain.core.permissions import Role

pytestmark = pytest.mark.django_db

NODE = shutil.which("node")
ICAL_JS = env.ROOT / "node_modules" / "ical.js"
NEEDS_ICAL_JS = pytest.mark.skipif(
    NODE is None or not ICAL_JS.is_dir(), reason="needs node and ical.js (npm ci)"
)


@dataclass(frozen=True, slots=True)
class Night:
    """A service from 22:00 on that sees a change of the clocks. Times are "HH:MM+HH:MM"; before noon, of the next day.

    ``starts`` are the first and last quarter hours of each run of starts that an hour's booking is offered; ``booked``
    the start and end of two such bookings, the first of which lasts over the change; ``filled`` the starts of bookings
    of 45 minutes at one table, each as early as it is free.
    """

    zone: str
    day: str
    closes: time
    starts: tuple[tuple[str, str], ...]
    booked: tuple[tuple[str, str], ...]
    filled: str

    def at(self, text: str) -> str:
        """Return the time with its date, as ISO 8601."""
        day = date.fromisoformat(self.day)
        if text < "12":
            day += timedelta(days=1)
        return f"{day}T{text[:5]}:00{text[5:]}"

    def offered(self) -> list[str]:
        return [start for first, last in self.starts for start in self._quarters(first, last)]

    def _quarters(self, first: str, last: str) -> Iterator[str]:
        start, end = datetime.fromisoformat(self.at(first)), datetime.fromisoformat(self.at(last))
        while start <= end:
            yield start.isoformat()
            start += timedelta(minutes=15)


NIGHTS = {
    "Santiago, 23:00 twice": Night(
        "America/Santiago", "2031-04-05", time(2),
        (("22:00-03:00", "23:45-03:00"), ("00:00-04:00", "01:00-04:00")),
        (("23:30-03:00", "23:30-04:00"), ("00:00-04:00", "01:00-04:00")),
        "22:00-03:00 22:45-03:00 23:30-03:00 00:00-04:00 00:45-04:00",
    ),
    "Santiago, no midnight": Night(
        "America/Santiago", "2031-09-06", time(2),
        (("22:00-04:00", "23:45-04:00"), ("01:00-03:00", "01:00-03:00")),
        (("23:30-04:00", "01:30-03:00"), ("01:00-03:00", "02:00-03:00")),
        "22:00-04:00 22:45-04:00 23:30-04:00 01:15-03:00",
    ),
    "Cairo, no midnight": Night(
        "Africa/Cairo", "2031-04-24", time(2),
        (("22:00+02:00", "23:45+02:00"), ("01:00+03:00", "01:00+03:00")),
        (("23:30+02:00", "01:30+03:00"), ("01:00+03:00", "02:00+03:00")),
        "22:00+02:00 22:45+02:00 23:30+02:00 01:15+03:00",
    ),
    "Cairo, 23:00 twice": Night(
        "Africa/Cairo", "2031-10-30", time(2),
        (("22:00+03:00", "23:45+03:00"), ("00:00+02:00", "01:00+02:00")),
        (("23:45+03:00", "23:45+02:00"), ("00:15+02:00", "01:15+02:00")),
        "22:00+03:00 22:45+03:00 23:30+03:00 00:00+02:00 00:45+02:00",
    ),
    "Lord Howe, 01:30 twice": Night(
        "Australia/Lord_Howe", "2031-04-05", time(3),
        (("22:00+11:00", "01:45+11:00"), ("02:00+10:30", "02:00+10:30")),
        (("01:30+11:00", "02:00+10:30"), ("02:00+10:30", "03:00+10:30")),
        "22:00+11:00 22:45+11:00 23:30+11:00 00:15+11:00 01:00+11:00 01:45+11:00 02:00+10:30",
    ),
    "Lord Howe, no 02:15": Night(
        "Australia/Lord_Howe", "2031-10-04", time(4),
        (("22:00+10:30", "01:45+10:30"), ("02:30+11:00", "03:00+11:00")),
        (("01:30+10:30", "03:00+11:00"), ("02:30+11:00", "03:30+11:00")),
        "22:00+10:30 22:45+10:30 23:30+10:30 00:15+10:30 01:00+10:30 01:45+10:30 03:00+11:00",
    ),
    "Casablanca, 01:00 twice": Night(
        "Africa/Casablanca", "2026-09-19", time(3),
        (("22:00+01:00", "01:45+01:00"), ("02:00+00:00", "02:00+00:00")),
        (("01:30+01:00", "01:30+00:00"), ("02:00+00:00", "03:00+00:00")),
        "22:00+01:00 22:45+01:00 23:30+01:00 00:15+01:00 01:00+01:00 01:45+01:00 02:00+00:00",
    ),
    "Casablanca, no 02:00": Night(
        "Africa/Casablanca", "2026-03-21", time(4),
        (("22:00+00:00", "01:45+00:00"), ("03:00+01:00", "03:00+01:00")),
        (("01:30+00:00", "03:30+01:00"), ("03:00+01:00", "04:00+01:00")),
        "22:00+00:00 22:45+00:00 23:30+00:00 00:15+00:00 01:00+00:00 01:45+00:00",
    ),
    "Santiago, an ordinary night": Night(
        "America/Santiago", "2031-06-14", time(2),
        (("22:00-04:00", "01:00-04:00"),),
        (("23:30-04:00", "00:30-04:00"), ("00:00-04:00", "01:00-04:00")),
        "22:00-04:00 22:45-04:00 23:30-04:00 00:15-04:00 01:00-04:00",
    ),
}  # fmt: skip


@pytest.fixture(params=list(NIGHTS.values()), ids=list(NIGHTS))
def night(request: pytest.FixtureRequest, db: None) -> Night:
    night: Night = request.param
    make_restaurant(
        "N", zone=night.zone, hours=(Hours(time(22), night.closes),), tables={"A": (1, 4), "B": (1, 4)}
    )
    return night


def book(night: Night) -> Api:
    """Book table A and then table B, for an hour each."""
    api = api_as()
    for table, (start, end) in zip(("N-A", "N-B"), night.booked, strict=True):
        reply = api.book(
            restaurantId="N", sectorId="N-S", date=night.day, partySize=2, durationMinutes=60,
            start=night.at(start), tableIds=[table],
        )  # fmt: skip
        assert (reply.status, reply.body["start"], reply.body["end"]) == (201, night.at(start), night.at(end))
    return api


def instants(night: Night) -> list[tuple[datetime, datetime]]:
    return [
        (datetime.fromisoformat(night.at(start)), datetime.fromisoformat(night.at(end)))
        for start, end in night.booked
    ]


def test_a_table_is_filled_over_the_change(night: Night) -> None:
    api = api_as()
    seat: dict[str, Any] = {
        "restaurantId": "N",
        "sectorId": "N-S",
        "date": night.day,
        "partySize": 2,
    }
    booked: list[str] = []
    while True:
        offered = api.discover(**seat, duration=45, limit=50).body["candidates"]
        starts = [candidate["start"] for candidate in offered if candidate["tableIds"] == ["N-A"]]
        if not starts:
            break
        first = min(starts, key=datetime.fromisoformat)
        reply = api.book(**seat, durationMinutes=45, start=first, tableIds=["N-A"])
        assert (reply.status, reply.body["start"]) == (201, first)
        booked.append(first)
    assert booked == [night.at(start) for start in night.filled.split()]


def page(path: str, night: Night, client: Client | None = None) -> str:
    client = client or person(Role.STAFF, "N")
    query = {"restaurant": "N", "date": night.day, "by": "table"}
    return client.get(f"/admin/floor/{path}", query).content.decode()


def test_each_start_is_offered_once_and_none_that_does_not_exist(night: Night) -> None:
    reply = api_as().discover(
        restaurantId="N", sectorId="N-S", date=night.day, partySize=2, duration=60, limit=50
    )
    starts = [
        candidate["start"] for candidate in reply.body["candidates"] if candidate["tableIds"] == ["N-A"]
    ]
    assert sorted(starts, key=datetime.fromisoformat) == night.offered()


def test_create_list_and_get_tell_the_same(night: Night) -> None:
    api = book(night)
    listed = api.get("/woki/bookings", restaurantId="N", sectorId="N-S", date=night.day).body["bookings"]
    times = [(night.at(start), night.at(end)) for start, end in night.booked]
    assert [(booking["start"], booking["end"]) for booking in listed] == times
    for booking, told in zip(listed, times, strict=True):
        one = api.get(f"/woki/bookings/{booking['reference']}").body
        assert (one["start"], one["end"]) == told


def test_the_admin_the_day_sheet_and_the_spreadsheet_tell_the_same(night: Night) -> None:
    book(night)
    clocks = [(start[:5], end[:5]) for start, end in night.booked]
    client = person(Role.STAFF, "N")
    rows = list(csv.reader(io.StringIO(page("export.csv", night, client), newline="")))[1:]
    assert [(row[0], row[1], row[2]) for row in rows] == [(night.day, *times) for times in clocks]
    sheet = page("sheet", night, client)
    changelist = client.get("/admin/bookings/booking/", {"restaurant": "N"}).content.decode()
    for booking, (start, end), (begins, _ends) in zip(
        Booking.objects.order_by("start"), clocks, instants(night), strict=True
    ):
        assert f">{start}–{end}<" in sheet
        assert f"{begins:%d/%m/%Y %H:%M}" in changelist
        form = client.get(f"/admin/bookings/booking/{booking.pk}/change/").content.decode()
        assert f'value="{start}"' in form


def calendar(night: Night) -> str:
    book(night)
    return page("export.ics", night)


def test_a_calendar_in_python_reads_the_same(night: Night) -> None:
    events = Calendar.from_ical(calendar(night)).events
    assert [(event.decoded("DTSTART"), event.decoded("DTEND")) for event in events] == instants(night)


READ = """
import ICAL from "ical.js";
import fs from "node:fs";
const root = new ICAL.Component(ICAL.parse(fs.readFileSync(0, "utf8")));
for (const zone of root.getAllSubcomponents("vtimezone")) ICAL.TimezoneService.register(zone);
const events = root.getAllSubcomponents("vevent").map((event) => new ICAL.Event(event));
const times = events.map((event) => [event.startDate, event.endDate].map((at) => at.toJSDate().toISOString()));
console.log(JSON.stringify(times));
"""


@NEEDS_ICAL_JS
def test_a_calendar_in_javascript_reads_the_same(night: Night) -> None:
    output = subprocess.run(
        [str(NODE), "--input-type=module", "-e", READ],
        cwd=env.ROOT,
        input=calendar(night),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    times: list[list[Any]] = json.loads(output)
    assert [tuple(datetime.fromisoformat(at) for at in event) for event in times] == instants(night)


def test_a_calendar_names_the_zone_only_where_its_clocks_do_not_change(night: Night) -> None:
    text = calendar(night)
    starts = [line for line in text.splitlines() if line.startswith("DTSTART") and "2031" in line]
    if night is NIGHTS["Santiago, an ordinary night"]:
        assert starts[1:] == [
            "DTSTART;TZID=America/Santiago:20310614T233000",
            "DTSTART;TZID=America/Santiago:20310615T000000",
        ]
        assert text.count("BEGIN:STANDARD") == text.count("TZOFFSETTO:-0400") == 1
    else:
        assert "VTIMEZONE" not in text
        assert "TZID" not in text
