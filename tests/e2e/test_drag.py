"""Dragging bookings on the timeline: table sets, swaps, and concurrent changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Product, playwright_api, with_restaurant
from tests.e2e.test_board import (
    SignIn,
    block,
    drag,
    iso,
    now_or_late,
    open_board,
    quarter,
    reads,
    today,
    tomorrow,
)
from tests.processes import manage

pytestmark = pytest.mark.browser
ROW, SLOT = 42, 26

MADE = """
from datetime import time
from django.contrib.auth.models import User
from restaurants.models import Sector, TableJoin
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.core.callers import SYSTEM
from wokibrain.access.models import Membership
from wokibrain.core.permissions import Role
create_restaurant(caller=SYSTEM, id="JOIN", name="Joined", zone="Etc/UTC",
                  hours=[Hours(time(0), time(0))], refuse_past=False)
create_sector(caller=SYSTEM, id="JOIN-S", restaurant_id="JOIN", name="Room")
for number in range(1, 7):
    create_table(caller=SYSTEM, id=f"J{number}", sector_id="JOIN-S", capacity_min=1,
                 capacity_max=6 if number == 6 else 2, name=f"J{number}", position=number)
for first, second in (("J1", "J2"), ("J3", "J5")):
    TableJoin.objects.create(sector_id="JOIN-S", first_id=first, second_id=second)
Membership.objects.create(user=User.objects.get(username="ana"), restaurant_id="JOIN", role=Role.ADMIN)
"""


@pytest.fixture(scope="module")
def joined(product: Product) -> Iterator[Product]:
    """Create a restaurant where J1 joins J2 and J3 joins J5; J6 seats six by itself."""
    with with_restaurant(product, "JOIN", MADE):
        yield product


def joined_board(page: Any) -> Any:
    page.goto(f"/admin/floor/?restaurant=JOIN&date={tomorrow()}")
    page.wait_for_selector("#link[data-state=online]")
    page.wait_for_selector(".booking")
    return page


def test_a_combination_is_dragged_as_a_set(product: Product, signed_in: SignIn) -> None:
    booking = product.book(
        date=tomorrow(), start=iso(quarter(16)), partySize=4, tableIds=["OPEN-1", "OPEN-2"], guestName="Set"
    )
    page = open_board(signed_in(), tomorrow())
    drag(page, block(page, booking), 0, 2 * ROW)
    page.wait_for_selector(".toast:has-text('Set: now 16:00, 3 + 4.')")
    reads(page, booking, "4 Set, 16:00–17:30, Table 3 + 4, Confirmed")
    page.click(".toast button:has-text('Undo')")
    page.wait_for_selector(".toast:has-text('Undone.')")
    reads(page, booking, "4 Set, 16:00–17:30, Table 1 + 2, Confirmed")


def test_a_dragged_set_moves_where_tables_join_and_snaps_back_elsewhere(
    joined: Product, signed_in: SignIn
) -> None:
    booking = joined.book(
        restaurantId="JOIN", date=tomorrow(), start=iso(quarter(12)), partySize=4,
        tableIds=["J1", "J2"], guestName="Joined",
    )  # fmt: skip
    page = joined_board(signed_in())
    drag(page, block(page, booking), 0, 3 * ROW)
    page.wait_for_selector(".toast.bad")
    assert page.locator(".toast.bad span").inner_text() == "The requested tables cannot be combined."
    reads(page, booking, "4 Joined, 12:00–13:30, Table J1 + J2, Confirmed")
    drag(page, block(page, booking), 0, 2 * ROW)
    page.wait_for_selector(".toast:has-text('Joined: now 12:00, J3 + J5.')")
    assert block(page, booking).count() == 2
    drag(page, block(page, booking).first, 0, 3 * ROW)
    page.wait_for_selector(".toast:has-text('Joined: now 12:00, J6.')")


def test_the_keyboard_moves_a_set_too(joined: Product, signed_in: SignIn) -> None:
    booking = joined.book(
        restaurantId="JOIN", date=tomorrow(), start=iso(quarter(15)), partySize=3,
        tableIds=["J1", "J2"], guestName="Keys",
    )  # fmt: skip
    page = joined_board(signed_in())
    block(page, booking).focus()
    for key in ("m", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".toast:has-text('Keys: now 15:00, J3 + J5.')")


def test_without_turn_times_the_form_shows_and_books_the_fallback(joined: Product, signed_in: SignIn) -> None:
    page = signed_in()
    page.goto(f"/admin/floor/?restaurant=JOIN&date={tomorrow()}")
    page.wait_for_selector("#link[data-state=online]")
    page.click("#new")
    assert page.locator("#drawer [name=minutes] option:checked").inner_text() == "Usual (90 min)"
    page.select_option("#drawer [name=start]", label="18:00")
    page.fill("#drawer [name=name]", "No Usual")
    page.click("#drawer form button.solid")
    page.wait_for_selector(".toast:has-text('No Usual, 2 covers: booked for 18:00')")
    page.wait_for_selector(".booking[aria-label*='No Usual, 18:00–19:30']")


def two(product: Product, hours: float, *names: str) -> list[dict[str, Any]]:
    return [
        product.book(date=tomorrow(), start=iso(quarter(hours)), tableIds=[table], guestName=name)
        for table, name in zip(("OPEN-1", "OPEN-2"), names, strict=True)
    ]


def test_one_booking_dropped_on_another_offers_to_swap(product: Product, signed_in: SignIn) -> None:
    upper, lower = two(product, 3, "Upper", "Lower")
    page = open_board(signed_in(), tomorrow())
    page.mouse.move(0, 0)
    drag(page, block(page, upper), 0, ROW)
    asked = page.locator("dialog.confirm")
    assert asked.locator("h2").inner_text() == "Swap tables?"
    assert asked.locator("p").all_inner_texts() == [
        "03:00 Upper (2): table 1 → 2",
        "03:00 Lower (2): table 2 → 1",
        "Both keep their times.",
    ]
    page.keyboard.press("Escape")
    asked.wait_for(state="detached")
    reads(page, upper, "2 Upper, 03:00–04:30, Table 1, Confirmed")
    reads(page, lower, "2 Lower, 03:00–04:30, Table 2, Confirmed")
    drag(page, block(page, upper), 0, ROW)
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('Upper: now 2. Lower: now 1.')")
    reads(page, upper, "2 Upper, 03:00–04:30, Table 2, Confirmed")
    reads(page, lower, "2 Lower, 03:00–04:30, Table 1, Confirmed")
    page.keyboard.press("Control+z")
    page.wait_for_selector(".toast:has-text('Undone.')")
    page.wait_for_selector(f".booking[data-id='{lower['id']}'][aria-label*='Table 2']")
    reads(page, upper, "2 Upper, 03:00–04:30, Table 1, Confirmed")


def test_swapping_a_booking_that_changed_meanwhile_is_refused(product: Product, signed_in: SignIn) -> None:
    upper, lower = two(product, 13, "Above", "Below")
    page = open_board(signed_in(), tomorrow())
    drag(page, block(page, upper), 0, ROW)
    page.wait_for_selector("dialog.confirm")
    page.context.set_offline(True)
    page.click("dialog.confirm button[value=yes]")
    page.wait_for_selector(".toast.bad:has-text('The server did not answer.')")
    reads(page, upper, "2 Above, 13:00–14:30, Table 1, Confirmed")
    reads(page, lower, "2 Below, 13:00–14:30, Table 2, Confirmed")
    playwright_api.expect(block(page, lower)).not_to_have_class(re.compile("pending"))
    page.context.set_offline(False)
    page.wait_for_selector("#link[data-state=online]")
    drag(page, block(page, upper), 0, ROW)
    page.wait_for_selector("dialog.confirm")
    changed = page.request.post(
        f"/admin/floor/bookings/{lower['id']}/change",
        data={"notes": "late"},
        headers={"X-CSRFToken": page.locator("meta[name=csrf]").get_attribute("content")},
    )
    assert changed.status == 200
    page.wait_for_selector(f".booking[data-id='{lower['id']}'][aria-label*='late']")
    page.click("dialog.confirm button[value=yes]")
    page.wait_for_selector(".toast.bad:has-text('was changed again since')")
    reads(page, upper, "2 Above, 13:00–14:30, Table 1, Confirmed")
    reads(page, lower, "2 Below, 13:00–14:30, Table 2, Confirmed, late")


def test_a_stay_shortened_at_closing_changes_in_quarter_hours(product: Product, signed_in: SignIn) -> None:
    booking = product.book(
        date=tomorrow(), start=iso(quarter(20)), tableIds=["OPEN-3"], guestName="Cut Short"
    )
    cut = (
        "from datetime import timedelta\n"
        "from django.db.models import F\n"
        "from bookings.models import Booking\n"
        f"Booking.objects.filter(pk='{booking['id']}')"
        ".update(duration_minutes=47, end=F('start') + timedelta(minutes=47))"
    )
    manage("shell", "-v", "0", "-c", cut, environment=product.services.environment)
    page = open_board(signed_in(), tomorrow())
    reads(page, booking, "2 Cut Short, 20:00–20:47, Table 3, Confirmed")
    block(page, booking).focus()
    page.keyboard.press("-")
    page.wait_for_selector(f".booking[data-id='{booking['id']}']:not(.pending)[aria-label*='20:00–20:45']")
    page.keyboard.press("+")
    page.wait_for_selector(f".booking[data-id='{booking['id']}']:not(.pending)[aria-label*='20:00–21:00']")


HOSTILE = "<img src=x onerror=\"document.title='owned'\">'\"&lt;/script>{table}"


def test_hostile_names_and_notes_are_shown_as_text(product: Product, signed_in: SignIn) -> None:
    booking = product.book(
        date=today(), start=iso(now_or_late()), tableIds=["OPEN-5"], guestName=HOSTILE, notes=HOSTILE
    )
    page = open_board(signed_in())
    title = page.title()
    assert block(page, booking).locator(".name").inner_text() == HOSTILE
    block(page, booking).click()
    page.wait_for_selector(".story li")
    assert page.locator("#drawerTitle").inner_text() == HOSTILE
    assert page.input_value("#drawer [name=notes]") == HOSTILE
    page.fill("#search", "onerror")
    page.wait_for_selector("#list .row .who")
    page.keyboard.press("Escape")
    page.click("#drawer [data-act=seat]")
    page.wait_for_selector(".toast:has-text('onerror')")
    page.goto(f"/admin/floor/sheet?restaurant=OPEN&date={today()}")
    page.wait_for_selector("main td")
    assert page.locator("img").count() == 0
    assert "owned" not in (title, page.title())
