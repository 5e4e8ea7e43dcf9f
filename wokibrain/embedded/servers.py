"""The servers of a data folder."""

from pathlib import Path

from wokibrain.core import env
from wokibrain.embedded.postgres import Postgres
from wokibrain.embedded.redis import Redis


def servers(folder: Path | None = None) -> tuple[Postgres, Redis]:
    """Those of this checkout, unless it is about another folder."""
    folder = folder or env.data_dir()
    return Postgres(folder / "postgres"), Redis(folder / "redis")
