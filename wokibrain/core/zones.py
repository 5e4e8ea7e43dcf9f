"""The product's one source of time-zone rules: the pinned package ``tzdata``, before whatever the host has.

A wall time becomes an instant by these rules, so two processes that disagree on them disagree on when a guest comes.
``install`` runs when ``wokibrain`` is imported, before anything reads a zone. ZONEINFO_DIR names a folder of compiled
zones to be read before the package's; its file ``+VERSION`` names the release.
"""

from __future__ import annotations

import logging
import zoneinfo
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import tzdata
from django.core.exceptions import ImproperlyConfigured

from wokibrain.core import env

logger = logging.getLogger(__name__)

ZONEINFO_DIR = env.text("ZONEINFO_DIR")

DerivedWith = Callable[[], str | None]
UnknownZones = Callable[[], Mapping[str, str]]

_derived_with: DerivedWith | None = None
_unknown_zones: UnknownZones = dict


def install() -> None:
    """Have this process read zones from ZONEINFO_DIR and the package only."""
    zoneinfo.reset_tzpath(to=[str(_folder())] if ZONEINFO_DIR else [])
    # A library may have read a zone already.
    zoneinfo.ZoneInfo.clear_cache()


@cache
def release() -> str:
    """Return the release of the rules that this process uses, e.g. "2026f". Raises ImproperlyConfigured."""
    if not ZONEINFO_DIR:
        return str(tzdata.IANA_VERSION)
    try:
        text = (_folder() / "+VERSION").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text.isalnum() or len(text) > 32:
        raise ImproperlyConfigured(
            "ZONEINFO_DIR must name a folder of compiled zones whose file +VERSION names their release"
        )
    return text


def _folder() -> Path:
    return (env.ROOT / ZONEINFO_DIR).resolve()


def register(derived_with: DerivedWith, unknown_zones: UnknownZones) -> None:
    """Have ``derived_with`` say by which release the stored instants were last derived, None where none is known.

    ``unknown_zones`` names the restaurants, by id, whose zone this host's rules lack.
    """
    global _derived_with, _unknown_zones
    _derived_with, _unknown_zones = derived_with, unknown_zones


def derived_with() -> str | None:
    """Return the release by which the database's instants were last derived; None where none is known."""
    return _derived_with() if _derived_with else None


def unknown() -> Mapping[str, str]:
    """Return the zone of each restaurant that has one which this host's rules lack, by the restaurant's id."""
    return _unknown_zones()


def warn_of_difference() -> None:
    """Log a warning where this process's rules are not those that the stored instants follow, or lack a zone."""
    stored = derived_with()
    if stored is not None and stored != release():
        logger.warning(
            "this process has the time-zone rules of %s, the stored instants follow those of %s; "
            "`manage.py zones` shows what would move",
            release(),
            stored,
        )
    if names := unknown():
        logger.warning("this process has no time-zone rules for the restaurants %s", ", ".join(sorted(names)))
