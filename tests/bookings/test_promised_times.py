"""Between new time-zone rules and their being applied, every page and file shows what the guest was told."""

from __future__ import annotations

from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from bookings.models import Booking, Guest, TableBlock
from bookings.services.guests import export_guest
from bookings.services.table_blocks import block_table
from tests.api import Api, api_as, events_of, make_restaurant
from tests.wokibrain.office.pages import filled_form, owner
from tests.zones import OLDER, rules, zone_folder
from wokibrain.core.callers import SYSTEM

pytestmark = pytest.mark.django_db

DAY = "2031-01-15"
"""In winter, when Vancouver was at UTC-8 by the older rules and is at UTC-7 by this process's."""
START, END = datetime(2031, 1, 16, 4, tzinfo=UTC), datetime(2031, 1, 16, 6, tzinfo=UTC)
"""20:00 and 22:00 by the older rules, 21:00 and 23:00 by the newer."""


@pytest.fixture
def staff(db: None, tmp_path: Path) -> Api:
    api = api_as()
    make_restaurant("V", zone="America/Vancouver", tables={"T": (1, 4), "U": (1, 4)})
    with rules(zone_folder(tmp_path / "older", "2025b", OLDER)):
        reply = api.book(
            restaurantId="V", sectorId="V-S", date=DAY, partySize=2, durationMinutes=120,
            start=START.isoformat(), tableIds=["V-T"], guestName="Ana",
        )  # fmt: skip
        block_table(caller=SYSTEM, table_id="V-U", start=START, end=END)
    assert (reply.status, reply.body["start"]) == (201, f"{DAY}T20:00:00-08:00")
    return api


@pytest.fixture
def office(staff: Api) -> Client:
    return owner()


def pages() -> list[tuple[str, str]]:
    """Return what holds a time, and the text that it shows before the time's hour."""
    booking, block = Booking.objects.get(), TableBlock.objects.get()
    day = f"restaurant=V&date={DAY}"
    return [
        ("bookings/booking/", "15/01/2031 "),
        (f"bookings/booking/{booking.pk}/change/", 'name="time" value="'),
        ("bookings/tableblock/", "15/01/2031 "),
        (f"bookings/tableblock/{block.pk}/change/", "15/01/2031 "),
        (f"bookings/tableblock/{block.pk}/delete/", "V-U 2031-01-15 "),
        (f"floor/sheet?{day}", '<td class="time">'),
        (f"floor/export.csv?{day}", f"{DAY},"),
        (f"floor/export.ics?{day}", "DTSTART;TZID=America/Vancouver:20310115T"),
    ]


def hour_after(office: Client, path: str, before: str) -> str:
    """Return the hour after the text ``before``: two characters."""
    page = office.get(f"/admin/{path}")
    assert page.status_code == 200, path
    text = unescape(page.content.decode())
    assert before in text, path
    return text.split(before, 1)[1][:2]


def test_pages_and_files_show_what_was_promised(office: Client) -> None:
    assert {path: hour_after(office, path, before) for path, before in pages()} == {
        path: "20" for path, _before in pages()
    }


def test_canary_without_promises_they_show_what_the_rules_of_now_say(office: Client) -> None:
    Booking.objects.update(promised_start=None, promised_zone=None, promised_fold=None)
    TableBlock.objects.update(
        promised_start=None, promised_start_fold=None, promised_end=None, promised_end_fold=None, promised_zone=None
    )  # fmt: skip
    hours = {hour_after(office, path, before) for path, before in pages() if "delete" not in path}
    assert hours == {"21"}


def test_a_form_saved_without_another_time_keeps_instant_and_promise(office: Client) -> None:
    booking = Booking.objects.get()
    path = f"/admin/bookings/booking/{booking.pk}/change/"
    saved = office.post(path, filled_form(office.get(path), notes="By the window") | {"_save": "1"})
    after = Booking.objects.get()
    assert (saved.status_code, after.notes, after.start, after.promised_start) == (
        302, "By the window", START, datetime.fromisoformat(f"{DAY}T20:00"),
    )  # fmt: skip


def test_a_guests_data_tell_what_was_promised(staff: Api) -> None:
    guest = Guest.objects.get()
    (booking,) = export_guest(caller=SYSTEM, guest_id=guest.pk)["bookings"]
    assert (booking["start"], booking["end"]) == (f"{DAY}T20:00:00-08:00", f"{DAY}T22:00:00-08:00")


def test_blocks_and_their_events_tell_what_was_meant(staff: Api) -> None:
    (block,) = staff.get("/tables/V-U/blocks").body["blocks"]
    times = (f"{DAY}T20:00:00-08:00", f"{DAY}T22:00:00-08:00")
    assert (block["start"], block["end"]) == times
    assert staff.delete("/tables/V-U/blocks").status == 204
    freed = events_of("V-U")[-1]
    assert (freed.event_type, freed.payload["start"], freed.payload["end"]) == ("TableUnblocked", *times)
