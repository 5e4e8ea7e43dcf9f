"""Health, metrics and documentation, at the root and under /api/v1."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from bookings.sample_data import example
from tests.api import Api
from wokibrain.core.clock import frozen

ROOTS = ("", "/api/v1")
BOTH = pytest.mark.parametrize("root", ROOTS)
PAGES = ("/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/openapi.yaml")

pytestmark = pytest.mark.django_db


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


@BOTH
def test_health_is_ok(root: str) -> None:
    with frozen(datetime(2025, 10, 22, 12, tzinfo=UTC)):
        response = get(f"{root}/health")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok", "version": settings.VERSION, "timestamp": "2025-10-22T12:00:00+00:00",
    }  # fmt: skip


@BOTH
def test_liveness_queries_no_server(root: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = get(f"{root}/health/live")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


@BOTH
def test_ready_with_postgres_and_redis(root: str) -> None:
    response = get(f"{root}/health/ready")
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "ok")
    assert body["checks"] == {"database": "ok", "redis": "ok", "kafka": "off"}
    assert body["zones"] == {"release": "2026f", "unknown": 0}


NAMES = (
    "http_request_duration_seconds",
    "http_requests_total",
    "booking_created_total",
    "booking_cancelled_total",
    "discovery_requests_total",
    "cache_hits_total",
    "cache_misses_total",
    "lock_acquisitions_total",
    "lock_contentions_total",
    "webhook_deliveries_total",
)


@BOTH
def test_metrics_have_the_contracts_names(root: str) -> None:
    text = get(f"{root}/metrics").content.decode()
    declared = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    for name in NAMES:
        assert declared[name] == ("histogram" if name.endswith("seconds") else "counter"), name
    assert re.search(r'^time_zone_rules_info\{instants="\w+",release="2026f"\} 1.0$', text, re.MULTILINE)


def test_delivery_metrics_start_at_zero() -> None:
    text = get("/metrics").content.decode()
    counted = re.findall(r'^webhook_deliveries_total\{outcome="(\w+)"\}', text, re.MULTILINE)
    assert sorted(counted) == ["delivered", "failed", "gone", "retry"]


def test_documents_name_the_host_of_the_request() -> None:
    client = Client(headers={"Host": "127.0.0.1:9999"})
    (server,) = client.get("/asyncapi.json").json()["servers"].values()
    assert (server["host"], server["protocol"]) == ("127.0.0.1:9999", "ws")
    (server,) = client.get("/asyncapi.json", secure=True).json()["servers"].values()
    assert (server["host"], server["protocol"]) == ("127.0.0.1:9999", "wss")
    first = client.get("/postman.json", secure=True).json()["variable"][0]
    assert first == {"key": "baseUrl", "value": "https://127.0.0.1:9999"}
    (server,) = get("/asyncapi.json").json()["servers"].values()
    assert server["host"] == "testserver"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/woki/bookings", {"GET", "POST"}),
        ("/api/v1/woki/bookings/B1", {"GET", "PATCH", "DELETE"}),
        ("/api/v1/admin/seed", {"POST"}),
        ("/health", {"GET"}),
        ("/docs", {"GET"}),
    ],
)
def test_options_lists_the_allowed_methods_only(path: str, allowed: set[str]) -> None:
    response = Client().options(path)
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers
    assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == allowed | {"OPTIONS"}


def test_in_production_only_allowed_hosts_are_served(settings: Any) -> None:
    settings.PRODUCTION, settings.ALLOWED_HOSTS = True, ["book.example", ".chain.example"]
    client = Client()

    def status(path: str, host: str) -> int:
        return client.get(path, headers={"Host": host}).status_code

    for host in ("evil.example", "book.example.evil.example", "127.0.0.1:8000", "a b", "[::1]"):
        refused_ = client.get("/api/v1/admin/info", headers={"Host": host})
        assert (refused_.status_code, refused_.json()["error"]) == (400, "VALIDATION_ERROR")
        assert refused_.json()["requestId"] == refused_.headers["X-Request-ID"]
        for path in ("/health", "/health/live", "/api/v1/health/ready", "/metrics"):
            assert status(path, host) == 200
    for host in ("book.example", "BOOK.example:8443", "north.chain.example"):
        assert status("/api/v1/admin/info", host) == 200
    settings.PRODUCTION = False
    client = Client()
    assert status("/api/v1/admin/info", "evil.example") == 200


def sample(text: str, series: str) -> float:
    match = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_metrics_count_bookings_and_requests() -> None:
    example.example()
    api = Api()
    series = (
        "booking_created_total",
        "booking_cancelled_total",
        'discovery_requests_total{outcome="found"}',
        'http_requests_total{method="POST",route="api/v1/woki/bookings",status="201"}',
    )

    def now() -> list[float]:
        text = get("/metrics").content.decode()
        return [sample(text, name) for name in series]

    before = now()
    api.discover()
    references = [api.book().body["reference"] for _ in range(2)]
    api.cancel(references[0])
    api.cancel(references[0])
    assert [after - was for after, was in zip(now(), before, strict=True)] == [2, 1, 1, 2]


def test_metrics_name_routes_not_bookings() -> None:
    example.example()
    Api().get("/woki/bookings/B1")
    Api().get("/woki/secret-person")
    text = get("/metrics").content.decode()
    assert 'route="api/v1/woki/bookings/<str:booking>"' in text
    assert "B1" not in text
    assert "secret-person" not in text


@BOTH
def test_docs_load_nothing_from_other_hosts(root: str) -> None:
    response = get(f"{root}/docs")
    page = response.content.decode()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "//" not in re.sub(r"<!--.*?-->", "", page.replace("<!doctype html>", ""))
    (script,) = re.findall(r'<script src="([^"]+)"', page)
    assert script == "/docs/redoc.js"
    served = get(script)
    assert (served.status_code, served.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert b"cdn.redoc.ly" not in served.content
    (document,) = re.findall(r'spec-url="([^"]+)"', page)
    assert get(document).json()["info"]["title"] == "WokiBrain"


@BOTH
@pytest.mark.parametrize("page", PAGES)
def test_pages_accept_reads_only(root: str, page: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = Client().generic(method, root + page)
        assert response.status_code == 405
        assert response.json()["error"] == "METHOD_NOT_ALLOWED"
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert Client().head(root + page).status_code == 200


def test_every_response_has_its_request_id() -> None:
    request_id = "5f0c2f3e-8f5e-4a8b-9a53-5f5d7f3a0c11"
    for path in (*PAGES, "/nope", "/api/v1/woki/bookings/B9"):
        assert get(path, **{"X-Request-ID": request_id}).headers["X-Request-ID"] == request_id
        assert len(get(path, **{"X-Request-ID": "<script>"}).headers["X-Request-ID"]) == 36


def test_readiness_checks_an_unavailable_kafka_at_most_once_at_a_time(settings: Any) -> None:
    """Each check occupies a thread for up to a second, and the endpoint is public."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.KAFKA_BROKERS = f"127.0.0.1:{silent.getsockname()[1]}"
        answers = [get("/health/ready") for _ in range(4)]
        assert [response.status_code for response in answers] == [200] * 4
        assert {answer.json()["checks"]["kafka"] for answer in answers} == {"degraded"}
        silent.settimeout(0.2)
        calls = []
        with suppress(TimeoutError):
            while True:
                calls.append(silent.accept())
        for call, _ in calls:
            call.close()
        assert len(calls) == 1
