"""The Channels groups that a restaurant's and a sector's live events go to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def restaurant_group(restaurant_id: str) -> str:
    return f"restaurant.{_plain(restaurant_id)}"


def sector_group(sector_id: str) -> str:
    return f"sector.{_plain(sector_id)}"


def groups_of(payload: Mapping[str, Any]) -> list[str]:
    """Where an event is of interest: its restaurant, its sector, and the sector it left."""
    sectors = [payload["sectorId"]]
    if left := (payload.get("changes") or {}).get("sectorId"):
        sectors.append(left["from"])
    return [restaurant_group(payload["restaurantId"]), *map(sector_group, sectors)]


def _plain(name: str) -> str:
    """The id itself, or a stand-in for one with a '~', which Channels does not take in a group's name.

    No id begins with '-', so a stand-in is never another's id.
    """
    return name if "~" not in name else f"-{hashlib.sha256(name.encode()).hexdigest()[:40]}"
