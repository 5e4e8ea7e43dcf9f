"""Fragments of SQL over the events' tables, for statements by hand in this package and in other apps.

Only this package names its tables; an app whose one statement must also append or look at events composes it of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from wokibrain.core.ids import uuid7
from wokibrain.events import store
from wokibrain.events.envelope import with_schema
from wokibrain.events.types import EventType

APPEND_CTE: Final = """event AS (
    INSERT INTO events_storedevent
        (event_id, aggregate_type, aggregate_id, version, event_type, occurred_at, payload, metadata)
    VALUES (%(event_id)s, %(aggregate_type)s, %(aggregate_id)s, %(event_version)s, %(event_type)s,
            %(occurred_at)s, %(payload)s, %(metadata)s)
)"""
"""Appends one event; takes the parameters that ``append_parameters`` returns. A version that is taken violates the
constraint ``event_version_once``."""

NEITHER_RECEIPT_NOR_FAILURE: Final = """
NOT EXISTS (SELECT FROM events_receipt
            WHERE events_receipt.consumer = %(consumer)s AND events_receipt.event_id = event.event_id)
AND NOT EXISTS (SELECT FROM events_failure
                WHERE events_failure.consumer = %(consumer)s AND events_failure.event_id = event.event_id)
"""
"""Whether the row ``event`` is neither handled nor failed for %(consumer)s, if it lies above the watermark."""

ABOVE_WATERMARK: Final = (
    "(event.published_at IS NULL OR mark.through IS NULL OR event.published_at > mark.through)"
)
"""Whether the row ``event`` lies above the watermark ``mark``, or is not published yet."""

UNSETTLED: Final = f"""
SELECT FROM events_storedevent AS event
LEFT JOIN events_watermark AS mark ON mark.consumer = %(consumer)s
WHERE {ABOVE_WATERMARK} AND {NEITHER_RECEIPT_NOR_FAILURE}
"""
"""The events that %(consumer)s has yet to handle; the statement around it adds conditions on ``event``."""

LATEST: Final = """
SELECT version, payload FROM events_storedevent
WHERE aggregate_type = {aggregate_type} AND aggregate_id = {aggregate_id} ORDER BY version DESC LIMIT 1
"""
"""An aggregate's latest event; to be formatted with two expressions of SQL."""


FIRST: Final = """
SELECT payload FROM events_storedevent
WHERE aggregate_type = {aggregate_type} AND aggregate_id = {aggregate_id} AND {condition} ORDER BY version LIMIT 1
"""
"""An aggregate's first event of which a condition on ``payload`` holds; to be formatted with expressions of SQL."""


def append_parameters(
    event_type: EventType,
    *,
    aggregate_id: str,
    version: int,
    payload: Mapping[str, Any],
    actor: str,
    occurred_at: datetime,
) -> dict[str, Any]:
    """Return the parameters of ``APPEND_CTE``, with metadata from the context of the present work."""
    metadata = with_schema(event_type.name, store.context_metadata(actor))
    return {
        "event_id": uuid7(),
        "aggregate_type": event_type.topic,
        "aggregate_id": aggregate_id,
        "event_version": version,
        "event_type": event_type.name,
        "occurred_at": occurred_at,
        "payload": Jsonb(dict(payload)),
        "metadata": Jsonb(metadata),
    }
