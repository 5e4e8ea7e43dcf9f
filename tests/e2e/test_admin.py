"""The admin's own pages in a real browser: accessible, on every screen size, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.e2e.conftest import Product, serious

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SignIn = Callable[..., Any]

PAGES: Final = (
    "",
    "bookings/booking/", "bookings/booking/add/", "bookings/guest/", "bookings/tableblock/", "bookings/tableblock/add/",
    "restaurants/restaurant/", "restaurants/restaurant/OPEN/change/",
    "restaurants/restaurant/OPEN/change/#windows", "restaurants/restaurant/OPEN/change/#turn_times",
    "restaurants/sector/", "restaurants/sector/OPEN-S/change/",
    "restaurants/table/", "restaurants/table/OPEN-1/change/", "restaurants/table/OPEN-1/delete/",
    "restaurants/tablejoin/add/", "restaurants/combo/add/", "restaurants/specialday/add/",
    "auth/user/", "access/apikey/", "access/apikey/add/", "webhooks/webhook/", "webhooks/webhook/add/",
    "events/auditentry/", "floor/sheet?restaurant=OPEN",
)  # fmt: skip
OWNERS_PAGES: Final = (
    "restaurants/restaurant/add/", "events/storedevent/", "events/failure/", "waffle/flag/", "waffle/flag/add/",
    "waffle/switch/", "waffle/switch/add/",
)  # fmt: skip


def tomorrow() -> str:
    return (datetime.now(UTC).date() + timedelta(days=1)).isoformat()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_axe_finds_no_serious_violation_in_the_admin(
    product: Product, signed_in: SignIn, locale: str, scheme: str
) -> None:
    booking = product.book(date=tomorrow(), guestName="Read Aloud")
    page = signed_in("ana", locale=locale, color_scheme=scheme)
    found = {}
    for path in (*PAGES, f"bookings/booking/{booking['id']}/change/"):
        response = page.goto(f"/admin/{path}")
        # None if only the tab differs.
        assert response is None or response.status == 200, path
        if broken := serious(page):
            found[path] = broken
    page.context.clear_cookies()
    page.goto("/admin/login/")
    found |= {"login": broken} if (broken := serious(page)) else {}
    assert found == {}


def test_the_sign_in_page_has_the_focus_in_its_first_field(product: Product, browser: Any) -> None:
    page = browser.new_context(base_url=product.url).new_page()
    page.goto("/admin/login/")
    page.wait_for_selector("html:not([x-cloak])")
    assert page.evaluate(
        "[document.activeElement.name, getComputedStyle(document.documentElement).opacity]"
    ) == [
        "username",
        "1",
    ]
    page.keyboard.type("ana")
    assert page.input_value("input[name=username]") == "ana"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_on_superusers_pages(signed_in: SignIn, scheme: str) -> None:
    page = signed_in("root", color_scheme=scheme)
    found = {}
    for path in OWNERS_PAGES:
        assert page.goto(f"/admin/{path}").status == 200, path
        if broken := serious(page):
            found[path] = broken
    assert found == {}


def test_no_page_is_wider_than_a_phone(signed_in: SignIn) -> None:
    page = signed_in("ana", viewport={"width": 390, "height": 844})
    wider = []
    for path in PAGES:
        page.goto(f"/admin/{path}")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wider.append(path)
    assert wider == []


def test_retiring_a_booked_table_asks_to_acknowledge_its_bookings(
    product: Product, signed_in: SignIn
) -> None:
    booking = product.book(date=tomorrow(), tableIds=["OPEN-5"], guestName="Loses Her Place")
    page = signed_in("ana")
    page.goto("/admin/restaurants/table/OPEN-5/change/")
    page.fill("[name=name]", "Five")
    page.uncheck("[name=active]")
    page.locator("[name=_save]").last.click()
    panel = page.locator(".office-panel")
    assert panel.locator("tbody tr").inner_text().split("\t")[0].strip() == booking["reference"]
    assert (page.input_value("[name=name]"), page.is_checked("[name=active]")) == ("Five", False)
    assert serious(page) == {}
    panel.locator("[name=_acknowledge]").check()
    panel.locator("button").click()
    page.wait_for_url("**/admin/restaurants/table/")
    page.goto("/admin/bookings/booking/?attention=tables")
    assert page.locator("#result_list tbody tr").count() == 1
    # Restored for the tests that share the product.
    page.goto("/admin/restaurants/table/OPEN-5/change/")
    page.fill("[name=name]", "5")
    page.check("[name=active]")
    page.locator("[name=_save]").last.click()
    page.wait_for_url("**/admin/restaurants/table/")
