"""The board of a restaurant whose time zone the server has no rules for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Product, playwright_api, with_restaurant
from tests.e2e.test_board import SignIn
from tests.processes import manage

pytestmark = pytest.mark.browser
expect = playwright_api.expect
UNKNOWN = "This server does not know the restaurant's time zone, America/Nowhere."

MADE = """
from django.contrib.auth.models import User
from restaurants.models import Restaurant
from restaurants.services.restaurants import create_restaurant
from wokibrain.core.callers import SYSTEM
from wokibrain.access.models import Membership
from wokibrain.core.permissions import Role
create_restaurant(caller=SYSTEM, id="NOWHERE", name="Nowhere House", zone="Etc/UTC", hours=[])
Membership.objects.create(user=User.objects.get(username="ana"), restaurant_id="NOWHERE", role=Role.ADMIN)
"""
GIVE_ZONE = (
    "from restaurants.models import Restaurant; Restaurant.objects.filter(pk='NOWHERE').update(zone={!r})"
)


@pytest.fixture
def nowhere(product: Product) -> Iterator[None]:
    environment = product.services.environment
    with with_restaurant(product, "NOWHERE", f"{MADE}\n{GIVE_ZONE.format('America/Nowhere')}"):
        yield
        manage("shell", "-c", GIVE_ZONE.format("Etc/UTC"), environment=environment)


def test_it_says_so_and_leads_to_others(nowhere: None, signed_in: SignIn) -> None:
    page = signed_in()
    page.goto("/admin/floor/?restaurant=NOWHERE")
    expect(page.locator("#notice")).to_have_text(UNKNOWN)
    expect(page.locator("#toasts")).to_contain_text(UNKNOWN)
    page.select_option("#restaurant", "OPEN")
    page.wait_for_selector("#link[data-state=online]")
    expect(page.locator("#notice")).to_be_hidden()
    assert page.locator("#notice").text_content() != UNKNOWN
