"""Which build of the product this process runs, for what processes of two builds must not share."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from wokibrain.core import env, zones

PACKAGES: Final = ("bookings", "restaurants", "webhooks", "wokibrain")


@cache
def identity() -> str:
    """Return a short text that is the same only for the same code and the same time-zone rules.

    Of the code itself and not of a version: two builds of one version may answer differently.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((env.ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{digest.hexdigest()[:12]}-{zones.release()}"
