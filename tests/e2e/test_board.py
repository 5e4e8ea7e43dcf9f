"""The floor board as a host uses it, in a real browser on the product's own processes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import Product, playwright_api, serious

pytestmark = pytest.mark.browser
SignIn = Callable[..., Any]


def quarter(hours: float) -> datetime:
    """Return a quarter hour of tomorrow in UTC, on the same service date whenever the test runs."""
    day = datetime.now(UTC).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)


def tomorrow() -> str:
    return quarter(0).date().isoformat()


def now_or_late() -> datetime:
    """Return the present quarter hour in UTC, at the latest 22:30: 90 minutes from it end today."""
    now = datetime.now(UTC)
    quarter_hour = now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)
    return min(quarter_hour, now.replace(hour=22, minute=30, second=0, microsecond=0))


def today() -> str:
    return now_or_late().date().isoformat()


def iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def open_board(page: Any, day: str | None = None) -> Any:
    page.goto(f"/admin/floor/?restaurant=OPEN{f'&date={day}' if day else ''}")
    page.wait_for_selector("#stage:not([aria-busy])", state="attached")
    page.wait_for_selector("#link[data-state=online]")
    return page


def block(page: Any, booking: dict[str, Any]) -> Any:
    return page.locator(f".booking[data-id='{booking['id']}']")


def reads(page: Any, booking: dict[str, Any], label: str) -> None:
    """Wait until the booking's element has the accessible name ``label``."""
    playwright_api.expect(block(page, booking).first).to_have_attribute("aria-label", label)


def box_of(piece: Any) -> Any:
    """Return the piece's place on the page, in view; the board may re-render it at any time."""
    box = None
    while not box:
        with contextlib.suppress(playwright_api.Error):
            piece.scroll_into_view_if_needed()
            box = piece.bounding_box()
    return box


def drag(page: Any, piece: Any, dx: float, dy: float) -> None:
    box = box_of(piece)
    x, y = box["x"] + min(30, box["width"] / 2), box["y"] + min(20, box["height"] / 2)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2, steps=4)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()


def test_signing_in_leads_to_the_dashboard_and_the_floor(signed_in: SignIn) -> None:
    page = signed_in()
    page.click("text=Open the floor")
    page.wait_for_url("**/admin/floor/**")
    assert page.locator("#restaurant option").all_inner_texts() == ["Always Open"]


def test_a_restaurant_is_set_up_from_nothing_and_takes_its_first_booking(signed_in: SignIn) -> None:
    page = signed_in("root")
    page.goto("/admin/restaurants/restaurant/add/")
    page.fill("[name=name]", "Casa Nueva")
    page.evaluate("document.querySelector('[name=zone]').value = 'Europe/Madrid'")
    page.fill("[name=id]", "NUEVA")
    page.click("[name=_save]")
    page.wait_for_url("**/restaurant/NUEVA/change/")
    assert page.locator("[name$='-opens']").count() >= 14
    page.goto("/admin/restaurants/sector/add/")
    page.select_option("[name=restaurant]", "NUEVA")
    page.fill("[name=name]", "Comedor")
    page.click("[name=_continue]")
    page.wait_for_selector("text=was added successfully")
    page.click("text=Add another Table")
    page.fill("[name=tables-0-name]", "Uno")
    page.fill("[name=tables-0-capacity_min]", "2")
    page.fill("[name=tables-0-capacity_max]", "4")
    page.click("[name=_save]")
    page.wait_for_selector("text=was changed successfully")
    page.goto("/admin/bookings/booking/add/")
    page.select_option("[name=restaurant]", "NUEVA")
    page.fill("[name=date]", tomorrow())
    page.fill("[name=time]", "13:00")
    page.fill("[name=party_size]", "3")
    page.fill("[name=guest_name]", "Primera Clienta")
    page.click("[name=_save]")
    page.wait_for_selector("text=was added successfully")
    page.goto(f"/admin/floor/?restaurant=NUEVA&date={tomorrow()}")
    page.wait_for_selector(".booking")
    assert page.locator(".booking").get_attribute("aria-label") == (
        "3 Primera Clienta, 13:00–14:45, Table Uno, Confirmed"
    )


def test_a_booking_is_dragged_to_another_table_and_time(product: Product, signed_in: SignIn) -> None:
    booking = product.book(date=tomorrow(), start=iso(quarter(6)), tableIds=["OPEN-1"], guestName="Drag Me")
    page = open_board(signed_in(), tomorrow())
    slot, row = 26, 42
    drag(page, block(page, booking), 4 * slot, row)
    page.wait_for_selector(".toast:has-text('Drag Me: now 07:00, 2.')")
    reads(page, booking, "2 Drag Me, 07:00–08:30, Table 2, Confirmed")
    page.click(".toast button:has-text('Undo')")
    page.wait_for_selector(".toast:has-text('Undone.')")
    reads(page, booking, "2 Drag Me, 06:00–07:30, Table 1, Confirmed")


def test_a_conflict_snaps_back_and_says_why(product: Product, signed_in: SignIn) -> None:
    for hours in (9, 10.5):
        product.book(date=tomorrow(), start=iso(quarter(hours)), tableIds=["OPEN-2"])
    booking = product.book(date=tomorrow(), start=iso(quarter(10)), tableIds=["OPEN-1"], guestName="Stay")
    page = open_board(signed_in(), tomorrow())
    piece = block(page, booking)
    before = piece.get_attribute("aria-label")
    drag(page, piece, 0, 42)
    page.wait_for_selector(".toast.bad")
    assert (
        page.locator(".toast.bad span")
        .inner_text()
        .startswith("The requested tables are not free at that time.")
    )
    reads(page, booking, before)
    playwright_api.expect(piece).not_to_have_class(re.compile("pending"))


def test_two_browsers_and_rest_see_changes_within_a_second(product: Product, signed_in: SignIn) -> None:
    ana, bea = open_board(signed_in("ana"), tomorrow()), open_board(signed_in("bea"), tomorrow())
    ana.wait_for_selector("#presence[title='Also on this board: Bea']")
    began = time.monotonic()
    booking = product.book(date=tomorrow(), start=iso(quarter(14)), tableIds=["OPEN-4"], guestName="By REST")
    for page in (ana, bea):
        block(page, booking).wait_for()
    assert time.monotonic() - began < 2.0
    ana.evaluate("window.scrollTo(0, 0)")
    drag(ana, block(ana, booking), 0, 42)
    began = time.monotonic()
    bea.wait_for_selector(f".booking[data-id='{booking['id']}'][aria-label*='Table 5']")
    assert time.monotonic() - began < 1.0
    bea.wait_for_selector(".toast:has-text('Ana: Changed · By REST')")


def test_walk_in_complete_and_undo(signed_in: SignIn) -> None:
    page = open_board(signed_in())
    page.click("#walkin")
    page.click(".parties [data-party='2']")
    page.wait_for_selector(".toast:has-text('Walk-in of 2 seated at')")
    page.click("#filters button:has-text('Seated')")
    page.locator("#list li:has-text('Walk-in') .quick").last.click()
    page.wait_for_selector(".toast:has-text('Walk-in: completed.')")
    page.click(".toast:has-text('completed') button:has-text('Undo')")
    page.wait_for_selector(".toast:has-text('Undone.')")
    assert page.locator("#list li:has-text('Walk-in')").count() == 1


def test_invalid_input_is_explained_at_the_field_and_nothing_is_lost(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=party]", "0")
    page.fill("#drawer [name=name]", "Kept Name")
    page.fill("#drawer [name=phone]", "call me")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    assert page.locator("#drawer [data-bad=party]").inner_text() == "Must be at least 1."
    assert page.locator("#drawer [data-bad=phone]").inner_text() == (
        "Expected a phone number of 5 to 20 digits."
    )
    assert page.input_value("#drawer [name=name]") == "Kept Name"
    assert page.input_value("#drawer [name=phone]") == "call me"


def test_another_restaurants_data_is_not_shown(signed_in: SignIn) -> None:
    page = signed_in("bea")
    assert page.request.get("/admin/floor/data?restaurant=OTHER").status == 404
    assert page.request.get("/admin/floor/data?restaurant=OPEN&date=1900-01-01").status == 400
    assert page.request.get("/admin/restaurants/table/OTHER-1/change/").status == 404
    page.goto("/admin/restaurants/restaurant/")
    assert page.locator("#result_list tbody tr").count() == 1


def test_the_board_is_in_spanish(signed_in: SignIn) -> None:
    page = open_board(signed_in(locale="es-ES"), tomorrow())
    assert page.locator("#new").inner_text() == "Nueva reserva"
    page.click("#new")
    page.fill("#drawer [name=party]", "0")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    text = page.locator("#drawer [role=alert]").inner_text()
    assert text == "Lo que escribiste se conserva. Corrige los campos marcados e inténtalo de nuevo."


def test_a_walk_in_and_a_conflict_are_reported_in_spanish(product: Product, signed_in: SignIn) -> None:
    page = open_board(signed_in(locale="es-ES"))
    page.click("#walkin")
    assert page.locator("#drawer .meta").inner_text() == (
        "¿Cuántos son? Toca el número para sentarlos en la mejor mesa libre."
    )
    page.click(".parties [data-party='3']")
    page.wait_for_selector(".toast:has-text('Grupo de 3 sin reserva, sentado en')")
    page.click(".toast button:has-text('Deshacer')")
    page.wait_for_selector(".toast:has-text('Deshecho.')")
    for hours in (15, 16.5):
        product.book(date=tomorrow(), start=iso(quarter(hours)), tableIds=["OPEN-2"])
    booking = product.book(date=tomorrow(), start=iso(quarter(16)), tableIds=["OPEN-1"], guestName="Quieta")
    open_board(page, tomorrow())
    drag(page, block(page, booking), 0, 42)
    page.wait_for_selector(".toast.bad")
    assert (
        page.locator(".toast.bad span")
        .inner_text()
        .startswith("Las mesas pedidas no están libres en ese horario. Los horarios más cercanos con lugar: ")
    )
    reads(page, booking, "2 Quieta, 16:00–17:30, Mesa 1, Confirmada")


def test_the_board_fits_a_phone(product: Product, signed_in: SignIn) -> None:
    product.book(date=today(), start=iso(now_or_late()), tableIds=["OPEN-6"], guestName="On The Phone")
    page = open_board(signed_in(viewport={"width": 390, "height": 844}, has_touch=True))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.tap("#list .row:has-text('On The Phone')")
    box = page.locator("#drawer").bounding_box()
    assert (box["x"], box["width"]) == (0, 390)
    page.tap("#drawer [data-act=seat]")
    page.wait_for_selector(".toast:has-text('On The Phone seated.')")


def test_the_board_works_by_keyboard_alone(product: Product, signed_in: SignIn) -> None:
    booking = product.book(date=tomorrow(), start=iso(quarter(21)), tableIds=["OPEN-3"], guestName="By Keys")
    page = open_board(signed_in(), tomorrow())
    page.keyboard.press("/")
    page.keyboard.type("by keys")
    page.wait_for_selector("#list .row:has-text('By Keys')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawerTitle:has-text('By Keys')")
    page.keyboard.press("Escape")
    block(page, booking).focus()
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('By Keys: now 21:15, 2.')")
    page.keyboard.press("+")
    page.wait_for_selector(f".booking[data-id='{booking['id']}']:not(.pending)[aria-label*='21:15–23:00']")
    page.keyboard.press("Control+z")
    page.wait_for_selector(f".booking[data-id='{booking['id']}'][aria-label*='21:15–22:45']")
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (page.evaluate("document.activeElement.dataset.id"), focused) == (booking["id"], "solid")


SHOWS_LIVE = "document.querySelector('#link').dataset.state === 'online'"


def test_live_turns_off_when_the_browser_goes_offline_and_on_again(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    # In one step: the next answer of the server turns it on again, as the browser is not offline.
    assert not page.evaluate(f"window.dispatchEvent(new Event('offline')) && {SHOWS_LIVE}")
    page.wait_for_selector("#link[data-state=online]")


def test_live_turns_off_when_the_server_falls_silent(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    # The answers are lost from here on; the page's own clock measures how long it still says that it is live.
    silent_for = page.evaluate(
        """() => new Promise((resolve) => {
            const { live } = window;
            const began = Date.now();
            live.lastHeard = began;
            live.hear = () => {};
            new MutationObserver(() => resolve(Date.now() - began)).observe(
                document.querySelector('#link'), { attributes: true });
        })"""
    )
    assert not page.evaluate(SHOWS_LIVE)
    assert silent_for <= 3000


def test_a_party_that_is_typed_replaces_the_number(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    party = page.locator("#drawer input[name=party]")
    page.keyboard.type("7")
    assert party.input_value() == "7"
    party.click()
    page.keyboard.type("12")
    assert party.input_value() == "12"


def test_a_booking_half_typed_is_not_dropped_without_a_question(product: Product, signed_in: SignIn) -> None:
    booking = product.book(
        date=tomorrow(), start=iso(quarter(22)), tableIds=["OPEN-4"], guestName="Elsewhere"
    )
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    name = page.locator("#drawer input[name=name]")
    name.fill("Half")
    ways: list[Callable[[], Any]] = [
        lambda: page.keyboard.press("Escape"),
        lambda: page.click("#drawer header button"),
        lambda: page.click("#walkin"),
        lambda: block(page, booking).click(),
    ]
    for leave in ways:
        leave()
        page.click("dialog.confirm button:has-text('Keep editing')")
        assert name.input_value() == "Half"
    name.press("Escape")
    page.click("dialog.confirm button:has-text('Discard')")
    page.wait_for_selector("#drawer", state="hidden")
    page.click("#new")
    page.keyboard.press("Escape")
    page.wait_for_selector("#drawer", state="hidden")
    assert page.locator("dialog.confirm").count() == 0


@pytest.mark.parametrize("view", ["timeline", "plan", "drawer", "dark"])
def test_axe_finds_no_serious_violation(product: Product, signed_in: SignIn, view: str) -> None:
    page = open_board(signed_in(color_scheme="dark" if view == "dark" else "light"), tomorrow())
    if view == "plan":
        page.keyboard.press("p")
        page.wait_for_selector(".plan")
    if view == "drawer":
        page.click("#new")
        page.wait_for_selector("#drawer [data-tables]")
    assert serious(page) == {}


COLOURS = """() => {
    const root = getComputedStyle(document.documentElement);
    const now = getComputedStyle(document.querySelector('.timeline-now span'));
    return [root.colorScheme, root.getPropertyValue('--bg'), now.color];
}"""
LIGHT, DARK = ["light", "#f4f2ee", "rgb(255, 255, 255)"], ["dark", "#131715", "rgb(42, 10, 4)"]


def test_dark_mode_looks_alike_by_system_preference_and_by_choice(signed_in: SignIn) -> None:
    page = open_board(signed_in(color_scheme="dark"))
    assert page.evaluate(COLOURS) == DARK
    assert serious(page) == {}
    # The system preference may change at any time, and the board follows.
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]")
    assert page.evaluate(COLOURS) == LIGHT
    page.click(".menu summary")
    page.click("#theme")
    assert page.evaluate(COLOURS) == DARK
    open_board(page)
    assert page.evaluate(COLOURS) == DARK
    page.emulate_media(color_scheme="dark")
    page.click(".menu summary")
    page.click("#theme")
    open_board(page)
    assert page.evaluate(COLOURS) == LIGHT


def test_the_board_works_under_a_strict_content_security_policy(signed_in: SignIn) -> None:
    page = signed_in()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    answers: list[Any] = []
    page.on(
        "response", lambda response: answers.append(response) if "/admin/floor/?" in response.url else None
    )
    open_board(page, tomorrow())
    page.keyboard.press("p")
    page.wait_for_selector(".plan")
    page.click("#walkin")
    page.wait_for_selector(".parties")
    policy = answers[0].headers["content-security-policy"].split("; ")
    assert {"script-src 'self'", "style-src 'self'"} <= set(policy)
    assert said == []
