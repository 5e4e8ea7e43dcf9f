"""The product's one source of time-zone rules: the pinned package ``tzdata``, before whatever the host has.

A wall time becomes an instant by these rules, so two processes that disagree on them disagree on when a guest comes.
``install`` runs when ``wokibrain`` is imported, before anything reads a zone. ZONEINFO_DIR names a folder of compiled
zones to be read before the package's; its file ``+VERSION`` names the release.
"""

from __future__ import annotations

import logging
import zoneinfo
from collections.abc import Callable
from functools import cache
from pathlib import Path

import tzdata
from django.core.exceptions import ImproperlyConfigured

from wokibrain.core import env

logger = logging.getLogger(__name__)

ZONEINFO_DIR = env.text("ZONEINFO_DIR")

DerivedWith = Callable[[], str | None]

_derived_with: DerivedWith | None = None


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


def register(derived_with: DerivedWith) -> None:
    """Have ``derived_with`` say by which release the stored instants were last derived; None where none is known."""
    global _derived_with
    _derived_with = derived_with


def derived_with() -> str | None:
    """Return the release by which the database's instants were last derived; None where none is known."""
    return _derived_with() if _derived_with else None


def warn_of_difference() -> None:
    """Log a warning where this process's rules are of another release than those the instants were derived with."""
    stored = derived_with()
    if stored is not None and stored != release():
        logger.warning(
            "this process has the time-zone rules of %s, the stored instants follow those of %s; "
            "`manage.py zones` shows what would move",
            release(),
            stored,
        )
