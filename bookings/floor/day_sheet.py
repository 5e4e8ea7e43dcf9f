"""The day sheet: a service day's bookings as a list for printing, for a spreadsheet and for a calendar."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from django.utils.translation import gettext as _

from bookings import statuses
from bookings.repository.records import BookingRecord, seen_by
from bookings.repository.statements import fetch_day
from restaurants.models import Restaurant, Sector, Table
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission

MAX_LINE_OCTETS: Final = 75
"""Of a line of an iCalendar file, by RFC 5545."""


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
        Table.objects.filter(sector__restaurant=restaurant).order_by("sector__position", "position", "id")
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
    # A cell that begins with + is left alone if it is a phone number.
    is_phone = cell.startswith("+") and set(cell) <= set("+0123456789 ()./-")
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_phone else cell


def as_ical(sheet: Sheet) -> str:
    """Return an iCalendar file (RFC 5545) with times in UTC."""
    stamp = f"{clock.now():%Y%m%dT%H%M%SZ}"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//WokiBrain//Floor//EN", "CALSCALE:GREGORIAN"]
    for line in sheet.lines:
        booking = line.booking
        title = f"{booking.party_size} · {line.name or booking.reference} · {line.tables}"
        lines += [
            "BEGIN:VEVENT",
            f"UID:{booking.id}@wokibrain",
            f"SEQUENCE:{booking.version}",
            f"DTSTAMP:{stamp}",
            f"DTSTART:{booking.start.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTEND:{booking.end.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{_escaped(title)}",
            f"LOCATION:{_escaped(f'{sheet.restaurant.name}, {line.sector}')}",
            *([f"DESCRIPTION:{_escaped(booking.notes)}"] if booking.notes else []),
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join(text.splitlines())


def _folded(line: str) -> list[str]:
    """Return the line as several if it is too long; each but the first begins with a space."""
    parts, part = [], ""
    for character in line:
        if len((part + character).encode()) > MAX_LINE_OCTETS:
            parts.append(part)
            part = " "
        part += character
    return [*parts, part]
