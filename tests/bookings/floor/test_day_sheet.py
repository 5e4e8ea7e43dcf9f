"""The exact contents of the day sheet and the exports."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest
from django.utils import translation

from bookings.floor import day_sheet
from bookings.repository.records import BookingRecord, Contact
from bookings.services import create, lifecycle
from bookings.services.change import Change, update_booking
from bookings.services.create import NewBooking
from restaurants.services.calendar import Hours
from tests.api import make_restaurant
from tests.wokibrain.office.pages import person
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role

DAY = date(2026, 4, 4)
"""In Santiago the clocks go back at midnight: 23:00-23:59 happens twice."""
READ_AT = datetime(2026, 4, 1, 12, tzinfo=UTC)


@pytest.fixture
def night(db: None) -> list[BookingRecord]:
    """Create two bookings of a night past midnight, the second with all that a spreadsheet could misread."""
    make_restaurant(
        "NIGHT",
        zone="America/Santiago",
        hours=(Hours(time(20), time(2)),),
        tables={"A": (1, 4), "B": (1, 4), "C": (1, 2)},
    )
    made = []
    for start, party, tables, contact, notes in (
        # 00:30 local time of the next date, after the repeated hour.
        (datetime(2026, 4, 5, 4, 30, tzinfo=UTC), 6, {"NIGHT-A", "NIGHT-B"},
         Contact("Léa; Ñu", "", "+56 9 1234 5678"), "late"),
        (datetime(2026, 4, 5, 0, 0, tzinfo=UTC), 2, {"NIGHT-C"},
         Contact('=HYPERLINK("x")', "", ""), '@SUM\r\nwith "quotes", and\rmore'),
    ):  # fmt: skip
        booking = create.create_booking(
            caller=SYSTEM,
            new=NewBooking(
                "NIGHT", party, DAY, start=start, table_ids=frozenset(tables), duration_minutes=60,
                contact=contact, notes=notes,
            ),
        )  # fmt: skip
        assert isinstance(booking, BookingRecord)
        made.append(booking)
    gone = create.create_booking(
        caller=SYSTEM,
        new=NewBooking("NIGHT", 1, DAY, start=datetime(2026, 4, 5, 1, 30, tzinfo=UTC), duration_minutes=60),
    )
    assert isinstance(gone, BookingRecord)
    lifecycle.cancel_booking(gone.reference, caller=SYSTEM)
    return made


def read() -> day_sheet.Sheet:
    with frozen(READ_AT):
        return day_sheet.read(caller=SYSTEM, restaurant_id="NIGHT", service_date=DAY)


def test_the_spreadsheet_lists_the_bookings_by_time(night: list[BookingRecord]) -> None:
    late, early = night
    with translation.override("en"):
        text = day_sheet.as_csv(read())
    assert text.startswith("\ufeffdate,time,until,party,guest,phone,sector,tables,status,reference,notes\r\n")
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [
        ["2026-04-04", "21:00", "22:00", "2", "'=HYPERLINK(\"x\")", "", "Room", "NIGHT-C", "Confirmed",
         early.reference, "'@SUM\r\nwith \"quotes\", and\rmore"],
        ["2026-04-04", "00:30", "01:30", "6", "Léa; Ñu", "+56 9 1234 5678", "Room", "NIGHT-A + NIGHT-B",
         "Confirmed", late.reference, "late"],
    ]  # fmt: skip
    with translation.override("es"):
        assert day_sheet.as_csv(read()).splitlines()[0] == (
            "\ufefffecha,hora,hasta,comensales,cliente,teléfono,sector,mesas,estado,referencia,notas"
        )


def test_the_calendar_of_a_night_of_change_is_in_utc_escaped_and_folded(night: list[BookingRecord]) -> None:
    late, early = night
    update_booking(late.reference, caller=SYSTEM, change=Change(notes="ä" * 60))
    with frozen(READ_AT):
        text = day_sheet.as_ical(read())
    assert text.split("\r\n") == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//WokiBrain//Floor//EN",
        "CALSCALE:GREGORIAN",
        "BEGIN:VEVENT",
        f"UID:{early.id}@wokibrain",
        "SEQUENCE:1",
        "DTSTAMP:20260401T120000Z",
        "DTSTART:20260405T000000Z",
        "DTEND:20260405T010000Z",
        'SUMMARY:2 · =HYPERLINK("x") · NIGHT-C',
        "LOCATION:NIGHT\\, Room",
        'DESCRIPTION:@SUM\\nwith "quotes"\\, and\\nmore',
        "END:VEVENT",
        "BEGIN:VEVENT",
        f"UID:{late.id}@wokibrain",
        "SEQUENCE:2",
        "DTSTAMP:20260401T120000Z",
        "DTSTART:20260405T043000Z",
        "DTEND:20260405T053000Z",
        "SUMMARY:6 · Léa\\; Ñu · NIGHT-A + NIGHT-B",
        "LOCATION:NIGHT\\, Room",
        f"DESCRIPTION:{'ä' * 31}",
        f" {'ä' * 29}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]


def test_the_day_sheet_lists_by_time_and_by_table(night: list[BookingRecord]) -> None:
    client = person(Role.STAFF, "NIGHT")
    page = client.get("/admin/floor/sheet", {"restaurant": "NIGHT", "date": DAY.isoformat()})
    text = page.content.decode()
    assert "<b>Saturday 4 April 2026</b> · 2 bookings · 8 covers" in text
    assert [text.index(at) for at in (">21:00<", ">00:30<")] == sorted(
        text.index(at) for at in (">21:00<", ">00:30<")
    )
    assert "=HYPERLINK(&quot;x&quot;)" in text
    by_table = client.get(
        "/admin/floor/sheet", {"restaurant": "NIGHT", "date": DAY.isoformat(), "by": "table"}
    ).content.decode()
    assert [by_table.count(f"<h2>Room · NIGHT-{name}</h2>") for name in "ABC"] == [1, 1, 1]
    assert by_table.count("00:30–01:30") == 2


def test_a_foreign_or_invalid_day_sheet_is_refused(night: list[BookingRecord]) -> None:
    client = person(Role.STAFF, "NIGHT")
    for path in ("sheet", "export.csv", "export.ics"):
        assert client.get(f"/admin/floor/{path}", {"restaurant": "R1"}).status_code == 404
        assert (
            client.get(f"/admin/floor/{path}", {"restaurant": "NIGHT", "date": "1900-01-01"}).status_code
            == 400
        )


def test_exports_are_named_after_the_day(night: list[BookingRecord]) -> None:
    client = person(Role.STAFF, "NIGHT")
    for ending, kind in (("csv", "text/csv"), ("ics", "text/calendar")):
        answer = client.get(f"/admin/floor/export.{ending}", {"restaurant": "NIGHT", "date": DAY.isoformat()})
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="NIGHT-2026-04-04.{ending}"'


@pytest.mark.parametrize("path", ["", "sheet", "export.csv", "export.ics"])
def test_no_cache_keeps_what_names_guests(night: list[BookingRecord], path: str) -> None:
    query = {"restaurant": "NIGHT", "date": DAY.isoformat()}
    page = person(Role.STAFF, "NIGHT").get(f"/admin/floor/{path}", query)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\t", " \u00a0\u202e"])
@pytest.mark.parametrize("sign", "=+-@＝＋－＠﹢﹣﹦﹫−")
def test_a_cell_that_could_be_a_formula_is_text(night: list[BookingRecord], blank: str, sign: str) -> None:
    text = f'{blank}{sign}HYPERLINK("x")'
    sheet = read()
    line = replace(sheet.lines[0], booking=replace(sheet.lines[0].booking, notes=text))
    written = day_sheet.as_csv(replace(sheet, lines=(line,)))
    assert next(csv.reader(io.StringIO(written.splitlines()[1])))[-1] == f"'{text}"


@pytest.mark.parametrize("text", ["+56 9 1234 5678", "Ana = Eva", " quiet", "1-2", "№5", ""])
def test_other_cells_are_as_they_were_typed(night: list[BookingRecord], text: str) -> None:
    sheet = read()
    line = replace(sheet.lines[0], booking=replace(sheet.lines[0].booking, notes=text))
    written = day_sheet.as_csv(replace(sheet, lines=(line,)))
    assert next(csv.reader(io.StringIO(written.splitlines()[1])))[-1] == text
