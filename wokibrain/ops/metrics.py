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

from wokibrain.events import status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS: Final = 5.0
"""What is read from the database is told again for so long: /metrics is open, and looks through the whole backlog."""


class _Stored(Collector):
    """What the database knows: how far the events have come, what was sent. Nothing when that is away."""

    def __init__(self) -> None:
        self.attempts: Callable[[], Mapping[str, int]] = dict
        self._reading = threading.Lock()
        self._read_at = float("-inf")
        self._families: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        # Who comes while somebody reads is told what was read before.
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
                for of, value in values.items():
                    gauge.add_metric(of, value)
                families.append(gauge)
            sent = CounterMetricFamily(
                "webhook_deliveries_total", "Attempts to deliver to webhooks", labels=["outcome"]
            )
            for outcome, count in self.attempts().items():
                sent.add_metric([outcome], count)
            families.append(sent)
        return families


_stored = _Stored()


def tell_of_webhooks(attempts: Callable[[], Mapping[str, int]]) -> None:
    """Have the attempts to deliver, by outcome, among the metrics. Other processes make them, on any host."""
    _stored.attempts = attempts


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = _of_processes()
    registry.register(_stored)
    return generate_latest(registry)


def _of_processes() -> CollectorRegistry:
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    return registry
