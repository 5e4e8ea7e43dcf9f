"""Celery's side. Tasks carry nothing: what is to be done, and when, is in Postgres."""

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
WOKEN_MS: Final = 500
"""A pump stays for longer than this after its last delivery, so one call in this time is enough."""


@shared_task(name="wokibrain.webhooks.pump", time_limit=sender.LIFE + 60, soft_time_limit=sender.LIFE + 50)  # type: ignore[untyped-decorator]
def send_due() -> None:
    """Send what is due; see ``pump``."""
    with context.entered(context.Context(source="worker")):
        sender.run(lambda: call(force=True))


@shared_task(name="wokibrain.webhooks.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Every few seconds: let go what was held or kept too long, and wake a pump for what is due."""
    with context.entered(context.Context(source="worker")):
        if housekeeping.sweep():
            call()


def wake(made: Sequence[Delivery]) -> None:
    """Have new deliveries sent soon: over Kafka where it runs, else straight. Never raises: ``sweep`` comes after."""
    if settings.KAFKA_BROKERS:
        from webhooks import kafka

        kafka.announce(made)
    else:
        call()


def call(*, force: bool = False) -> None:
    """Queue a pump, unless that was done a moment ago. Never raises."""
    try:
        if force or ask(lambda client: client.set("webhooks:woken", 1, nx=True, px=WOKEN_MS)):
            send_due.apply_async(queue=QUEUE)
    except (Away, OSError, redis.exceptions.RedisError, kombu.exceptions.OperationalError) as error:
        log.warning("the queue is away, deliveries wait for the next sweep: %s", type(error).__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    sender.STOP.set()
