"""Invariants of the stored data, for `manage.py verify` and the proofs. Apps add their own with ``register``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final, TypeVar

from django.conf import settings
from django.db import connection

from wokibrain.events import deadletters, readmodels, registry, sweeper
from wokibrain.postgres import limits

Check = Callable[[], int | list[str]]

Registered = TypeVar("Registered", bound=Check)

_checks: dict[str, Check] = {}

VERSION_GAPS: Final = """
SELECT count(*) FROM (
    SELECT FROM events_storedevent GROUP BY aggregate_type, aggregate_id
    HAVING min(version) <> 1 OR max(version) <> count(*)) AS gaps
"""

INVALID_INDEXES: Final = """
SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace
"""


def register(name: str) -> Callable[[Registered], Registered]:
    """Register a check under that name. It returns how many violations there are, or the name of each."""

    def add(check: Registered) -> Registered:
        _checks[name] = check
        return check

    return add


def run() -> Iterator[tuple[str, int]]:
    """Yield each check's name and its number of violations. Lifts the statement time-out: checks read whole tables."""
    with limits.lifted(connection):
        yield "versions of every aggregate count 1..n", count(VERSION_GAPS)
        for name, check in _checks.items():
            violations = check()
            yield (name, violations) if isinstance(violations, int) else _with_names(name, violations)
        for name in readmodels.names():
            yield f"read model {name} is the fold of the events", readmodels.differences(name)
        # Twice the time after which the sweeper hands on again what was lost.
        late = timedelta(seconds=2 * settings.EVENTS_REDRIVE_SECONDS)
        for consumer in registry.consumers():
            yield f"{consumer.name} has handled what was handed on", len(sweeper.unsettled(consumer, late))
        yield "dead letters", deadletters.dead().count()
        # A concurrent build that was interrupted leaves one; `REINDEX INDEX CONCURRENTLY` repairs it.
        yield "every index is valid", count(INVALID_INDEXES)


def _with_names(name: str, violations: list[str]) -> tuple[str, int]:
    return f"{name} ({', '.join(violations)})" if violations else name, len(violations)


def count(sql: str) -> int:
    """Return the one number that the query selects."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])
