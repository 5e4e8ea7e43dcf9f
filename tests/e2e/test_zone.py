"""A board viewed from another time zone: times shown and typed are the restaurant's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.e2e.conftest import Product, playwright_api, with_restaurant
from tests.e2e.test_board import SignIn, block, box_of, drag, iso, reads

pytestmark = pytest.mark.browser
expect = playwright_api.expect
MADRID = ZoneInfo("Europe/Madrid")
ROW, SLOT = 42, 26

MADE = """
from datetime import time
from django.contrib.auth.models import User
from restaurants.models import TurnTime
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.core.callers import SYSTEM
from wokibrain.access.models import Membership
from wokibrain.core.permissions import Role
create_restaurant(caller=SYSTEM, id="MADRID", name="Casa Lejos", zone="Europe/Madrid",
                  hours=[Hours(time(0), time(0))], refuse_past=False)
create_sector(caller=SYSTEM, id="MADRID-S", restaurant_id="MADRID", name="Sala")
for number in range(1, 4):
    create_table(caller=SYSTEM, id=f"M{number}", sector_id="MADRID-S", capacity_min=1, capacity_max=4,
                 name=f"M{number}", position=number)
TurnTime.objects.create(restaurant_id="MADRID", party_up_to=50, minutes=90)
Membership.objects.create(user=User.objects.get(username="ana"), restaurant_id="MADRID", role=Role.ADMIN)
"""


@pytest.fixture(scope="module")
def madrid(product: Product) -> Iterator[Product]:
    with with_restaurant(product, "MADRID", MADE):
        yield product


def tomorrow(hour: int = 0) -> datetime:
    day = datetime.now(MADRID).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, hour, tzinfo=MADRID)


def now() -> datetime:
    return datetime.now(MADRID)


def abroad(signed_in: SignIn, day: str = "") -> Any:
    """Return Ana's board in a browser set to New York's time zone."""
    page = signed_in(timezone_id="America/New_York")
    page.goto(f"/admin/floor/?restaurant=MADRID&date={day}")
    page.wait_for_selector("#link[data-state=online]")
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "America/New_York"
    return page


def starts(page: Any) -> dict[str, datetime]:
    """Return guest -> start on the server, in the restaurant's wall time."""
    day = tomorrow().date().isoformat()
    data = page.request.get(f"/admin/floor/data?restaurant=MADRID&date={day}").json()
    return {
        booking["name"]: datetime.fromtimestamp(booking["start"] / 1000, MADRID)
        for booking in data["bookings"]
    }


UNKNOWN = """
const Known = Intl.DateTimeFormat;
Intl.DateTimeFormat = function (locales, options) {
  const { timeZone } = options ?? {};
  if (timeZone?.includes('/')) throw new RangeError(`Invalid time zone specified: ${timeZone}`);
  return new Known(locales, options);
};
Intl.DateTimeFormat.prototype = Known.prototype;
"""
"""A browser whose zone data lack every zone but UTC."""
OLDER = UNKNOWN.replace(
    "throw new RangeError", "return new Known(locales, { ...options, timeZone: 'Asia/Tokyo' }); void"
)
"""A browser whose zone data say something else than the server's."""


MIDNIGHT_UTC = """() => {
  const options = { timeZone: 'Europe/Madrid', timeStyle: 'short' };
  try { return new Intl.DateTimeFormat('en-GB', options).format(0); } catch (error) { return error.name; }
}"""


@pytest.mark.parametrize(
    ("zone_data", "midnight"), [(UNKNOWN, "RangeError"), (OLDER, "09:00")], ids=["unknown", "older"]
)
def test_no_time_depends_on_the_browsers_zone_data(
    madrid: Product, signed_in: SignIn, zone_data: str, midnight: str
) -> None:
    day = tomorrow().date().isoformat()
    booking = madrid.book(
        restaurantId="MADRID", date=day, start=iso(tomorrow(17)), tableIds=["M2"], guestName="Told Five",
        durationMinutes=45,
    )  # fmt: skip
    booked = now()
    page = signed_in(timezone_id="Pacific/Kiritimati")
    page.add_init_script(zone_data)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"/admin/floor/?restaurant=MADRID&date={day}")
    page.wait_for_selector("#link[data-state=online]")
    assert page.evaluate(MIDNIGHT_UTC) == midnight
    reads(page, booking, "2 Told Five, 17:00–17:45, Table M2, Confirmed")
    # The ruler says the same as the card.
    hour = page.locator(".timeline-hour", has_text="17:00")
    assert abs(box_of(hour)["x"] - box_of(block(page, booking))["x"]) < 2
    assert page.locator("#list .row:has-text('Told Five') .start b").inner_text() == "17:00"
    block(page, booking).click()
    assert page.locator("#drawer [name=start] option:checked").inner_text() == "17:00"
    page.wait_for_selector(f".story li:has-text('{booked:%H:%M}'), .story li:has-text('{now():%H:%M}')")
    page.select_option("#drawer [name=start]", label="18:30")
    page.click("#drawer form button.solid")
    page.wait_for_selector(".toast:has-text('Told Five: saved.')")
    assert starts(page)["Told Five"] == tomorrow(18) + timedelta(minutes=30)
    page.click("[data-table=M2]")
    page.click("#drawer [data-act=block]")
    assert page.locator("#drawer [name=from] option").first.inner_text() == "23:00"
    page.click("#today")
    expect(page.locator("#today")).to_be_disabled()
    page.keyboard.press("p")
    before = now()
    text = page.locator(".planbar output").inner_text()
    assert text in {f"Now · {each:%H:%M}" for each in (before - timedelta(minutes=1), before, now())}
    assert errors == []
    httpx.delete(f"{madrid.url}/api/v1/woki/bookings/{booking['id']}").raise_for_status()


def test_a_night_whose_clocks_go_back_is_drawn_with_its_double_hour(
    madrid: Product, signed_in: SignIn
) -> None:
    day = tomorrow(3)
    while (day - timedelta(hours=6)).utcoffset() == (day + timedelta(hours=18)).utcoffset() or day.month < 7:
        day += timedelta(days=1)
    booking = madrid.book(
        restaurantId="MADRID", date=day.date().isoformat(), start=iso(day), tableIds=["M1"], guestName="Late"
    )
    page = abroad(signed_in, day.date().isoformat())
    reads(page, booking, "2 Late, 03:00–04:30, Table M1, Confirmed")
    hours = page.locator(".timeline-hour").all_inner_texts()
    assert hours[:6] == ["23:00", "00:00", "01:00", "02:00", "02:00", "03:00"]
    hour = page.locator(".timeline-hour", has_text="03:00")
    assert abs(box_of(hour)["x"] - box_of(block(page, booking))["x"]) < 2


def test_times_and_drags_are_in_the_restaurants_time_zone(madrid: Product, signed_in: SignIn) -> None:
    booking = madrid.book(
        restaurantId="MADRID", date=tomorrow().date().isoformat(), start=iso(tomorrow(20)), tableIds=["M1"],
        guestName="From Afar",
    )  # fmt: skip
    page = abroad(signed_in, tomorrow().date().isoformat())
    reads(page, booking, "2 From Afar, 20:00–21:30, Table M1, Confirmed")
    assert page.locator("#list .row:has-text('From Afar') .start b").inner_text() == "20:00"
    drag(page, block(page, booking), 4 * SLOT, ROW)
    page.wait_for_selector(".toast:has-text('From Afar: now 21:00, M2.')")
    reads(page, booking, "2 From Afar, 21:00–22:30, Table M2, Confirmed")
    assert starts(page)["From Afar"] == tomorrow(21)
    block(page, booking).click()
    assert page.locator("#drawer [name=start] option:checked").inner_text() == "21:00"
    assert page.input_value("#drawer [name=date]") == tomorrow().date().isoformat()


def test_a_booking_typed_in_another_time_zone_is_in_the_restaurants(
    madrid: Product, signed_in: SignIn
) -> None:
    page = abroad(signed_in, tomorrow().date().isoformat())
    page.click("#new")
    page.select_option("#drawer [name=start]", label="13:30")
    page.fill("#drawer [name=name]", "Typed Afar")
    page.click("#drawer form button.solid")
    page.wait_for_selector(".toast:has-text('Typed Afar, 2 covers: booked for 13:30')")
    assert starts(page)["Typed Afar"] == tomorrow(13) + timedelta(minutes=30)


def test_clicking_an_empty_slot_uses_the_restaurants_time_zone(madrid: Product, signed_in: SignIn) -> None:
    booking = madrid.book(
        restaurantId="MADRID", date=tomorrow().date().isoformat(), start=iso(tomorrow(9)), tableIds=["M3"],
        guestName="Early",
    )  # fmt: skip
    page = abroad(signed_in, tomorrow().date().isoformat())
    block(page, booking).scroll_into_view_if_needed()
    box = box_of(block(page, booking))
    page.mouse.click(box["x"] + 8 * SLOT + 4, box["y"] + 10)
    assert page.locator("#drawer [name=start] option:checked").inner_text() == "11:00"


def test_today_and_now_are_in_the_restaurants_time_zone(madrid: Product, signed_in: SignIn) -> None:
    before = datetime.now(MADRID)
    page = abroad(signed_in)
    line = page.locator(".timeline-now span").inner_text()
    after = datetime.now(MADRID)
    assert page.input_value("#date") in {before.date().isoformat(), after.date().isoformat()}
    assert line in {f"{each:%H:%M}" for each in (before, after)}
