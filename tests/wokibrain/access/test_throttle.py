"""P16: the limit holds for concurrent requests and forged addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from redis import Redis
from rest_framework.test import APIClient

from bookings.live.endpoint import credentials_of
from tests.processes import Api, Services, api_servers, manage, private_services
from tests.wokibrain.access.conftest import client_of
from wokibrain.core import client_address
from wokibrain.core.permissions import Role
from wokibrain.core.redis import Away, Script

PATH = "/api/v1/woki/bookings/NOBODY"
LIMIT = 100
AT_ONCE = 300


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.fixture(scope="module")
def api(services: Services) -> Iterator[Api]:
    with api_servers(2, services=services, environment={"RATE_LIMIT_MAX": str(LIMIT)}) as api:
        yield api


def count_passed(api: Api, headers: Callable[[int], dict[str, str]]) -> int:
    """Send 300 concurrent requests, spread over two processes; return how many were not refused."""

    def ask(number: int) -> int:
        response = client.get(api.urls[number % 2] + PATH, headers=headers(number))
        assert response.status_code in (404, 429), response.text
        return response.status_code

    # One client for all: creating one costs more than the request.
    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(50) as pool:
        return sum(status == 404 for status in pool.map(ask, range(AT_ONCE)))


def flush(services: Services) -> None:
    Redis.from_url(services.redis.url).flushall()


def nothing(_: int) -> dict[str, str]:
    return {}


def somebody_else(number: int) -> dict[str, str]:
    return {"X-Forwarded-For": f"198.51.{number // 200}.{number % 200}", "X_Forwarded_For": "192.0.2.1"}


@pytest.mark.parametrize("headers", [nothing, somebody_else])
def test_of_three_hundred_requests_a_hundred_pass(
    services: Services, api: Api, headers: Callable[[int], dict[str, str]]
) -> None:
    flush(services)
    assert count_passed(api, headers) == LIMIT


def test_canary_trusting_every_proxy_lets_all_pass(services: Services) -> None:
    """The canary: if a client is trusted as a proxy, each address it forges has a separate limit."""
    flush(services)
    trusting = {"RATE_LIMIT_MAX": str(LIMIT), "TRUSTED_PROXIES": "127.0.0.0/8"}
    with api_servers(2, services=services, environment=trusting) as api:
        assert count_passed(api, somebody_else) == AT_ONCE


def test_without_redis_each_process_continues_from_its_last_count(services: Services, api: Api) -> None:
    services.redis.stop()
    assert count_passed(api, nothing) == 0
    services.redis.start()


def test_a_redis_that_refuses_commands_is_bypassed(services: Services) -> None:
    """Full and with noeviction, Redis responds with an error."""
    client = Redis.from_url(services.redis.url)
    client.flushall()
    limited = services.environment | {"RATE_LIMIT_MAX": "3"}
    manage("migrate", "--verbosity=0", environment=limited)
    manage("seed", environment=limited)
    day = "restaurantId=R1&sectorId=S1&date=2030-01-15"
    body = {
        "restaurantId": "R1",
        "sectorId": "S1",
        "partySize": 2,
        "date": "2030-01-15",
        "durationMinutes": 60,
    }
    with api_servers(1, services=services, environment=limited) as api:
        client.config_set("maxmemory", 1)
        try:
            with httpx.Client(base_url=api.urls[0] + "/api/v1/woki", timeout=30) as asking:
                responses = [asking.get(f"/discover?{day}&partySize=2&duration=60") for _ in range(4)]
                creation = asking.post("/bookings", json=body)
                listed = asking.get(f"/bookings?{day}")
        finally:
            client.config_set("maxmemory", 0)
        assert [response.status_code for response in responses] == [200, 200, 200, 429], responses[0].text
        assert creation.status_code == 201, creation.text
        assert [booking["id"] for booking in listed.json()["bookings"]] == [creation.json()["id"]], (
            listed.text
        )
        assert "Redis refuses commands (" in api.servers[0].output()


def test_headers_report_limit_and_remaining_requests(example: None, settings: Any) -> None:
    settings.RATE_LIMIT_MAX = 2
    client = client_of(Role.STAFF)
    first, second, third = (client.get("/api/v1/woki/bookings/B1") for _ in range(3))
    assert [response.status_code for response in (first, second, third)] == [200, 200, 429]
    assert [response["RateLimit-Remaining"] for response in (first, second, third)] == ["1", "0", "0"]
    assert {response["RateLimit-Limit"] for response in (first, second, third)} == {"2"}
    assert "Retry-After" not in second
    assert third["Retry-After"] == third["RateLimit-Reset"]
    assert 1 <= int(third["Retry-After"]) <= 60
    assert third.json()["error"] == "RATE_LIMIT_EXCEEDED"
    assert client.delete("/api/v1/woki/bookings/B1").status_code == 204, "another method is another endpoint"
    assert client_of(Role.STAFF).get("/api/v1/woki/bookings/B1").status_code == 200, "another key"


def test_guessing_keys_is_limited_by_address(example: None, settings: Any) -> None:
    settings.RATE_LIMIT_MAX = 2
    guesses = [
        APIClient().get(PATH, HTTP_X_API_KEY=f"wk_{number:052d}", REMOTE_ADDR="192.0.2.77").status_code
        for number in range(4)
    ]
    assert guesses == [401, 401, 429, 429]


def test_probes_are_never_limited(db: None, settings: Any) -> None:
    settings.RATE_LIMIT_MAX = 1
    client = APIClient()
    for path in ("/health/live", "/health/ready", "/metrics", "/api/v1/health/live"):
        assert [client.get(path).status_code for _ in range(3)] == [200] * 3, path
    assert [client.get("/health", REMOTE_ADDR="192.0.2.78").status_code for _ in range(2)] == [200, 429]


def test_without_redis_requests_are_still_limited(
    example: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Away

    monkeypatch.setattr(Script, "run", away)
    settings.RATE_LIMIT_MAX = 3
    statuses = [APIClient().get(PATH, REMOTE_ADDR="192.0.2.79").status_code for _ in range(5)]
    assert statuses == [404, 404, 404, 429, 429]


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "client"),
    [
        ("192.0.2.1", "", [], "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", [], "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "10.0.0.7", ["10.0.0.0/8"], "10.0.0.7"),
        ("10.0.0.1", "203.0.113.9, rubbish", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("2001:db8:1:2:3::4", "", [], "2001:db8:1:2::/64"),
        ("", "203.0.113.9", ["10.0.0.0/8"], "unknown"),
    ],
)
def test_the_client_address_is_the_last_untrusted_one(
    settings: Any, remote: str, forwarded: str, proxies: list[str], client: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    meta = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address.client_address(meta) == client


def test_a_socket_has_the_same_client_address_as_a_request(settings: Any) -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"203.0.113.9, 10.0.0.2")]
    scope = {"client": ("10.0.0.1", 4711), "headers": headers, "query_string": b""}
    settings.TRUSTED_PROXIES = []
    assert credentials_of(scope).address == "10.0.0.1"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert credentials_of(scope).address == "203.0.113.9"
    assert credentials_of(scope | {"client": None}).address == "unknown"
