"""When a consumer tries an event again after a failure, and when the event becomes a dead letter.

A try that failed because a service was away (``TRANSIENT``) does not count, nor does one by a program that does not
know the event's type: such an event waits, however long, for a program that does.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

import kombu.exceptions
import redis.exceptions
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from wokibrain.core import clock
from wokibrain.events import types
from wokibrain.events.models import Failure
from wokibrain.events.registry import Consumer

log = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
"""Before the event becomes a dead letter."""
MAX_ERROR_LENGTH: Final = 500
"""Of the error's text that is stored."""
TRANSIENT_PAUSE: Final = timedelta(seconds=5)
"""Before the next try after a service was away."""
TRANSIENT: Final = (
    OperationalError,
    InterfaceError,
    ConnectionError,
    TimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    kombu.exceptions.OperationalError,
)
"""What a handler raises when a service that it needs is away."""
UNKNOWN_TYPE_PAUSE: Final = timedelta(minutes=5)
"""Before the next look at an event of a type that this program does not know."""
UNKNOWN_TYPE: Final = "UnknownType: "
"""How the error of such a failure begins; the event type follows."""


class NotStored(Exception):
    """The event is not in the store."""


class UnknownType(Exception):
    """No app registered the event's type: a newer program wrote it, during a deploy or before a step back."""


def record_failure(consumer: Consumer, event_id: UUID, error: Exception, origin: str = "") -> None:
    """Record a failed try, unless another delivery has taken effect meanwhile."""
    counts = not isinstance(error, (*TRANSIENT, UnknownType))
    text = f"{type(error).__name__}: {error}".replace("\x00", "")[:MAX_ERROR_LENGTH]
    now = clock.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO events_failure (consumer, event_id, attempts, error, retry_at, origin, created_at)
                SELECT %s, %s::uuid, 0, %s, %s::timestamptz, %s, %s::timestamptz
                WHERE NOT EXISTS (SELECT FROM events_receipt WHERE consumer = %s AND event_id = %s::uuid)
                ON CONFLICT DO NOTHING
                """,
                [consumer.name, event_id, text, now, origin, now, consumer.name, event_id],
            )
        row = (
            Failure.objects.select_for_update()
            .filter(consumer=consumer.name, event_id=event_id, dead_at=None)
            .first()
        )
        if row is None:
            return
        row.attempts += counts
        row.error = text
        if isinstance(error, NotStored) or row.attempts >= MAX_ATTEMPTS:
            row.retry_at, row.dead_at = None, now
        elif isinstance(error, UnknownType):
            row.retry_at = now + UNKNOWN_TYPE_PAUSE
        else:
            row.retry_at = now + (_backoff(row.attempts) if counts else TRANSIENT_PAUSE)
        row.save(update_fields=["attempts", "error", "retry_at", "dead_at"])
    log.warning(
        "%s could not handle event %s (%s): %s",
        consumer.name,
        event_id,
        "dead" if row.dead_at else "again later",
        text,
    )


def take_up_known_types() -> None:
    """Make the failures due whose event type an older program did not know and this one knows."""
    reasons = [f"{UNKNOWN_TYPE}{event_type.name}" for event_type in types.event_types()]
    Failure.objects.filter(error__in=reasons, retry_at__gt=clock.now()).update(retry_at=clock.now())


def _backoff(attempts: int) -> timedelta:
    return timedelta(seconds=settings.EVENTS_RETRY_SECONDS * 2 ** (attempts - 1))
