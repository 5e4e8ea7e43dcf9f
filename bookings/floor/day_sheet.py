"""The day sheet: a service day's bookings as a list for printing, for a spreadsheet and for a calendar."""

from __future__ import annotations

import csv
import io
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from icalendar import Calendar, Event, Timezone

from bookings import statuses
from bookings.repository.records import BookingRecord, seen_by
from bookings.repository.statements import fetch_day
from restaurants.models import Restaurant, Sector, Table
from restaurants.models.natural_order import table_order
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission

DAYS_AROUND: Final = (-1, 3)
"""From when until when, in days after the service date, the clocks must not change for a calendar to name the zone."""
SIGNS: Final = frozenset("=+-@\N{MINUS SIGN}")
"""What begins a formula in a spreadsheet."""
CONTROLS: Final = ("\t", "\r", "\n")
"""What a spreadsheet may take for the end of a cell, so that the rest begins another one."""
UNSEEN: Final = frozenset("ZCM")
"""Unicode categories of what shows nothing by itself: separators, control and format characters, and marks."""


@dataclass(frozen=True, slots=True)
class Line:
    """One booking with its tables' names and its times on the restaurant's clocks.

    The times are text, for a template would show instants in the server's zone.
    """

    booking: BookingRecord
    sector: str
    tables: str
    start: datetime
    end: datetime

    @property
    def at(self) -> str:
        return f"{self.start:%H:%M}"

    @property
    def until(self) -> str:
        return f"{self.end:%H:%M}"

    @property
    def name(self) -> str:
        return self.booking.guest.name if self.booking.guest else ""

    @property
    def phone(self) -> str:
        return self.booking.guest.phone if self.booking.guest else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    restaurant: Restaurant
    date: date
    lines: tuple[Line, ...]
    """By time, without the bookings that were cancelled or did not show."""
    by_table: tuple[tuple[str, tuple[Line, ...]], ...]

    @property
    def read_at(self) -> str:
        return f"{clock.now().astimezone(clock.zone_or_utc(self.restaurant.zone)):%Y-%m-%d %H:%M}"

    @property
    def covers(self) -> int:
        return sum(line.booking.party_size for line in self.lines)


def read(*, caller: Caller, restaurant_id: str, service_date: date) -> Sheet:
    """Return the day sheet. Raises NotFound, Forbidden."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    restaurant = Restaurant.objects.get(pk=restaurant_id)
    sectors = dict(Sector.objects.filter(restaurant=restaurant).values_list("id", "name"))
    tables = list(
        Table.objects.filter(sector__restaurant=restaurant).order_by("sector__position", *table_order())
    )
    names = {table.pk: str(table) for table in tables}
    rows = fetch_day(restaurant_id, service_date)
    rows.sort(key=lambda booking: (booking.start, booking.reference))
    lines = tuple(
        Line(
            booking,
            sectors.get(booking.sector_id, booking.sector_id),
            " + ".join(names.get(table_id, table_id) for table_id in booking.table_ids),
            booking.local(booking.start),
            booking.local(booking.end),
        )
        for booking in seen_by(caller, restaurant_id, rows)
        if booking.status in statuses.COUNTED
    )
    by_table = tuple(
        (f"{sectors[table.sector_id]} · {table}", seated)
        for table in tables
        if (seated := tuple(line for line in lines if table.pk in line.booking.table_ids))
    )
    return Sheet(restaurant, service_date, lines, by_table)


def as_csv(sheet: Sheet) -> str:
    """Return CSV for a spreadsheet, with a byte order mark and without cells that would pass for formulas."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(
        [_("date"), _("time"), _("until"), _("party"), _("guest"), _("phone"), _("sector"), _("tables"),
         _("status"), _("reference"), _("notes")]
    )  # fmt: skip
    for line in sheet.lines:
        booking = line.booking
        cells = [
            sheet.date.isoformat(), line.at, line.until, str(booking.party_size),
            line.name, line.phone, line.sector, line.tables, str(booking.status.label), booking.reference,
            booking.notes,
        ]  # fmt: skip
        writer.writerow([_without_formula(cell) for cell in cells])
    return out.getvalue()


def _without_formula(cell: str) -> str:
    """Return the cell, quoted as text where a spreadsheet could read a formula.

    Spreadsheets skip blanks and invisible characters at the beginning, and take full-width and small signs for plain
    ones. A phone number may begin with a plus sign.
    """
    is_phone = cell.startswith("+") and set(cell) <= set("+0123456789 ()./-")
    first = next((sign for sign in cell if unicodedata.category(sign)[0] not in UNSEEN), "")
    is_formula = bool(first) and unicodedata.normalize("NFKC", first) in SIGNS
    return f"'{cell}" if (is_formula or cell[:1] in CONTROLS) and not is_phone else cell


def as_ical(sheet: Sheet) -> str:
    """Return an iCalendar file (RFC 5545).

    Times are wall times in the restaurant's zone, so that every calendar shows what the guest was told, whatever rules
    it has. Around a change of the clocks they are in UTC: calendars disagree on an hour that comes twice.
    """
    zone = _zone_without_change(sheet)
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//WokiBrain//Floor//EN")
    calendar.add("calscale", "GREGORIAN")
    for line in sheet.lines:
        calendar.add_component(_event(sheet, line, zone))
    if zone and zone.key in calendar.get_missing_tzids():
        first, last = (sheet.date + timedelta(days=days) for days in DAYS_AROUND)
        rules = Timezone.from_tzinfo(zone, zone.key, first_date=first, last_date=last)
        calendar.subcomponents.insert(0, rules)
    return str(calendar.to_ical(sorted=False), "utf-8")


def _zone_without_change(sheet: Sheet) -> ZoneInfo | None:
    """Return the restaurant's zone; None if its clocks change around the day, or this host lacks the zone's rules."""
    if not clock.is_known_zone(sheet.restaurant.zone):
        return None
    zone = clock.zone(sheet.restaurant.zone)
    noons = [datetime.combine(sheet.date + timedelta(days=days), time(12), zone) for days in DAYS_AROUND]
    return zone if len({noon.utcoffset() for noon in noons}) == 1 else None


def _event(sheet: Sheet, line: Line, zone: ZoneInfo | None) -> Event:
    booking = line.booking
    start, end = (at.replace(tzinfo=zone) if zone else at.astimezone(UTC) for at in (line.start, line.end))
    event = Event()
    event.add("uid", f"{booking.id}@wokibrain")
    event.add("sequence", booking.version)
    event.add("dtstamp", clock.now())
    event.add("dtstart", start)
    event.add("dtend", end)
    event.add("summary", f"{booking.party_size} · {line.name or booking.reference} · {line.tables}")
    event.add("location", f"{sheet.restaurant.name}, {line.sector}")
    if booking.notes:
        event.add("description", "\n".join(booking.notes.splitlines()))
    return event
