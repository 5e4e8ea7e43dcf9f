"""Prometheus metrics, added up over every process of this host by the client's multiprocess files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from django.db import DatabaseError, InterfaceError
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from wokibrain.events import status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from request to response",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HTTP_REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
BOOKING_CREATED = Counter("booking_created_total", "Bookings created")
BOOKING_CANCELLED = Counter("booking_cancelled_total", "Bookings cancelled")
DISCOVERY_REQUESTS = Counter("discovery_requests_total", "Discoveries asked", ["outcome"])
CACHE_HITS = Counter("cache_hits_total", "Days served from memory or Redis", ["layer"])
CACHE_MISSES = Counter("cache_misses_total", "Days read from Postgres")
LOCK_ACQUISITIONS = Counter("lock_acquisitions_total", "Sector-day locks taken", ["backend"])
LOCK_CONTENTIONS = Counter("lock_contentions_total", "Sector-day locks waited for", ["backend"])
WEBHOOK_DELIVERIES = Counter("webhook_deliveries_total", "Attempts to deliver to webhooks", ["outcome"])


class _Events(Collector):
    """How far the events have come, read from the database when it is asked; nothing when that is away."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with suppress(DatabaseError, InterfaceError):
            for name, (text, labels, values) in status.gauges().items():
                family = GaugeMetricFamily(name, text, labels=labels)
                for of, value in values.items():
                    family.add_metric(of, value)
                yield family


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = _of_processes()
    registry.register(_Events())
    return generate_latest(registry)


def _of_processes() -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


# A series is there from the start, so that a dashboard can tell zero from unknown.
DISCOVERY_REQUESTS.labels("found")
LOCK_CONTENTIONS.labels("redis")
for _backend in ("redis", "postgres"):
    LOCK_ACQUISITIONS.labels(_backend)
for _outcome in ("delivered", "retry", "failed", "gone"):
    WEBHOOK_DELIVERIES.labels(_outcome)
for _layer in ("memory", "redis"):
    CACHE_HITS.labels(_layer)
