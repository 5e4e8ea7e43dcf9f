"""The record of which time-zone rules the stored instants follow."""

from __future__ import annotations

from restaurants.models import ZoneRelease
from wokibrain.core import clock


def record_release(release: str) -> None:
    """Record that the instants of bookings and blocks to come follow the rules of ``release``."""
    ZoneRelease.objects.update_or_create(
        id=1, defaults={"release": release, "derived_at": clock.now_to_millisecond()}
    )
