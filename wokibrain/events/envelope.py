"""An event outside the store's tables, and the upcasters that bring old payloads to the present shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from wokibrain.events.models import StoredEvent

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]

_upcasters: dict[tuple[str, int], Upcaster] = {}


class Unreadable(ValueError):
    """Bytes that are not an event."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with its payload and metadata. ``occurred_at`` is aware and in UTC; ``version`` counts from 1."""

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
    def as_written(cls, row: StoredEvent) -> Envelope:
        """Return the row in the shape in which it was written: an upcaster that fails must not stop the relay."""
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
        """Return the row with its payload in the present shape."""
        return upcast(cls.as_written(row))

    def to_bytes(self) -> bytes:
        """Return JSON with camelCase names, as Kafka carries it."""
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
        """Return the event that ``to_bytes`` wrote, in that shape. Raises ``Unreadable`` on anything else."""
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


def upcaster(event_type: str, schema: int) -> Callable[[Upcaster], Upcaster]:
    """Register the function that brings a payload of ``event_type`` from shape ``schema`` to ``schema + 1``.

    Shapes count from 1. A row states its shape in ``metadata["schema"]``; one that does not is of shape 1.
    """

    def register(function: Upcaster) -> Upcaster:
        if (event_type, schema) in _upcasters:
            raise ValueError(f"{event_type} {schema} has an upcaster already")
        _upcasters[event_type, schema] = function
        return function

    return register


def upcaster_count() -> int:
    """Return how many upcasters are registered. A snapshot is good only for the count it was taken with."""
    return len(_upcasters)


def upcast(event: Envelope) -> Envelope:
    """Return the event with its payload in the present shape, which its metadata then states."""
    schema = schema_written = event.metadata.get("schema", 1)
    payload = event.payload
    while step := _upcasters.get((event.event_type, schema)):
        payload = step(payload)
        schema += 1
    if schema == schema_written:
        return event
    return replace(event, payload=payload, metadata=event.metadata | {"schema": schema})


def with_schema(event_type: str, metadata: Mapping[str, Any]) -> Payload:
    """Return the metadata of an event that is written now: it states the present shape, unless that is the first."""
    schema = 1
    while (event_type, schema) in _upcasters:
        schema += 1
    return {**metadata, "schema": schema} if schema > 1 else dict(metadata)
