"""Lifts the session's time-outs, which protect requests from each other, for work on whole tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

TIMEOUTS: Final = ("statement_timeout", "lock_timeout")


@contextmanager
def lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Run the block without statement and lock time-outs, inside or outside a transaction; restore them after it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(name) FROM unnest(%s::text[]) AS name", [list(TIMEOUTS)])
        before = [value for (value,) in cursor.fetchall()]
    _set(connection, ["0"] * len(TIMEOUTS))
    try:
        yield
    finally:
        if connection.connection is not None and not connection.needs_rollback:
            _set(connection, before)


def _set(connection: BaseDatabaseWrapper, values: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS timeout (name, value)",
            [list(TIMEOUTS), values],
        )
