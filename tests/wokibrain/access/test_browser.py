"""Pages under their Content-Security-Policy in a real browser: they work, and the policy blocks nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from wokibrain.access.models import Membership
from wokibrain.core.permissions import Role

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]
REFUSED = """() => {
    window.refused = [];
    document.addEventListener('securitypolicyviolation', event => window.refused.push(
        `${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    page = browser.new_page()
    page.add_init_script(f"({REFUSED})()")

    def collect(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            complaints.append(message.text)

    page.on("console", collect)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()


def blocked_by_policy(page: Page) -> list[str]:
    result: list[str] = page.evaluate("window.refused")
    return result


def test_the_api_reference_renders(page: Page, complaints: list[str], live_server: Any) -> None:
    page.goto(f"{live_server.url}/docs")
    page.wait_for_selector("h2:has-text('Book a table')", timeout=30_000)
    page.type("input[placeholder='Search...']", "cancel", delay=20)
    # The search runs in a worker, which the policy must allow ReDoc to create.
    page.wait_for_selector("[data-role='search:results'] :text('Cancel a booking')", timeout=15_000)
    assert (blocked_by_policy(page), complaints) == ([], [])


def test_the_back_office_works(page: Page, complaints: list[str], live_server: Any) -> None:
    user = User.objects.create_superuser("ana", password="a-long-password")
    Membership.objects.create(user=user, role=Role.SUPER_ADMIN)
    page.goto(f"{live_server.url}/admin/")
    page.fill("input[name=username]", "ana")
    page.fill("input[name=password]", "a-long-password")
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")
    links = page.eval_on_selector_all("a[href^='/admin/']", "all => all.map(each => each.href)")
    lists = sorted({link for link in links if link.count("/") == 6 and "logout" not in link})
    assert lists
    for link in lists:
        page.goto(link)
        page.goto(link + "add/")
        assert (blocked_by_policy(page), complaints) == ([], []), link


def test_canary_a_policy_without_its_exception_is_reported(
    page: Page, complaints: list[str], live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: the same check of the same page reports what a stricter policy blocks."""
    monkeypatch.setattr("wokibrain.rest.docs_pages.DOCS_POLICY", "default-src 'self'")
    page.goto(f"{live_server.url}/docs")
    # By a promise: Playwright's own waiting polls by eval, which the policy may block.
    page.evaluate("""() => new Promise(done => {
        const look = () => window.refused.length || performance.now() > 10_000 ? done() : setTimeout(look, 50);
        look();
    })""")
    assert complaints
