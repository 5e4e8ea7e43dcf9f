"""Who sits where, on the board: a party that overstays, the choices at an occupied table, and putting back."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.e2e.conftest import Product, playwright_api, serious, with_restaurant
from tests.e2e.test_board import SignIn, block, box_of, iso, reads

pytestmark = pytest.mark.browser
expect = playwright_api.expect
SLOT = 26
LARGE = 9
"""Tables from this one on seat three, so that no party of two is offered them."""
AHEAD = 13 - datetime.now(UTC).hour
"""Hours by which the restaurant's clocks are ahead of UTC: it is early afternoon there whenever the tests run."""
OCCUPIED = "Another party still sits at its table. Choose another table, or wait until they leave."

MADE = """
from datetime import time
from django.contrib.auth.models import User
from restaurants.models import TurnTime
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.access.models import Membership
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
create_restaurant(caller=SYSTEM, id="ROOM", name="Room", zone="{zone}", hours=[Hours(time(0), time(0))],
                  refuse_past=False, occupied_margin=60)
create_sector(caller=SYSTEM, id="ROOM-S", restaurant_id="ROOM", name="Main room")
for number in range(1, 12):
    least, most = (1, 2) if number < 9 else (3, 4)
    create_table(caller=SYSTEM, id=f"ROOM-{number}", sector_id="ROOM-S", capacity_min=least, capacity_max=most,
                 combinable=False, name=f"R{number}", position=number, x=60 + 170 * ((number - 1) % 4),
                 y=80 + 170 * ((number - 1) // 4))
TurnTime.objects.create(restaurant_id="ROOM", party_up_to=50, minutes=90)
Membership.objects.create(user=User.objects.get(username="ana"), restaurant_id="ROOM", role=Role.ADMIN)
"""


@pytest.fixture(scope="module")
def room(product: Product) -> Iterator[Product]:
    with with_restaurant(
        product, "ROOM", MADE.replace("{zone}", f"Etc/GMT{-AHEAD:+d}" if AHEAD else "Etc/GMT")
    ):
        yield product


@functools.cache
def this_quarter() -> datetime:
    """Return the start of the quarter hour in which these tests began."""
    now = datetime.now(timezone(timedelta(hours=AHEAD)))
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


def quarter(minutes: int = 0) -> datetime:
    return this_quarter() + timedelta(minutes=minutes)


def book(room: Product, table: int, minutes: int, name: str, *, stay: int = 60) -> dict[str, Any]:
    """Book a table from so many minutes after this quarter hour began, for ``stay`` minutes."""
    start = quarter(minutes)
    return room.book(
        restaurantId="ROOM", date=start.date().isoformat(), start=iso(start), durationMinutes=stay,
        tableIds=[f"ROOM-{table}"], partySize=2 if table < LARGE else 3, guestName=name,
    )  # fmt: skip


def step(page: Any, booking: dict[str, Any], name: str) -> Any:
    """Take a step of a booking by a request beside the open page, as another board would."""
    token = page.locator("meta[name=csrf]").get_attribute("content")
    path = f"/admin/floor/bookings/{booking['id']}/{name}"
    reply = page.request.post(path, data={}, headers={"X-CSRFToken": token})
    assert reply.status == 200, reply.text()
    return reply.json()


def times(start: int, end: int) -> str:
    return f"{quarter(start):%H:%M}–{quarter(end):%H:%M}"


def open_room(page: Any) -> Any:
    page.goto("/admin/floor/?restaurant=ROOM")
    page.wait_for_selector("#stage:not([aria-busy])", state="attached")
    page.wait_for_selector("#link[data-state=online]")
    return page


def test_the_next_booking_at_an_overstayed_table_is_flagged_everywhere(
    room: Product, signed_in: SignIn
) -> None:
    lingers = book(room, 1, -90, "Lingers")
    following = book(room, 1, 45, "Follows")
    page = open_room(signed_in())
    reads(page, following, f"2 Follows, {times(45, 105)}, Table R1, Confirmed")
    step(page, lingers, "seat")
    # Live, by the event of the other booking.
    reads(page, following, f"2 Follows, {times(45, 105)}, Table R1, Confirmed, Needs attention: {OCCUPIED}")
    reads(page, lingers, f"2 Lingers, {times(-90, -30)}, Table R1, Over time")
    chip = block(page, following).locator("[data-flag=occupied]")
    assert (chip.get_attribute("title"), chip.locator("svg").get_attribute("aria-label")) == (
        OCCUPIED,
        OCCUPIED,
    )
    # The bar of the party that overstays ends at the present.
    bar, line = box_of(block(page, lingers)), box_of(page.locator(".timeline-now"))
    assert abs(bar["x"] + bar["width"] - line["x"]) < 6
    row = page.locator("#list .row:has-text('Follows')")
    assert row.locator("[data-flag=occupied]").inner_text() == "Occupied"
    row.click()
    assert page.locator("#drawer .attention").inner_text().split("\n") == ["Occupied", OCCUPIED]
    assert serious(page) == {}
    page.keyboard.press("p")
    table = page.locator("[data-table=ROOM-1]")
    expect(table).to_have_class("table square over")
    expect(table.locator("[data-flag=occupied]")).to_have_text("Occupied")
    assert serious(page) == {}
    step(page, lingers, "complete")
    expect(page.locator("[data-flag=occupied]")).to_have_count(0)


def test_a_table_becomes_occupied_as_time_passes(room: Product, signed_in: SignIn) -> None:
    lingers = book(room, 2, -60, "Stays", stay=30)
    following = book(room, 2, 90, "Due Later")
    page = signed_in()
    step(open_room(page), lingers, "seat")
    now = quarter()
    page.clock.install(time=now)
    shown = {"now": int(now.timestamp() * 1000)}
    page.route("**/floor/data?*", lambda route: route.fulfill(json=route.fetch().json() | shown))
    open_room(page)
    label = f"2 Due Later, {times(90, 150)}, Table R2, Confirmed"
    reads(page, following, label)
    page.route("**/floor/data?*", lambda route: route.abort())
    page.clock.run_for(29 * 60_000)
    reads(page, following, label)
    page.clock.run_for(2 * 60_000)
    reads(page, following, f"{label}, Needs attention: {OCCUPIED}")
    step(page, lingers, "complete")


def test_seating_at_an_occupied_table_offers_free_tables_to_choose(room: Product, signed_in: SignIn) -> None:
    sits = book(room, 3, -60, "Sits Here")
    following = book(room, 3, 45, "Wants In")
    page = open_room(signed_in(locale="es-ES"))
    since = step(page, sits, "seat")["seatedAt"]
    block(page, following).click()
    page.click("#drawer [data-act=seat]")
    refusal = page.locator(".toast.bad")
    clock = datetime.fromtimestamp(since / 1000, quarter().tzinfo)
    assert refusal.locator("> span").inner_text() == (
        f"Allí sigue sentado otro grupo, desde las {clock:%H:%M} ({sits['reference']})."
    )
    choices = refusal.get_by_role("group", name="Mesas libres").get_by_role("button")
    tables = choices.all_inner_texts()
    assert tables
    assert "Mesa R3" not in tables
    assert serious(page) == {}
    choices.first.click()
    page.wait_for_selector(f".toast:has-text('Wants In: en la {tables[0].lower()}.')")
    expect(block(page, following)).to_have_attribute("aria-label", re.compile(f"{tables[0]}, En mesa"))
    for each in (sits, following):
        step(page, each, "complete")


def test_a_no_show_whose_table_was_given_away_is_seated_at_another(room: Product, signed_in: SignIn) -> None:
    late = book(room, 4, -30, "Came Late", stay=120)
    page = open_room(signed_in())
    step(page, late, "no-show")
    given = book(room, 4, 0, "Got It")
    page.click("[data-filter=out]")
    page.click("#list .row:has-text('Came Late')")
    page.click("#drawer [data-act=seat]")
    refusal = page.locator(".toast.bad")
    assert refusal.locator("> span").inner_text() == (
        f"Its tables are booked for another party at {quarter():%H:%M} ({given['reference']})."
    )
    refusal.get_by_role("button", name="Table R").first.click()
    expect(page.locator("#drawer .chip")).to_have_text("Seated")
    assert page.locator(".toast.bad").count() == 0
    step(page, late, "complete")


def test_a_booking_is_put_back_from_the_drawer(room: Product, signed_in: SignIn) -> None:
    booking = book(room, 9, -15, "Not Gone")
    page = open_room(signed_in())
    step(page, booking, "seat")
    step(page, booking, "complete")
    block(page, booking).click()
    page.click("#drawer [data-act=reopen]")
    page.wait_for_selector(".toast:has-text('Not Gone is back to: Seated.')")
    # A correction is not undone: the step is taken again.
    assert page.locator(".toast:has-text('is back to') button").count() == 0
    expect(page.locator("#drawer .chip")).to_have_text("Seated")
    page.click("#drawer [data-act=reopen]")
    page.wait_for_selector(".toast:has-text('Not Gone is back to: Confirmed.')")
    expect(page.locator("#drawer [data-act=reopen]")).to_have_count(0)
    page.click("#drawer [data-act=cancel]")
    page.wait_for_selector(".toast:has-text('Not Gone: cancelled.')")
    other = book(room, 9, 0, "Has It Now")
    page.click("#drawer [data-act=reopen]")
    refusal = page.locator(".toast.bad > span")
    expect(refusal).to_have_text(
        f"Its tables are booked for another party at {quarter():%H:%M} ({other['reference']})."
    )
    expect(page.locator("#drawer .chip")).to_have_text("Cancelled")


def test_a_drag_that_runs_into_the_next_party_snaps_back_and_names_it(
    room: Product, signed_in: SignIn
) -> None:
    booking, following = book(room, 10, 30, "Longer"), book(room, 10, 90, "In The Way")
    page = open_room(signed_in())
    label = f"3 Longer, {times(30, 90)}, Table R10, Confirmed"
    reads(page, booking, label)
    text = f"Its tables are booked for another party at {quarter(90):%H:%M} ({following['reference']})."
    box = box_of(block(page, booking))
    edge, middle = box["x"] + box["width"] - 4, box["y"] + box["height"] / 2
    page.mouse.move(edge, middle)
    page.mouse.down()
    page.mouse.move(edge + 2 * SLOT, middle, steps=4)
    page.mouse.up()
    expect(page.locator(".toast.bad > span")).to_have_text(text)
    reads(page, booking, label)
    assert box_of(block(page, booking))["width"] == box["width"]
    page.click(".toast.bad [aria-label=Close]")
    block(page, booking).focus()
    page.keyboard.press("+")
    expect(page.locator(".toast.bad > span")).to_have_text(text)
    reads(page, booking, label)


def test_a_step_is_offered_when_it_is_possible(room: Product, signed_in: SignIn) -> None:
    """A party is seated on its own day only, and is a no-show from its start on."""
    today, tomorrow = book(room, 11, 60, "Today"), book(room, 11, 24 * 60, "Tomorrow")
    page = signed_in()
    now = quarter()
    page.clock.install(time=now)
    shown = {"now": int(now.timestamp() * 1000)}
    page.route("**/floor/data?*", lambda route: route.fulfill(json=route.fetch().json() | shown))
    open_room(page)
    block(page, today).click()
    steps = page.locator("#drawer .actions [data-act]")
    assert [each.get_attribute("data-act") for each in steps.all()] == ["seat", "cancel"]
    page.route("**/floor/data?*", lambda route: route.abort())
    page.clock.run_for(61 * 60_000)
    page.wait_for_selector("#drawer [data-act=no-show]")
    page.unroute("**/floor/data?*")
    page.goto(f"/admin/floor/?restaurant=ROOM&date={quarter(24 * 60).date().isoformat()}")
    block(page, tomorrow).click()
    assert [each.get_attribute("data-act") for each in steps.all()] == ["cancel"]
    assert page.locator("#list li:has-text('Tomorrow') .quick").count() == 0


def test_a_party_of_another_day_is_seen_at_its_table(room: Product, signed_in: SignIn) -> None:
    """As after a night that nobody closed: its booking is on no board of today."""
    following = book(room, 8, 45, "Finds It Taken")
    page = signed_in()
    page.route(
        "**/floor/data?*",
        lambda route: route.fulfill(json=route.fetch().json() | {"heldTables": ["ROOM-7", "ROOM-8"]}),
    )
    open_room(page)
    expect(block(page, following)).to_have_attribute("aria-label", re.compile(f"Needs attention: {OCCUPIED}"))
    page.keyboard.press("p")
    expect(page.locator("[data-table=ROOM-7]")).to_have_class("table square SEATED")
    expect(page.locator("[data-table=ROOM-7] .line")).to_have_text("Party of another day")
