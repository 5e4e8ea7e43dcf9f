"""The consumers of bookings' events: read models, cached days, open boards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from bookings import readmodels
from bookings.availability import cache
from bookings.event_types import BOOKING, TABLE
from bookings.live import messages
from wokibrain.events.envelope import Envelope
from wokibrain.events.registry import Mode, consumer
from wokibrain.events.types import Group

FAN_OUT_SECONDS: Final = 2.0
"""For one event; a board that misses an event catches up when it reconnects."""


@consumer(name="days", group=Group.PROJECTIONS, topics=[BOOKING], mode=Mode.BATCH)
def days(events: Sequence[Envelope]) -> None:
    """Keep the read model of days, and snapshots of bookings."""
    readmodels.apply_days(events)
    readmodels.take_snapshots(events)


@consumer(name="analytics", group=Group.ANALYTICS, topics=[BOOKING], mode=Mode.BATCH)
def analytics(events: Sequence[Envelope]) -> None:
    """Keep the read models of the analytics."""
    readmodels.apply_analytics(events)


@consumer(name="cache", group=Group.CACHE, topics=[BOOKING, TABLE], mode=Mode.INLINE)
def invalidate(events: Sequence[Envelope]) -> None:
    """Drop the cached days that the events may change."""
    cache.forget({day for event in events for day in _sector_days(event)})


@consumer(name="websocket", group=Group.WEBSOCKET, topics=[BOOKING, TABLE], mode=Mode.INLINE)
def fan_out(events: Sequence[Envelope]) -> None:
    """Send the events to the sockets that follow their restaurant or sector, in every process."""
    if (layer := get_channel_layer()) is None:
        return

    zones = messages.zones_of(events)

    async def send() -> None:
        for event in events:
            text = messages.message(event, zones[event.payload["restaurantId"]])
            async with asyncio.timeout(FAN_OUT_SECONDS):
                for group in messages.groups_of(event.payload):
                    await layer.group_send(group, text)

    async_to_sync(send)()


def _sector_days(event: Envelope) -> Iterator[tuple[str, str, date]]:
    """Yield the restaurant, sector and date of each day that an event may change."""
    payload = event.payload
    restaurant_id = payload["restaurantId"]
    if event.aggregate_type == TABLE:
        start, end = (datetime.fromisoformat(payload[edge]).date() for edge in ("start", "end"))
        for offset in range((end - start).days + 1):
            yield restaurant_id, payload["sectorId"], start + timedelta(days=offset)
        return
    changes = payload.get("changes") or {}
    sectors = {payload["sectorId"], changes.get("sectorId", {}).get("from", payload["sectorId"])}
    dates = {payload["serviceDate"], changes.get("serviceDate", {}).get("from", payload["serviceDate"])}
    for sector_id in sectors:
        for service_date in dates:
            yield restaurant_id, sector_id, date.fromisoformat(service_date)
