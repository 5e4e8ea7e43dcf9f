"""Sends several statements in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def pipelined() -> Iterator[None]:
    """Send the statements of the block together, including the BEGIN of its transaction.

    Postgres runs them in order; each sees what is committed when it starts. Fetch rows after the block; row counts
    are unknown inside it. The end of the block raises the first error, as Django's exception.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
