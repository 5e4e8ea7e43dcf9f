"""Several statements in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def together() -> Iterator[None]:
    """Send what is executed in the block at once, the BEGIN of its transaction included.

    Postgres runs it in order, each statement seeing what is committed when its turn comes. Fetch rows
    after the block; no row counts are known in it. Its end raises the first error there was, as Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
