"""The event store: append, load, stream, fold. Nothing else writes or interprets its rows.

Reading gives ``Envelope``s, brought up to the present shape by the registered upcasters. A writer with
an SQL statement of its own may insert rows itself, in the shape of ``COLUMNS`` and with the metadata of
``in_todays_shape``; everything after the commit works the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet

from wokibrain.core import clock, context
from wokibrain.core.ids import uuid7
from wokibrain.events.models import Snapshot, StoredEvent

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]

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
"""What an inserted row consists of, in the order ``append`` uses; position and published_at fill themselves."""

STREAM_CHUNK: Final = 2_000

_upcasters: dict[tuple[str, int], Upcaster] = {}


class WrongVersion(Exception):
    """The aggregate is not at the version the writer had in hand: read again and decide again."""


class Unreadable(ValueError):
    """Bytes that are not an event."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as everyone but the store's tables sees it. ``occurred_at`` is aware and in UTC."""

    event_id: UUID
    aggregate_type: str
    aggregate_id: str
    version: int
    event_type: str
    occurred_at: datetime
    payload: Payload
    metadata: Payload = field(default_factory=dict)
    position: int | None = None

    @classmethod
    def stored(cls, row: StoredEvent) -> Envelope:
        """The row in the shape it was written in: for handing on, where no upcaster may stand in the way."""
        return cls(
            event_id=row.event_id,
            aggregate_type=row.aggregate_type,
            aggregate_id=row.aggregate_id,
            version=row.version,
            event_type=row.event_type,
            occurred_at=row.occurred_at,
            payload=row.payload,
            metadata=row.metadata,
            position=row.position,
        )

    @classmethod
    def from_row(cls, row: StoredEvent) -> Envelope:
        """The row in the present shape of its payload."""
        return upcast(cls.stored(row))

    def to_bytes(self) -> bytes:
        """JSON in camelCase, as it goes over Kafka."""
        return orjson.dumps(
            {
                "eventId": self.event_id,
                "aggregateType": self.aggregate_type,
                "aggregateId": self.aggregate_id,
                "version": self.version,
                "eventType": self.event_type,
                "occurredAt": self.occurred_at,
                "payload": self.payload,
                "metadata": self.metadata,
                "position": self.position,
            },
            option=orjson.OPT_UTC_Z,
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> Envelope:
        """The inverse of ``to_bytes``, in the shape it was written in. Raises ``Unreadable`` on anything else."""
        try:
            body = orjson.loads(raw)
            if not (isinstance(body["payload"], dict) and isinstance(body["metadata"], dict)):
                raise TypeError
            event = cls(
                event_id=UUID(body["eventId"]),
                aggregate_type=body["aggregateType"],
                aggregate_id=body["aggregateId"],
                version=body["version"],
                event_type=body["eventType"],
                occurred_at=datetime.fromisoformat(body["occurredAt"]).astimezone(UTC),
                payload=body["payload"],
                metadata=body["metadata"],
                position=body["position"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise Unreadable(f"not an event: {type(error).__name__}") from None
        texts = (event.aggregate_type, event.aggregate_id, event.event_type)
        if not all(isinstance(text, str) for text in texts) or not isinstance(event.version, int):
            raise Unreadable("not an event: wrong types")
        return event


# --- older shapes ----------------------------------------------------------------------------------------------------


def upcaster(event_type: str, schema: int) -> Callable[[Upcaster], Upcaster]:
    """Register how a payload of ``event_type`` goes from shape ``schema`` to ``schema + 1``.

    Shapes count from 1; rows written since carry theirs in ``metadata["schema"]``, and none means 1.
    """

    def register(function: Upcaster) -> Upcaster:
        if (event_type, schema) in _upcasters:
            raise ValueError(f"{event_type} {schema} has an upcaster already")
        _upcasters[event_type, schema] = function
        return function

    return register


def schema_of(event_type: str) -> int:
    """The shape that is written today: one more than the registered upcasters lead from."""
    schema = 1
    while (event_type, schema) in _upcasters:
        schema += 1
    return schema


def upcast(event: Envelope) -> Envelope:
    """The event with its payload in the present shape, and its metadata saying so."""
    schema = written = event.metadata.get("schema", 1)
    payload = event.payload
    while step := _upcasters.get((event.event_type, schema)):
        payload = step(payload)
        schema += 1
    if schema == written:
        return event
    return replace(event, payload=payload, metadata=event.metadata | {"schema": schema})


# --- writing ---------------------------------------------------------------------------------------------------------


def metadata_now(actor: str) -> dict[str, str | None]:
    """Who and through which door, from the context of the work at hand."""
    here = context.current()
    return {
        "actor": actor,
        "requestId": here.request_id,
        "traceparent": here.traceparent,
        "source": here.source,
    }


def in_todays_shape(event_type: str, metadata: Mapping[str, Any]) -> Payload:
    """The metadata of a row whose payload is in the shape of today: every row that is written says its own."""
    schema = schema_of(event_type)
    return {**metadata, "schema": schema} if schema > 1 else dict(metadata)


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
    """Add the event that follows version ``expected_version`` (0: the first) of an aggregate.

    Call it in the transaction of the change it tells of. Raises ``WrongVersion`` when the aggregate is
    at another version, also when a concurrent writer just got there first; nothing is written then, and
    the transaction goes on.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an event is appended in the transaction of its change")
    meta = in_todays_shape(event_type, metadata_now(actor) if metadata is None else metadata)
    row = StoredEvent(
        event_id=uuid7(),
        aggregate_type=aggregate_type,
        aggregate_id=aggregate_id,
        version=expected_version + 1,
        event_type=event_type,
        occurred_at=occurred_at or clock.now(),
        payload=dict(payload),
        metadata=meta,
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
            """,  # noqa: S608 - COLUMNS is ours
            [
                *(row.event_id, aggregate_type, aggregate_id, row.version, event_type, row.occurred_at),
                *(_json(row.payload), _json(meta)),
                *(expected_version, aggregate_type, aggregate_id),
            ],
        )
        inserted = cursor.fetchone()
    if inserted is None:
        raise WrongVersion(f"{aggregate_type} {aggregate_id} is not at version {expected_version}")
    row.position = inserted[0]
    return row


def version_of(aggregate_type: str, aggregate_id: str) -> int:
    """Return the version of the aggregate's latest event; 0 before its first."""
    latest = StoredEvent.objects.filter(aggregate_type=aggregate_type, aggregate_id=aggregate_id)
    return latest.aggregate(version=Max("version"))["version"] or 0


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


# --- reading ---------------------------------------------------------------------------------------------------------


def load(aggregate_type: str, aggregate_id: str, *, after: int = 0) -> list[Envelope]:
    """An aggregate's events of versions above ``after``, oldest first; empty when there are none."""
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
    """All committed events by position, those above ``after`` that occurred up to ``until``.

    ``aggregate_types`` and ``aggregate_id`` narrow them down to kinds of aggregates, or to one.

    Read in chunks; each chunk sees what is committed by then. An event that commits late at an earlier
    position is passed by: to follow the store live is the relay's job.
    """
    selected = _selected(aggregate_types, until)
    if aggregate_id is not None:
        selected = selected.filter(aggregate_id=aggregate_id)
    while rows := list(selected.filter(position__gt=after)[:STREAM_CHUNK]):
        yield from map(Envelope.from_row, rows)
        after = rows[-1].position


def _selected(aggregate_types: Sequence[str], until: datetime | None) -> QuerySet[StoredEvent]:
    rows = StoredEvent.objects.order_by("position")
    if aggregate_types:
        rows = rows.filter(aggregate_type__in=aggregate_types)
    return rows if until is None else rows.filter(occurred_at__lte=until)


def by_ids(event_ids: Iterable[UUID]) -> list[Envelope]:
    """The events of these ids in order of position, as they were written; unknown ids are simply not there."""
    rows = StoredEvent.objects.filter(event_id__in=list(event_ids)).order_by("position")
    return [Envelope.stored(row) for row in rows]


def with_previous(events: Sequence[Envelope]) -> list[tuple[Envelope | None, Envelope]]:
    """Each event with the one before it of its aggregate (None for a first), in one query."""
    known = {(event.aggregate_type, event.aggregate_id, event.version): event for event in events}
    missing: dict[tuple[str, int], list[str]] = defaultdict(list)
    for kind, aggregate_id, version in known:
        if version > 1 and (kind, aggregate_id, version - 1) not in known:
            missing[kind, version - 1].append(aggregate_id)
    if missing:
        wanted = Q()
        for (kind, version), ids in missing.items():
            wanted |= Q(aggregate_type=kind, version=version, aggregate_id__in=ids)
        for event in map(Envelope.from_row, StoredEvent.objects.filter(wanted)):
            known[event.aggregate_type, event.aggregate_id, event.version] = event
    return [
        (known.get((event.aggregate_type, event.aggregate_id, event.version - 1)), event) for event in events
    ]


# --- folding ---------------------------------------------------------------------------------------------------------

SNAPSHOT_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class Folded:
    """An aggregate's state at ``version``; version 0 and no state before its first event."""

    state: Payload | None
    version: int


Evolve = Callable[[Payload | None, Envelope], Payload]


def fold(
    aggregate_type: str,
    aggregate_id: str,
    evolve: Evolve,
    *,
    version: int | None = None,
    until: datetime | None = None,
) -> Folded:
    """Run ``evolve`` over an aggregate's events, from the latest fitting snapshot on.

    ``version`` and ``until`` (inclusive) bound what is taken in.
    """
    snapshots = Snapshot.objects.filter(
        aggregate_type=aggregate_type, aggregate_id=aggregate_id, shapes=len(_upcasters)
    )
    events = StoredEvent.objects.filter(aggregate_type=aggregate_type, aggregate_id=aggregate_id)
    if version is not None:
        snapshots, events = snapshots.filter(version__lte=version), events.filter(version__lte=version)
    if until is not None:
        snapshots, events = snapshots.filter(occurred_at__lte=until), events.filter(occurred_at__lte=until)
    start = snapshots.order_by("-version").first()
    state, at = (start.state, start.version) if start else (None, 0)
    for event in map(Envelope.from_row, events.filter(version__gt=at).order_by("version")):
        state, at = evolve(state, event), event.version
    return Folded(state, at)


def keep_snapshots(events: Iterable[Envelope], evolve: Evolve) -> None:
    """Store the state at every 50th version among ``events``; one that is there already stays as it is."""
    due = [event for event in events if event.version % SNAPSHOT_EVERY == 0]
    Snapshot.objects.bulk_create(
        [
            Snapshot(
                aggregate_type=event.aggregate_type,
                aggregate_id=event.aggregate_id,
                version=event.version,
                shapes=len(_upcasters),
                occurred_at=event.occurred_at,
                state=fold(event.aggregate_type, event.aggregate_id, evolve, version=event.version).state,
            )
            for event in due
        ],
        ignore_conflicts=True,
    )
