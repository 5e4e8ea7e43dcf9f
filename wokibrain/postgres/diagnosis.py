"""Explains database errors to the operator."""

from __future__ import annotations

import logging
import time
from typing import Final

import psycopg
from django.db import OperationalError, ProgrammingError

log = logging.getLogger(__name__)

LOG_INTERVAL_SECONDS: Final = 1.0
"""One line of log in this interval, however many requests fail: they fail for the same reason."""
UNDEFINED: Final = ("42P01", "42703")
"""Codes for a missing table or column."""
UNREACHABLE: Final = ("08", "28", "3D000", "53300", "57P")
"""Prefixes of the codes for: no connection, login refused, no such database, too many connections, shutting down."""
QUERY_CANCELED: Final = "57014"
LOCK_NOT_AVAILABLE: Final = "55P03"


def sentence(error: BaseException) -> str | None:
    """Return what is wrong and what to do, without the password; None for errors the operator cannot fix."""
    state = getattr(error.__cause__, "sqlstate", None)
    if isinstance(error, ProgrammingError) and state in UNDEFINED:
        return "the database is not up to date: run `manage.py migrate`"
    if state == QUERY_CANCELED:
        return "PostgreSQL cancelled a statement, because it took too long or on request"
    if state == LOCK_NOT_AVAILABLE:
        return "PostgreSQL gave up waiting for a lock of another session: try again at a quieter time"
    if isinstance(error, OperationalError) and (state is None or state.startswith(UNREACHABLE)):
        why = " ".join(str(error).split())
        return f"PostgreSQL does not answer ({why}): is it running, and is DATABASE_URL right?"
    return None


_logged_at = float("-inf")


def report(error: BaseException) -> None:
    """Log why a request could not use the database, at most once a second.

    Without traceback and without Postgres' message about a row, which may quote personal data.
    """
    global _logged_at
    now = time.monotonic()
    if now - _logged_at < LOG_INTERVAL_SECONDS:
        return
    _logged_at = now
    state = getattr(error.__cause__, "sqlstate", None)
    log.warning(
        "a request failed: %s", sentence(error) or f"Postgres: {type(error).__name__} {state or ''}".rstrip()
    )


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of the psycopg error that caused ``error``, if one did."""
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
