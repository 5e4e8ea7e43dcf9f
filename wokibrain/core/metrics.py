"""Prometheus metrics of HTTP requests. Each app defines its own metrics in its ``metrics`` module."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from request to response",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HTTP_REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
