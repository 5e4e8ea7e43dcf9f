"""A board that stays open: responses out of order, lost responses, and double clicks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.conftest import Product, identify, playwright_api
from tests.e2e.test_board import SignIn, block, iso, now_or_late, open_board, quarter, reads, today, tomorrow

pytestmark = pytest.mark.browser


def change(page: Any, made: dict[str, Any], **wanted: str) -> None:
    """Change a booking by a request beside the open page."""
    token = page.locator("meta[name=csrf]").get_attribute("content")
    path = f"/admin/floor/bookings/{made['id']}/change"
    assert page.request.post(path, data=wanted, headers={"X-CSRFToken": token}).status == 200


def test_the_day_chosen_last_is_shown_in_whatever_order_responses_arrive(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    first, second = ((quarter(0) + timedelta(days=days)).date().isoformat() for days in (1, 2))
    held: list[Any] = []
    page.route(f"**/data?*date={first}*", lambda route: held.append(route))
    page.evaluate("document.getElementById('next').click()")
    page.wait_for_timeout(50)
    page.fill("#date", second)
    page.wait_for_url(f"**date={second}*")
    with page.expect_response(f"**/data?*date={first}*"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.input_value("#date") == second


def test_a_chosen_day_is_shown_though_the_board_reloads_meanwhile(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    after = (quarter(0) + timedelta(days=1)).date().isoformat()
    held: list[Any] = []
    page.route(f"**/data?*date={after}*", lambda route: held.append(route), times=1)
    page.evaluate("document.getElementById('next').click()")
    while not held:
        page.wait_for_timeout(10)
    with page.expect_response("**/floor/data?*"):
        page.evaluate("() => { window.live.refresh(); }")
    with page.expect_response(f"**/data?*date={after}*"):
        held[0].continue_()
    page.wait_for_url(f"**date={after}*")
    assert page.input_value("#date") == after


def test_events_received_during_a_failed_load_are_not_replayed(product: Product, signed_in: SignIn) -> None:
    booking = product.book(date=tomorrow(), start=iso(quarter(9)), tableIds=["OPEN-4"], guestName="Ghost")
    page = open_board(signed_in(), tomorrow())
    held: list[Any] = []
    page.route("**/floor/data?*", lambda route: held.append(route), times=1)
    page.evaluate("() => { window.live.refresh(); }")
    while not held:
        page.wait_for_timeout(10)
    change(page, booking, notes="by the window")
    reads(page, booking, "2 Ghost, 09:00–10:30, Table 4, Confirmed, by the window")
    with page.expect_event("requestfailed"):
        held[0].abort()
    change(page, booking, date=(quarter(0) + timedelta(days=1)).date().isoformat())
    playwright_api.expect(block(page, booking)).to_have_count(0)
    with page.expect_response("**/floor/data?*"):
        page.evaluate("() => { window.live.refresh(); }")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert block(page, booking).count() == 0


def test_a_change_received_while_the_day_loads_is_kept(product: Product, signed_in: SignIn) -> None:
    start = now_or_late()
    booking = product.book(date=today(), start=iso(start), tableIds=["OPEN-4"], guestName="Crossed")
    page = open_board(signed_in())
    held: list[tuple[Any, Any]] = []
    # The response is from before the change and arrives after it.
    page.route("**/floor/data?*", lambda route: held.append((route, route.fetch())))
    page.evaluate("() => { window.live.refresh(); }")
    while not held:
        page.wait_for_timeout(10)
    page.click("#list .row:has-text('Crossed')")
    page.click("#drawer [data-act=seat]")
    page.wait_for_selector(".toast:has-text('Crossed seated.')")
    route, answer = held[0]
    with page.expect_response("**/floor/data?*"):
        route.fulfill(response=answer)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    end = start + timedelta(minutes=90)
    reads(page, booking, f"2 Crossed, {start:%H:%M}–{end:%H:%M}, Table 4, Seated")


def test_a_double_click_acts_once(product: Product, signed_in: SignIn) -> None:
    product.book(date=today(), start=iso(now_or_late()), tableIds=["OPEN-6"], guestName="Twice")
    page = open_board(signed_in())
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/seat") else None)
    page.click("#list .row:has-text('Twice')")
    page.evaluate("(() => { const b = document.querySelector('[data-act=seat]'); b.click(); b.click(); })()")
    page.wait_for_selector(".toast:has-text('Twice seated.')")
    assert (len(sent), page.locator(".toast.bad").count()) == (1, 0)


def lost(route: Any) -> None:
    """Let the request reach the server, and drop its response."""
    route.fetch()
    route.abort()


def test_a_booking_whose_response_is_lost_is_repeated_and_booked_once(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=name]", "Maybe Booked")
    page.route("**/floor/bookings", lost, times=1)
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    assert page.locator("#drawer [role=alert]").inner_text() == (
        "The server did not answer. Try again: it will not be done twice."
    )
    assert page.input_value("#drawer [name=name]") == "Maybe Booked"
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawerTitle:has-text('Maybe Booked')")
    page.wait_for_selector(".toast:has-text('Maybe Booked, 2 covers: booked for')")
    assert page.locator("#list .row:has-text('Maybe Booked')").count() == 1


def test_edits_after_a_lost_response_are_not_shown_as_booked(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=name]", "First Try")
    page.route("**/floor/bookings", lost, times=1)
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    page.fill("#drawer [name=name]", "Second Try")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawerTitle:has-text('First Try')")
    text = page.locator(".toast.bad span").inner_text()
    assert text.startswith("It was booked the first time: First Try, 2 covers,")
    assert text.endswith("Your later changes are not in it.")
    assert page.locator("#list .row:has-text('Second Try')").count() == 0


def test_a_repeated_walk_in_and_completion_take_effect_once(signed_in: SignIn) -> None:
    page = open_board(signed_in())
    # Bookings of other files' tests are completed.
    page.click("#filters button:has-text('Done')")
    done = page.locator("#list .row:has-text('Walk-in')").count()
    page.click("#walkin")
    page.route("**/floor/walk-in", lost, times=1)
    page.click(".parties [data-party='4']")
    page.wait_for_selector(
        ".toast.bad:has-text('The server did not answer. Try again: it will not be done twice.')"
    )
    page.click(".parties [data-party='4']")
    page.wait_for_selector(".toast:has-text('Walk-in of 4 seated at')")
    page.click("#filters button:has-text('Seated')")
    page.wait_for_selector("#list .row:has-text('Walk-in')")
    assert page.locator("#list .row:has-text('Walk-in')").count() == 1
    page.route("**/complete", lost, times=1)
    # No live message announces it either.
    page.route("**/floor/bookings/*", lambda route: route.abort())
    page.click("#list li:has-text('Walk-in') .quick")
    page.wait_for_selector(".toast.bad:has-text('The server did not answer.')")
    page.click("#list li:has-text('Walk-in') .quick")
    page.wait_for_selector(".toast:has-text('Walk-in: completed.')")
    page.click("#filters button:has-text('Done')")
    assert page.locator("#list .row:has-text('Walk-in')").count() == done + 1


def in_another_tab(page: Any, username: str) -> None:
    """Sign out if necessary and sign in again, in another tab of the same browser."""
    other = page.context.new_page()
    other.context.clear_cookies(name="sessionid")
    identify(other, username)
    other.close()


def test_a_board_continues_after_its_user_signs_in_again_in_another_tab(
    product: Product, signed_in: SignIn
) -> None:
    product.book(date=today(), start=iso(now_or_late()), tableIds=["OPEN-1"], guestName="Still Here")
    page = open_board(signed_in())
    page.click("#new")
    page.fill("#drawer [name=name]", "Typed Before")
    in_another_tab(page, "ana")
    page.click("#drawer form button.solid")
    page.wait_for_selector(".toast:has-text('Typed Before, 2 covers: booked for')")
    page.click("#list .row:has-text('Still Here')")
    page.click("#drawer [data-act=seat]")
    page.wait_for_selector(".toast:has-text('Still Here seated.')")
    assert page.locator(".toast.bad").count() == 0


def test_a_board_whose_session_ended_keeps_its_form_and_explains_what_to_do(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=name]", "Kept Over It")
    page.context.clear_cookies(name="sessionid")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    assert page.locator("#drawer [role=alert]").inner_text() == (
        "You are signed out. Sign in again in another tab, then try again: nothing is lost. Sign in"
    )
    assert page.input_value("#drawer [name=name]") == "Kept Over It"
    with page.context.expect_page() as opening:
        page.click("#drawer [role=alert] a")
    identify(opening.value, "ana")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawerTitle:has-text('Kept Over It')")


def test_a_board_does_not_act_for_another_user_who_signed_in_meanwhile(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=name]", "Not By Bea")
    in_another_tab(page, "bea")
    page.click("#drawer form button.solid")
    page.wait_for_selector("#drawer [role=alert]")
    assert page.locator("#drawer [role=alert]").inner_text() == (
        "Another person has signed in on this browser. Copy what you typed, then reload the page."
    )
    assert page.input_value("#drawer [name=name]") == "Not By Bea"
    page.reload()
    page.wait_for_selector("#link[data-state=online]")
    assert page.locator("#list .row:has-text('Not By Bea')").count() == 0


def test_a_form_books_the_day_on_which_it_was_opened(signed_in: SignIn) -> None:
    page = open_board(signed_in(), tomorrow())
    page.click("#new")
    page.fill("#drawer [name=party]", "3")
    page.fill("#drawer [name=name]", "Kept Day")
    page.evaluate("document.getElementById('next').click()")
    page.wait_for_url(lambda url: tomorrow() not in url)
    with page.expect_response("**/floor/bookings") as answer:
        page.click("#drawer form button.solid")
    assert (answer.value.status, answer.value.json()["date"]) == (200, tomorrow())


def test_a_restaurant_without_tables_explains_what_to_do(signed_in: SignIn) -> None:
    page = signed_in("root")
    page.goto("/admin/floor/?restaurant=EMPTY")
    page.wait_for_selector("#notice:not([hidden])")
    assert page.locator("#notice").inner_text().split("\n") == [
        "There are no tables yet. Create a sector and its tables first.",
        "Back office",
    ]
    page.keyboard.press("p")
    page.keyboard.press("n")
    page.wait_for_selector("#drawer .alert")
    assert page.locator("#drawer .alert").inner_text() == "The restaurant is closed on that date."


def test_a_booking_becomes_late_as_time_passes(product: Product, signed_in: SignIn) -> None:
    booking = product.book(date=tomorrow(), start=iso(quarter(11.25)), tableIds=["OPEN-6"], guestName="Tardy")
    page = signed_in()
    now = int(quarter(11).timestamp() * 1000)
    page.clock.install(time=quarter(11))
    page.route("**/floor/data?*", lambda route: route.fulfill(json=route.fetch().json() | {"now": now}))
    page.goto(f"/admin/floor/?restaurant=OPEN&date={tomorrow()}")
    block(page, booking).wait_for()
    assert "Confirmed" in block(page, booking).get_attribute("aria-label")
    page.unroute("**/floor/data?*")
    page.route("**/floor/data?*", lambda route: route.abort())
    page.clock.run_for(26 * 60_000)
    page.wait_for_selector(f".booking.late[data-id='{booking['id']}']")
