"""The events there are. Consumers meet no others: what is not named here is dead-lettered, not guessed at."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Topic(StrEnum):
    """What kind of aggregate an event is of; also the Kafka topic it goes to."""

    BOOKING = "booking"
    TABLE = "table"

    @property
    def kafka(self) -> str:
        return f"wokibrain.{self.value}.events"

    @property
    def dead_letters(self) -> str:
        return f"{self.kafka}.dlq"


class EventType(StrEnum):
    BOOKING_CREATED = "BookingCreated"
    BOOKING_UPDATED = "BookingUpdated"
    BOOKING_CANCELLED = "BookingCancelled"
    BOOKING_SEATED = "BookingSeated"
    BOOKING_COMPLETED = "BookingCompleted"
    BOOKING_NO_SHOW = "BookingNoShow"
    TABLE_BLOCKED = "TableBlocked"
    TABLE_UNBLOCKED = "TableUnblocked"


KNOWN: Final = frozenset(EventType)


class Group(StrEnum):
    """Consumer groups: each reads every event of its topics once; also the names of Celery's queues."""

    PROJECTIONS = "projection-workers"
    WEBSOCKET = "websocket-workers"
    CACHE = "cache-workers"
    WEBHOOKS = "webhook-workers"
    ANALYTICS = "analytics-workers"
    AUDIT = "audit-workers"
