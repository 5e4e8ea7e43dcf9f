"""Beyond the limits that keep a request from holding up others: for work that reads or builds whole tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

LIMITS: Final = ("statement_timeout", "lock_timeout")


@contextmanager
def lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A statement of this session may take as long as it takes, inside and outside of transactions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(name) FROM unnest(%s::text[]) AS name", [list(LIMITS)])
        before = [value for (value,) in cursor.fetchall()]
    _set(connection, ["0"] * len(LIMITS))
    try:
        yield
    finally:
        if connection.connection is not None and not connection.needs_rollback:
            _set(connection, before)


def _set(connection: BaseDatabaseWrapper, values: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS each (name, value)",
            [list(LIMITS), values],
        )
