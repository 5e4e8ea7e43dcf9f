"""What a failing database means to whoever set it up."""

from __future__ import annotations

import logging
import time
from typing import Final

import psycopg
from django.db import OperationalError, ProgrammingError

log = logging.getLogger(__name__)

SAID_EVERY: Final = 1.0
UNDEFINED: Final = ("42P01", "42703")
"""A table or a column that is not there."""
AWAY: Final = ("08", "28", "3D000", "53300", "57P")
"""Beginnings of the codes for: no connection, no entry, no such database, too many connections, ending or starting."""
TOOK_TOO_LONG: Final = "57014"
LOCKED: Final = "55P03"


def sentence(error: BaseException) -> str | None:
    """What is wrong, without the password; None for what has nothing to do with the set-up."""
    state = getattr(error.__cause__, "sqlstate", None)
    if isinstance(error, ProgrammingError) and state in UNDEFINED:
        return "the database is not up to date: run `manage.py migrate`"
    if state == TOOK_TOO_LONG:
        return "PostgreSQL gave up a statement that took too long or was cancelled"
    if state == LOCKED:
        return (
            "PostgreSQL gave up waiting for a lock that somebody else holds: try again, when less is going on"
        )
    if isinstance(error, OperationalError) and (state is None or state.startswith(AWAY)):
        why = " ".join(str(error).split())
        return f"PostgreSQL does not answer ({why}): is it running, and is DATABASE_URL right?"
    return None


_said_at = float("-inf")


def report(error: BaseException) -> None:
    """Log why a request found no database; once a second is enough, however many requests did.

    No traceback and no message of Postgres' own about a row: they may hold what somebody wrote.
    """
    global _said_at
    now = time.monotonic()
    if now - _said_at < SAID_EVERY:
        return
    _said_at = now
    state = getattr(error.__cause__, "sqlstate", None)
    log.warning(
        "a request failed: %s", sentence(error) or f"Postgres: {type(error).__name__} {state or ''}".rstrip()
    )


def sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
