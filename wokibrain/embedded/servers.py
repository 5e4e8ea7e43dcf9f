"""The two servers of a data folder."""

from pathlib import Path

from wokibrain.core import env
from wokibrain.embedded.postgres import Postgres
from wokibrain.embedded.redis import Redis


def servers(folder: Path | None = None) -> tuple[Postgres, Redis]:
    """Return the servers of `folder`, by default those of the checkout."""
    folder = folder or env.data_dir()
    return Postgres(folder / "postgres"), Redis(folder / "redis")
