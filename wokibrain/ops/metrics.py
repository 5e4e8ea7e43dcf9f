"""The metrics page: counters of every web process on this host, and gauges read from the database."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from django.db import DatabaseError, InterfaceError
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from wokibrain.core import zones
from wokibrain.events import status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS: Final = 5.0
"""How long gauges are served without reading the database again: /metrics is open to all and counts whole backlogs."""


class _Stored(Collector):
    """Gauges and counters read from the database: backlogs of events, webhook deliveries. None while it is away."""

    def __init__(self) -> None:
        self.webhook_attempts: Callable[[], Mapping[str, int]] = dict
        self._reading = threading.Lock()
        self._read_at = float("-inf")
        self._families: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        # A request that comes while another reads gets the previous figures.
        if time.monotonic() - self._read_at >= FRESH_SECONDS and self._reading.acquire(blocking=False):
            try:
                self._families = self._read()
                self._read_at = time.monotonic()
            finally:
                self._reading.release()
        yield from self._families

    def _read(self) -> list[Metric]:
        families: list[Metric] = []
        with suppress(DatabaseError, InterfaceError):
            for name, (text, labels, values) in status.gauges().items():
                gauge = GaugeMetricFamily(name, text, labels=labels)
                for label_values, value in values.items():
                    gauge.add_metric(label_values, value)
                families.append(gauge)
            rules = GaugeMetricFamily(
                "time_zone_rules_info",
                "Release of the time-zone rules that processes use, and of those that the stored instants follow",
                labels=["release", "instants"],
            )
            rules.add_metric([zones.release(), zones.derived_with() or "unknown"], 1)
            families.append(rules)
            deliveries = CounterMetricFamily(
                "webhook_deliveries_total", "Attempts to deliver to webhooks", labels=["outcome"]
            )
            for outcome, count in self.webhook_attempts().items():
                deliveries.add_metric([outcome], count)
            families.append(deliveries)
        return families


_stored = _Stored()


def register_webhook_attempts(attempts: Callable[[], Mapping[str, int]]) -> None:
    """Add to the metrics how many delivery attempts had each outcome, over all processes and hosts."""
    _stored.webhook_attempts = attempts


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = _process_registry()
    registry.register(_stored)
    return generate_latest(registry)


def _process_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    return registry
