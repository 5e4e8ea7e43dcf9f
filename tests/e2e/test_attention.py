"""A booking whose table was retired, on the board: flagged at once, explained, and moved."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Product, playwright_api, serious
from tests.e2e.test_board import SignIn, block, box_of, drag, iso, open_board, quarter, reads, tomorrow
from tests.processes import manage

pytestmark = pytest.mark.browser
ROW = 42
WHY = "Its table was taken out of use or no longer seats the party. Choose another table."

ACTIVE = """
from restaurants.services.plan_guard import StrandsBookings
from restaurants.services.restaurants import update_table
from wokibrain.core.callers import SYSTEM
try:
    update_table(caller=SYSTEM, table_id="{table}", settings={"active": {active}})
except StrandsBookings as asked:
    update_table(caller=SYSTEM, table_id="{table}", settings={"active": {active}},
                 acknowledge=asked.extra["acknowledge"])
"""


def active(product: Product, table: str, value: bool) -> None:
    code = ACTIVE.replace("{table}", table).replace("{active}", str(value))
    manage("shell", "-v", "0", "-c", code, environment=product.services.environment)


@pytest.fixture
def stranded(product: Product) -> Any:
    """Create a booking at table 3, which the test then retires."""
    booking = product.book(
        date=tomorrow(), start=iso(quarter(16)), tableIds=["OPEN-3"], guestName="Lost Seat"
    )
    yield booking
    active(product, "OPEN-3", True)
    httpx.delete(f"{product.url}/api/v1/woki/bookings/{booking['id']}").raise_for_status()


def test_the_flag_shows_everywhere_and_a_move_clears_it(
    product: Product, signed_in: SignIn, stranded: dict[str, Any]
) -> None:
    page = open_board(signed_in(), tomorrow())
    active(product, "OPEN-3", False)
    # Live, on the block: an icon with a name, and an accessible description of what to do.
    reads(page, stranded, f"2 Lost Seat, 16:00–17:30, Table 3, Confirmed, Needs attention: {WHY}")
    assert block(page, stranded).locator("svg[role=img]").get_attribute("aria-label") == WHY
    assert page.locator(".timeline-label.retired b").inner_text() == "3"
    assert page.locator(".timeline-label.retired svg").get_attribute("aria-label") == "Out of use"
    page.click("[data-filter=attention]")
    assert page.locator("#list .row").count() == 1
    page.click("#list .row:has-text('Lost Seat')")
    assert page.locator("#drawer .attention").inner_text().split("\n") == ["No table", WHY]
    assert serious(page) == {}
    page.keyboard.press("p")
    page.wait_for_selector("[data-table=OPEN-3].retired [data-flag=tables]")
    assert serious(page) == {}
    page.keyboard.press("t")
    page.keyboard.press("Escape")
    drag(page, block(page, stranded), 0, ROW)
    page.wait_for_selector(".toast:has-text('Lost Seat: now 16:00, 4.')")
    reads(page, stranded, "2 Lost Seat, 16:00–17:30, Table 4, Confirmed")
    playwright_api.expect(page.locator("[data-filter=attention]")).to_have_count(0)
    page.reload()
    block(page, stranded).wait_for()
    assert page.locator(".timeline-label.retired").count() == 0


def test_an_inactive_table_cannot_be_chosen(
    product: Product, signed_in: SignIn, stranded: dict[str, Any]
) -> None:
    other = product.book(date=tomorrow(), start=iso(quarter(20)), tableIds=["OPEN-4"], guestName="Stays Here")
    active(product, "OPEN-3", False)
    page = open_board(signed_in(), tomorrow())
    drag(page, block(page, other), 4 * 26, -ROW)
    page.wait_for_selector(".toast:has-text('Stays Here: now 21:00, 4.')")
    row = box_of(block(page, stranded))
    page.mouse.click(row["x"] - 60, row["y"] + 10)
    assert page.locator("#drawer").is_hidden()
    page.click(".timeline-label.retired")
    assert page.locator("#drawer .actions button").count() == 0
    block(page, stranded).click()
    page.fill("#drawer [name=notes]", "pram")
    with page.expect_request("**/change") as sent:
        page.click("#drawer form button.solid")
    # A table that can no longer be picked does not count as deselected by the user.
    assert sent.value.post_data_json == {"notes": "pram"}


def test_the_flags_sentence_is_translated_into_spanish(
    product: Product, signed_in: SignIn, stranded: dict[str, Any]
) -> None:
    active(product, "OPEN-3", False)
    page = open_board(signed_in(locale="es-ES"), tomorrow())
    block(page, stranded).click()
    assert page.locator("#drawer .attention").inner_text().split("\n") == [
        "Sin mesa",
        "Su mesa se retiró o ya no alcanza para el grupo. Elige otra mesa.",
    ]
