"""The floor board under load: how soon a large board is ready, and 500 boards receive an event."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks.report import Section
from tests.ledger import set_up
from tests.pipeline import Pipeline
from tests.processes import Api, Services, api_servers, manage, private_services

TABLES: Final = 120
BOOKINGS_EACH: Final = 5
SOCKETS: Final = 500
EVENTS: Final = 10
LOADS: Final = 7
DATE: Final = "2027-03-10"
PASSWORD: Final = "a-long-enough-word"
STAFF: Final = (
    "from django.contrib.auth.models import User; "
    f"User.objects.create_superuser('root', password='{PASSWORD}')"
)
OPEN_TO_ALL: Final = {"PUBLIC_PERMISSIONS": "booking:create,booking:read,booking:delete"}


def sections() -> list[Section]:
    with (
        private_services(durable=True) as services,
        api_servers(1, services=services, environment=OPEN_TO_ALL) as api,
    ):
        _fill(api)
        rows = _ready(api, services)
        with Pipeline(services) as work:
            work.start("relay")
            rows += asyncio.run(_delays_to_sockets(api.urls[0]))
    return [
        Section(
            "Floor board",
            ["what", "median", "worst", "target"],
            rows,
            [
                f"{TABLES} tables, 18 hours, {TABLES * BOOKINGS_EACH} bookings, headless Chromium on the same cores; "
                "ready: from the start of the navigation to the last booking drawn.",
                f"{SOCKETS} sockets on one process; from the request that books to the socket that hears of it, "
                f"through the relay; {EVENTS} events.",
            ],
        )
    ]


# Not Playwright's own waiting, which polls by eval, and the page's policy forbids eval.
WHEN_DRAWN = """count => new Promise(resolve => {
    const look = () => document.querySelectorAll('.booking').length === count
        ? resolve(performance.now()) : requestAnimationFrame(look);
    look();
})"""


def _fill(api: Api) -> None:
    with httpx.Client(base_url=api.urls[0], timeout=30, trust_env=False) as client:
        sectors = {
            f"BIG-{room}": {f"BIG-{room}-{number:02d}": (1, 4) for number in range(TABLES // 4)}
            for room in range(4)
        }
        set_up(client, "BIG", sectors, windows=[("06:00", "00:00")], timezone="Etc/UTC")
        for room, tables in sectors.items():
            for table in tables:
                for turn in range(BOOKINGS_EACH):
                    start = datetime(2027, 3, 10, 6, tzinfo=UTC) + timedelta(hours=3 * turn)
                    _book(
                        client,
                        sectorId=room,
                        tableIds=[table],
                        start=start,
                        guestName=f"Guest {table} {turn}",
                    )


def _book(client: httpx.Client, *, start: datetime, **more: Any) -> None:
    body = {
        "restaurantId": "BIG", "partySize": 2, "date": DATE, "durationMinutes": 180,
        "start": start.isoformat(), **more,
    }  # fmt: skip
    answer = client.post("/api/v1/woki/bookings", json=body)
    assert answer.status_code == 201, answer.text


def _ready(api: Api, services: Services) -> list[tuple[str, str, str, str]]:
    from playwright.sync_api import sync_playwright

    manage("shell", "-c", STAFF, environment=services.environment)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return [("board ready", "no Chromium here", "", "1000 ms")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(base_url=api.urls[0], viewport={"width": 1440, "height": 900})
        page.goto("/admin/login/")
        page.fill("[name=username]", "root")
        page.fill("[name=password]", PASSWORD)
        page.click("form button[type=submit]")
        page.wait_for_url("**/admin/")
        board_times, data_times = [], []
        for _ in range(LOADS):
            page.goto(f"/admin/floor/?restaurant=BIG&date={DATE}", wait_until="commit")
            board_times.append(page.evaluate(WHEN_DRAWN, TABLES * BOOKINGS_EACH))
            data_times.append(
                page.evaluate(
                    "performance.getEntriesByType('resource').find(e => e.name.includes('/data')).duration"
                )
            )
        browser.close()
    return [
        ("board ready", f"{statistics.median(board_times):.0f} ms", f"{max(board_times):.0f} ms", "1000 ms"),
        (
            "of which the day's data",
            f"{statistics.median(data_times):.0f} ms",
            f"{max(data_times):.0f} ms",
            "",
        ),
    ]


async def _delays_to_sockets(url: str) -> list[tuple[str, str, str, str]]:
    address = url.replace("http", "ws", 1) + "/ws/"
    sockets = []
    for _ in range(SOCKETS // 50):
        sockets += await asyncio.gather(*(connect(address, proxy=None) for _ in range(50)))
    try:
        for socket in sockets:
            await socket.send(json.dumps({"type": "subscribe", "restaurantId": "BIG"}))
        await asyncio.gather(*(socket.recv() for socket in sockets))
        medians, p99s = [], []
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            for number in range(EVENTS):
                listening = [asyncio.create_task(_at(socket)) for socket in sockets]
                body = {
                    "restaurantId": "BIG", "partySize": 2, "date": DATE, "durationMinutes": 30,
                    "start": "2027-03-10T21:00:00Z", "tableIds": [f"BIG-0-{number:02d}"], "sectorId": "BIG-0",
                }  # fmt: skip
                began = time.perf_counter()
                answer = await client.post("/api/v1/woki/bookings", json=body)
                assert answer.status_code == 201, answer.text
                delays = sorted(at - began for at in await asyncio.gather(*listening))
                medians.append(delays[len(delays) // 2] * 1000)
                p99s.append(delays[int(len(delays) * 0.99)] * 1000)
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))
    return [
        (
            f"event at {SOCKETS} sockets, p50",
            f"{statistics.median(medians):.0f} ms",
            f"{max(medians):.0f} ms",
            "",
        ),
        (
            f"event at {SOCKETS} sockets, p99",
            f"{statistics.median(p99s):.0f} ms",
            f"{max(p99s):.0f} ms",
            "1000 ms",
        ),
    ]


async def _at(socket: ClientConnection) -> float:
    async with asyncio.timeout(30):
        await socket.recv()
    return time.perf_counter()
