"""Waiting for what another thread or process is about to do."""

import time
from collections.abc import Callable

from django.db import connection

PATIENCE = 90.0
"""How long a test waits, in seconds, for what takes moments: it is over only where something is broken."""


def until(condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
    """Return whether the condition became true in time; tests assert it, so that a failure shows the condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def waiting_for_locks() -> int:
    """Return how many sessions of the test's database wait for a lock now."""
    with connection.cursor() as cursor:
        # A transaction would keep the first snapshot of it.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
