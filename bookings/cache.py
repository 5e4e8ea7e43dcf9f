"""What is kept of a sector's day outside the database, and how it is thrown away."""

from __future__ import annotations

from datetime import date

from django.core.cache import cache


def key(sector_id: str, service_date: date) -> str:
    return f"day:{sector_id}:{service_date.isoformat()}"


def invalidate(sector_id: str, service_date: date) -> None:
    """Forget a sector's day in every process. With Redis away nothing was kept there to begin with."""
    cache.delete(key(sector_id, service_date))
