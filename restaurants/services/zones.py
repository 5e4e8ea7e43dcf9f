"""Which time-zone rules the stored instants follow, and which restaurants this host has no rules for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import DatabaseError

from restaurants.models import ZoneRelease
from restaurants.selectors import unknown_zones
from wokibrain.core import clock, zones
from wokibrain.events.invariants import register


def record_release(release: str) -> None:
    """Record that the instants of bookings and blocks to come follow the rules of ``release``."""
    ZoneRelease.objects.update_or_create(
        id=1, defaults={"release": release, "derived_at": clock.now_to_millisecond()}
    )


@register("this host knows every restaurant's time zone")
def without_rules() -> list[str]:
    """Return the restaurants whose zone this host's rules lack, with the zone."""
    return [f"{restaurant_id}: {zone}" for restaurant_id, zone in unknown_zones().items()]


def check_zones(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_options: Any
) -> list[checks.CheckMessage]:
    """Return a warning that names the restaurants whose zone this host's rules lack; a system check."""
    try:
        names = without_rules() if databases else []
    except DatabaseError:
        # Before the first migration there is no table to look at.
        return []
    if not names:
        return []
    return [
        # Not an error, which would keep `migrate` from running.
        checks.Warning(
            f"The time-zone rules of {zones.release()} lack the zones of restaurants: {', '.join(names)}.",
            hint="Update the package tzdata, or give these restaurants another zone.",
            id="restaurants.W001",
        )
    ]
