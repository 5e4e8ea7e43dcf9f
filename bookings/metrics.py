"""Prometheus counters of bookings, availability and locks."""

from __future__ import annotations

from prometheus_client import Counter

BOOKING_CREATED = Counter("booking_created_total", "Bookings created")
BOOKING_CANCELLED = Counter("booking_cancelled_total", "Bookings cancelled")
DISCOVERY_REQUESTS = Counter("discovery_requests_total", "Discoveries asked", ["outcome"])
CACHE_HITS = Counter("cache_hits_total", "Days served from memory or Redis", ["layer"])
CACHE_MISSES = Counter("cache_misses_total", "Days read from Postgres")
LOCK_ACQUISITIONS = Counter("lock_acquisitions_total", "Sector-day locks taken", ["backend"])
LOCK_CONTENTIONS = Counter("lock_contentions_total", "Sector-day locks waited for", ["backend"])

# Initialise each series, so that a dashboard can tell zero from unknown.
DISCOVERY_REQUESTS.labels("found")
LOCK_CONTENTIONS.labels("redis")
for _backend in ("redis", "postgres"):
    LOCK_ACQUISITIONS.labels(_backend)
for _layer in ("memory", "redis"):
    CACHE_HITS.labels(_layer)
