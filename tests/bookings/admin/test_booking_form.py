"""Changing a booking in the admin: only edited fields change, and only in the version that the page showed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from bookings.models import Booking, Guest
from bookings.repository.records import Contact
from bookings.services import change, create, guests
from bookings.services.change import Change
from bookings.services.create import NewBooking
from restaurants.models import Restaurant, Table
from restaurants.services.restaurants import update_sector
from tests.api import events_of
from tests.wokibrain.office.pages import filled_form, make_restaurants, owner, person
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import Conflict
from wokibrain.core.permissions import Role

SINCE = "The booking was changed again since; look at it first."


@pytest.fixture
def two_restaurants(db: None) -> None:
    make_restaurants()


@pytest.fixture
def host(two_restaurants: None) -> Client:
    return person(Role.MANAGER)


def book(at: str, *tables: str, party: int = 2) -> Booking:
    booking = create.create_booking(
        caller=SYSTEM,
        new=NewBooking(
            "R1",
            party,
            date(2025, 10, 22),
            start=datetime.fromisoformat(f"2025-10-22T{at}-03:00"),
            duration_minutes=60,
            table_ids=frozenset(tables),
            contact=Contact("Ana", "", "+54 11 4000 0000"),
        ),
    )
    return Booking.objects.get(pk=booking.id)  # type: ignore[union-attr]


def path(booking: Booking) -> str:
    return f"/admin/bookings/booking/{booking.pk}/change/"


def save_changes(host: Client, booking: Booking, **changes: Any) -> Booking:
    """Open the booking's page, change fields, save it; return the booking."""
    response = host.post(path(booking), filled_form(host.get(path(booking)), **changes) | {"_save": "1"})
    assert response.status_code == 302, response.context["adminform"].form.errors
    return Booking.objects.get(pk=booking.pk)


def changed_fields(booking: Booking) -> list[str]:
    return sorted(events_of(str(booking.pk))[-1].payload["changes"])


def test_notes_are_saved_though_the_party_is_now_too_large(host: Client) -> None:
    booking = book("20:00", "T4", party=4)
    Restaurant.objects.filter(pk="R1").update(max_party=3)
    assert save_changes(host, booking, notes="by the window").notes == "by the window"
    assert changed_fields(booking) == ["notes"]


def test_a_phone_is_corrected_though_the_table_is_now_too_small(host: Client) -> None:
    booking = book("20:00", "T4", party=4)
    Table.objects.filter(pk="T4").update(capacity_min=1, capacity_max=2)
    assert save_changes(host, booking, guest_phone="+54 11 4000 0001").table_ids == ["T4"]
    assert changed_fields(booking) == ["guestPhone"]


def test_notes_are_saved_though_a_table_was_retired(host: Client) -> None:
    update_sector(caller=SYSTEM, sector_id="S1", settings={}, joins=[frozenset({"T3", "T4"})])
    booking = book("20:00", "T3", "T4", party=6)
    Table.objects.filter(pk="T4").update(active=False)
    assert filled_form(host.get(path(booking)))["tables"] == ["T3"]
    assert save_changes(host, booking, notes="by the window").table_ids == ["T3", "T4"]
    assert changed_fields(booking) == ["notes"]


def test_saving_other_fields_keeps_a_duration_off_the_grid(host: Client) -> None:
    booking = book("20:00", "T3")
    Booking.objects.update(duration_minutes=47, end=booking.start + timedelta(minutes=47))
    assert save_changes(host, booking, notes="in a hurry").duration_minutes == 47
    response = host.post(path(booking), filled_form(host.get(path(booking)), duration_minutes="48"))
    assert list(response.context["adminform"].form.errors) == ["duration_minutes"]


def test_picking_other_tables_moves_the_booking(host: Client) -> None:
    booking = book("20:00", "T3")
    assert save_changes(host, booking, tables=["T1"]).table_ids == ["T1"]
    assert changed_fields(booking) == ["tableIds"]


def test_a_stale_form_does_not_revert_the_booking(host: Client) -> None:
    booking = book("20:00", "T3")
    page = filled_form(host.get(path(booking)), notes="by the window")
    later = Change(start=booking.start + timedelta(hours=1), table_ids=frozenset({"T5"}))
    change.update_booking(str(booking.pk), caller=SYSTEM, change=later)
    response = host.post(path(booking), page | {"_save": "1"})
    form = response.context["adminform"].form
    assert (form.non_field_errors(), form["notes"].value()) == ([SINCE], "by the window")
    # The page shown again still has the old version.
    assert host.post(path(booking), filled_form(response) | {"_save": "1"}).status_code == 200
    after = Booking.objects.get(pk=booking.pk)
    assert (after.table_ids, after.start, after.notes) == (
        ["T5"],
        booking.start + timedelta(hours=1),
        "",
    )


def test_a_stale_form_does_not_restore_an_erased_guest(host: Client) -> None:
    booking = book("20:00", "T3")
    page = filled_form(host.get(path(booking)), notes="by the window")
    assert booking.guest is not None
    guests.erase_guest(caller=SYSTEM, guest_id=booking.guest.pk)
    response = host.post(path(booking), page | {"_save": "1"})
    assert response.context["adminform"].form.non_field_errors() == [SINCE]
    assert list(Guest.objects.exclude(name="")) == []


def test_a_change_of_an_outdated_version_is_refused(two_restaurants: None) -> None:
    booking = book("20:00", "T3")
    with pytest.raises(Conflict) as refusal:
        change.update_booking(str(booking.pk), caller=SYSTEM, change=Change(notes="x"), version=2)
    assert str(refusal.value.detail) == SINCE
    change.update_booking(str(booking.pk), caller=SYSTEM, change=Change(notes="x"), version=1)
    assert Booking.objects.get(pk=booking.pk).version == 2


def test_the_add_form_starts_with_the_restaurants_local_date(two_restaurants: None) -> None:
    # 22:30 of the 21st in Buenos Aires, and well into the 22nd in Madrid.
    with clock.frozen(datetime.fromisoformat("2025-10-22T01:30:00+00:00")):
        root = owner()
        dates = {
            where: filled_form(root.get("/admin/bookings/booking/add/" + where))["date"]
            for where in ("", "?restaurant=R2", "?restaurant=R2&date=2025-10-30", "?restaurant=none")
        }
    assert dates == {
        "": ["2025-10-21"],
        "?restaurant=R2": ["2025-10-22"],
        "?restaurant=R2&date=2025-10-30": ["2025-10-30"],
        "?restaurant=none": ["2025-10-21"],
    }


def offered_tables(page: Any) -> list[str]:
    return [table.pk for table in page.context["adminform"].form.fields["tables"].queryset]


def test_a_new_booking_is_offered_the_tables_of_the_chosen_restaurant_only(two_restaurants: None) -> None:
    client, add = owner(), "/admin/bookings/booking/add/"
    mine = ["T1", "T2", "T3", "T4", "T5"]
    assert offered_tables(client.get(add)) == mine
    assert offered_tables(client.get(add, {"restaurant": "R2"})) == ["Z1"]
    assert offered_tables(client.get(add, {"restaurant": "R9"})) == mine
    form = filled_form(client.get(add, {"restaurant": "R2"}), tables=["T1"])
    refused = client.post(add, form | {"_save": "1"})
    assert list(refused.context["adminform"].form.errors) == ["time", "tables"]
    assert offered_tables(refused) == ["Z1"]
    assert Booking.objects.exclude(reference="B1").count() == 0


def test_a_manager_is_not_offered_the_tables_of_another_restaurant(host: Client) -> None:
    page = host.get("/admin/bookings/booking/add/", {"restaurant": "R2"})
    assert offered_tables(page) == ["T1", "T2", "T3", "T4", "T5"]
