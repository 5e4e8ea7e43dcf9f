"""The product's own processes, a restaurant that is always open, and a real browser."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.pipeline import Pipeline
from tests.processes import Services, api_servers, manage, private_services

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = "axe-core@4.14.1"
PASSWORD = "a-long-enough-word"

MADE = """
from datetime import time
from django.contrib.auth.models import User
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from restaurants.models import TurnTime
from wokibrain.core.callers import SYSTEM
from wokibrain.access.models import Membership
from wokibrain.core.permissions import Role
for place, name in (("OPEN", "Always Open"), ("OTHER", "Other House")):
    create_restaurant(caller=SYSTEM, id=place, name=name, zone="Etc/UTC",
                      hours=[Hours(time(0), time(0))], refuse_past=False)
    create_sector(caller=SYSTEM, id=f"{place}-S", restaurant_id=place, name="Main room")
    for number in range(1, 7):
        create_table(caller=SYSTEM, id=f"{place}-{number}", sector_id=f"{place}-S", capacity_min=1,
                     capacity_max=2 if number < 4 else 4, name=str(number), position=number,
                     x=60 + 150 * number, y=80)
    TurnTime.objects.create(restaurant_id=place, party_up_to=50, minutes=90)
create_restaurant(caller=SYSTEM, id="EMPTY", name="Empty House", zone="Etc/UTC", hours=[])
for username, first, role in (("ana", "Ana", Role.ADMIN), ("bea", "Bea", Role.MANAGER)):
    user = User.objects.create_user(username, password="{password}", first_name=first, is_staff=True)
    Membership.objects.create(user=user, restaurant_id="OPEN", role=role)
User.objects.create_superuser("root", password="{password}")
"""

EMPTY = """
from bookings.services.table_blocks import unblock_table
from bookings.models import Booking, TableBlock
from bookings.services.lifecycle import cancel_booking, complete_booking
from wokibrain.core.callers import SYSTEM
for status, end in (("CONFIRMED", cancel_booking), ("SEATED", complete_booking)):
    for booking in Booking.objects.filter(status=status):
        end(str(booking.pk), caller=SYSTEM)
for block in TableBlock.objects.all():
    unblock_table(caller=SYSTEM, table_id=block.table_id, block_id=str(block.pk))
"""


@dataclass(frozen=True)
class Product:
    url: str
    services: Services

    @property
    def live(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws/"

    def book(self, **changed: Any) -> dict[str, Any]:
        """A booking created by REST, as an integrator would."""
        body = {"restaurantId": "OPEN", "partySize": 2, "durationMinutes": 90} | changed
        response = httpx.post(f"{self.url}/api/v1/woki/bookings", json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made


@pytest.fixture(scope="package")
def product() -> Iterator[Product]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with private_services() as services:
        manage("shell", "-c", MADE.replace("{password}", PASSWORD), environment=services.environment)
        environment = {"PUBLIC_PERMISSIONS": "booking:create,booking:read,booking:delete"}
        with api_servers(1, services=services, environment=environment) as api, Pipeline(services) as work:
            work.start("relay")
            yield Product(api.urls[0], services)


@contextmanager
def with_restaurant(product: Product, restaurant_id: str, made: str) -> Iterator[Product]:
    """Give the product a restaurant that the code ``made`` creates; Ana works there until the end of the block."""
    manage("shell", "-c", made, environment=product.services.environment)
    yield product
    remove = "from wokibrain.access.models import Membership\n"
    remove += f"Membership.objects.filter(restaurant_id={restaurant_id!r}).delete()"
    manage("shell", "-c", remove, environment=product.services.environment)


@pytest.fixture(scope="module", autouse=True)
def free_tables(product: Product) -> None:
    """Free every table before each file."""
    manage("shell", "-v", "0", "-c", EMPTY, environment=product.services.environment)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def signed_in(product: Product, browser: Any) -> Iterator[Callable[..., Any]]:
    """signed_in("ana", locale="es", viewport=...): return a page of that user in a new browser context."""
    contexts = []

    def sign_in(username: str = "ana", **options: Any) -> Any:
        options = {"viewport": {"width": 1360, "height": 860}, "locale": "en-GB"} | options
        context = browser.new_context(base_url=product.url, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        identify(page, username)
        return page

    yield sign_in
    for context in contexts:
        context.close()


def identify(page: Any, username: str) -> None:
    """Sign in on that page."""
    page.goto("/admin/login/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.click("form button[type=submit]")
    page.wait_for_url("**/admin/")


@functools.cache
def axe_source() -> str | None:
    """Return axe-core's script from npm, or None if it is not available."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [npm, "pack", "--json", AXE], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        if result.returncode:
            return None
        packed = Path(folder) / json.loads(result.stdout)[0]["filename"]
        with tarfile.open(packed) as archive:
            script = archive.extractfile("package/axe.min.js")
            return script.read().decode() if script else None


def serious(page: Any) -> dict[str, list[Any]]:
    """Return serious and critical violations: rule -> the elements that break it."""
    source = axe_source()
    if source is None:
        pytest.skip("axe-core is not to be had (no npm, or no registry)")
    page.evaluate(source)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return {
        violation["id"]: [node["target"] for node in violation["nodes"]][:3]
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
    }
