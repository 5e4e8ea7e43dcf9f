"""Folders of time zones that differ from the package's, as another release of the rules would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from bookings.availability import cache, plan
from wokibrain.core import clock, zones

OLDER = {"America/Vancouver": "America/Los_Angeles"}
"""Until 2026 Vancouver set its clocks back in November as Los Angeles does; from 2026f on it stays at UTC-7."""


def zone_folder(folder: Path, release: str, zones: Mapping[str, str]) -> Path:
    """Fill a folder for ZONEINFO_DIR: ``release``'s rules for each zone are those of another zone. Return it."""
    for name, like in zones.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(files("tzdata").joinpath("zoneinfo", like).read_bytes())
    (folder / "+VERSION").write_text(f"{release}\n", encoding="ascii")
    return folder


@contextmanager
def rules(folder: Path | None) -> Iterator[None]:
    """Have this process read zones from ``folder`` first, None for the package alone, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zones, "ZONEINFO_DIR", str(folder or ""))
        _read_anew()
        try:
            yield
        finally:
            patch.undo()
            _read_anew()


def _read_anew() -> None:
    zones.release.cache_clear()
    clock.zone.cache_clear()
    plan._plans._plans.clear()
    cache._entries.clear()
    zones.install()
