"""Celery tasks. They take no arguments: what is due, and when, is in Postgres."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import kombu.exceptions
import redis.exceptions
from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from webhooks import housekeeping, sender
from webhooks.models import Delivery
from wokibrain.core import context
from wokibrain.core.redis import Away, ask

log = logging.getLogger(__name__)

QUEUE: Final = "webhook-deliveries"
WAKE_INTERVAL_MS: Final = 500
"""A sender stays for longer than this after its last delivery, so one call per interval is enough."""


@shared_task(  # type: ignore[untyped-decorator]
    name="wokibrain.webhooks.pump",
    time_limit=sender.MAX_RUN_SECONDS + 60,
    soft_time_limit=sender.MAX_RUN_SECONDS + 50,
)
def send_due() -> None:
    """Send the deliveries that are due; see ``sender.run``."""
    with context.entered(context.Context(source="worker")):
        sender.run(lambda: wake_sender(force=True))


@shared_task(name="wokibrain.webhooks.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Every few seconds: drop and delete expired deliveries, and wake a sender if any delivery is due."""
    with context.entered(context.Context(source="worker")):
        if housekeeping.sweep():
            wake_sender()


def announce(deliveries: Sequence[Delivery]) -> None:
    """Have new deliveries sent soon, through Kafka if it is used. Never raises: ``sweep`` finds them anyway."""
    if settings.KAFKA_BROKERS:
        from webhooks import kafka

        kafka.announce(deliveries)
    else:
        wake_sender()


def wake_sender(*, force: bool = False) -> None:
    """Queue a sender task unless one was queued within WAKE_INTERVAL_MS. Never raises."""
    try:
        if force or ask(lambda client: client.set("webhooks:woken", 1, nx=True, px=WAKE_INTERVAL_MS)):
            send_due.apply_async(queue=QUEUE)
    except (Away, OSError, redis.exceptions.RedisError, kombu.exceptions.OperationalError) as error:
        log.warning("the queue is unavailable, deliveries wait for the next sweep: %s", type(error).__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    sender.STOP.set()
