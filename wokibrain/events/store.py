"""The event store: append events and read them.

Reading returns ``Envelope``s, which the registered upcasters have brought to the present shape. A writer with one
SQL statement of its own may compose it with ``sql.APPEND_CTE`` instead of ``append``; everything after the commit
is the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Max, Q

from wokibrain.core import clock, context
from wokibrain.core.ids import uuid7
from wokibrain.events.envelope import Envelope, with_schema
from wokibrain.events.models import StoredEvent

COLUMNS: Final = (
    "event_id",
    "aggregate_type",
    "aggregate_id",
    "version",
    "event_type",
    "occurred_at",
    "payload",
    "metadata",
)
"""The columns of an inserted row; the database fills ``position``, the relay ``published_at``."""

EVENTS_PER_READ: Final = 2_000


class WrongVersion(Exception):
    """The aggregate is not at the version that the writer read: read again and decide again."""


# --- writing ---------------------------------------------------------------------------------------------------------


def context_metadata(actor: str) -> dict[str, str | None]:
    """Return the metadata of an event: the actor, and the request and source of the present work."""
    here = context.current()
    return {
        "actor": actor,
        "requestId": here.request_id,
        "traceparent": here.traceparent,
        "source": here.source,
    }


def append(
    *,
    aggregate_type: str,
    aggregate_id: str,
    expected_version: int,
    event_type: str,
    payload: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    actor: str = "system:wokibrain",
    occurred_at: datetime | None = None,
) -> StoredEvent:
    """Append the event that follows version ``expected_version`` (0: none yet) of an aggregate. Return its row.

    Must run in the transaction of the change that the event tells of. Raises ``WrongVersion`` when the aggregate is
    at another version, also when a concurrent writer has just appended; nothing is written then, and the
    transaction can go on.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an event is appended in the transaction of its change")
    stated = with_schema(event_type, context_metadata(actor) if metadata is None else metadata)
    row = StoredEvent(
        event_id=uuid7(),
        aggregate_type=aggregate_type,
        aggregate_id=aggregate_id,
        version=expected_version + 1,
        event_type=event_type,
        occurred_at=occurred_at or clock.now(),
        payload=dict(payload),
        metadata=stated,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO events_storedevent ({", ".join(COLUMNS)})
            SELECT %s::uuid, %s, %s, %s::int, %s, %s::timestamptz, %s::jsonb, %s::jsonb
            WHERE %s::int = (SELECT coalesce(max(version), 0) FROM events_storedevent
                             WHERE aggregate_type = %s AND aggregate_id = %s)
            ON CONFLICT ON CONSTRAINT event_version_once DO NOTHING
            RETURNING position
            """,  # noqa: S608 - made of constants
            [
                *(row.event_id, aggregate_type, aggregate_id, row.version, event_type, row.occurred_at),
                *(_json(row.payload), _json(stated)),
                *(expected_version, aggregate_type, aggregate_id),
            ],
        )
        inserted = cursor.fetchone()
    if inserted is None:
        raise WrongVersion(f"{aggregate_type} {aggregate_id} is not at version {expected_version}")
    row.position = inserted[0]
    return row


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


# --- reading ---------------------------------------------------------------------------------------------------------


def version_of(aggregate_type: str, aggregate_id: str) -> int:
    """Return the version of the aggregate's latest event; 0 before its first."""
    events = StoredEvent.objects.filter(aggregate_type=aggregate_type, aggregate_id=aggregate_id)
    return events.aggregate(version=Max("version"))["version"] or 0


def load(aggregate_type: str, aggregate_id: str, *, after: int = 0) -> list[Envelope]:
    """Return an aggregate's events of versions above ``after``, oldest first."""
    rows = StoredEvent.objects.filter(
        aggregate_type=aggregate_type, aggregate_id=aggregate_id, version__gt=after
    ).order_by("version")
    return [Envelope.from_row(row) for row in rows]


def stream(
    *,
    aggregate_types: Sequence[str] = (),
    aggregate_id: str | None = None,
    after: int = 0,
    until: datetime | None = None,
) -> Iterator[Envelope]:
    """Yield committed events in order of position: those above ``after`` that occurred up to ``until`` (inclusive).

    ``aggregate_types`` and ``aggregate_id`` narrow them down. Reads in chunks, each of which sees what is committed
    by then, so an event that commits late at an earlier position is missed: only the relay follows the store live.
    """
    rows = StoredEvent.objects.order_by("position")
    if aggregate_types:
        rows = rows.filter(aggregate_type__in=aggregate_types)
    if aggregate_id is not None:
        rows = rows.filter(aggregate_id=aggregate_id)
    if until is not None:
        rows = rows.filter(occurred_at__lte=until)
    while chunk := list(rows.filter(position__gt=after)[:EVENTS_PER_READ]):
        yield from map(Envelope.from_row, chunk)
        after = chunk[-1].position


def by_ids(event_ids: Iterable[UUID]) -> list[Envelope]:
    """Return the events of these ids in order of position, in the shape as written; unknown ids are left out."""
    rows = StoredEvent.objects.filter(event_id__in=list(event_ids)).order_by("position")
    return [Envelope.as_written(row) for row in rows]


def with_previous(events: Sequence[Envelope]) -> list[tuple[Envelope | None, Envelope]]:
    """Pair each event with the previous one of its aggregate (None before the first), in at most one query."""
    loaded = {(event.aggregate_type, event.aggregate_id, event.version): event for event in events}
    missing: dict[tuple[str, int], list[str]] = defaultdict(list)
    for aggregate_type, aggregate_id, version in loaded:
        if version > 1 and (aggregate_type, aggregate_id, version - 1) not in loaded:
            missing[aggregate_type, version - 1].append(aggregate_id)
    if missing:
        condition = Q()
        for (aggregate_type, version), ids in missing.items():
            condition |= Q(aggregate_type=aggregate_type, version=version, aggregate_id__in=ids)
        for event in map(Envelope.from_row, StoredEvent.objects.filter(condition)):
            loaded[event.aggregate_type, event.aggregate_id, event.version] = event
    return [
        (loaded.get((event.aggregate_type, event.aggregate_id, event.version - 1)), event) for event in events
    ]
