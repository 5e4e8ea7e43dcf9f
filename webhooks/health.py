"""The health of an endpoint: its circuit breaker, and when its webhook is deactivated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from webhooks.models import TEST_STREAM, Attempt, Delivery, Webhook
from webhooks.retries import Verdict
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.events import audit, store

MAX_OPEN_SECONDS: Final = 60.0
"""The longest pause between two probes of a failing endpoint."""
MIN_FAILED_DELIVERIES: Final = 20
"""A webhook is deactivated only after this many deliveries failed: fewer say nothing about its endpoint."""
MAX_DROPPED_AT_ONCE: Final = 5_000
"""Deliveries dropped in one transaction, so that results can be recorded meanwhile."""


def update(webhook: Webhook, verdicts: Iterable[tuple[Verdict, datetime]]) -> None:
    """Update the health of a webhook, locked by the caller, by the verdicts on its attempts, in order.

    Only failures that are retried count for the breaker: an endpoint that refuses is reachable.
    """
    before = (webhook.failures, webhook.failing_since, webhook.open_until)
    gone = False
    for verdict, started in verdicts:
        if verdict is Verdict.DELIVERED:
            webhook.failures, webhook.failing_since, webhook.open_until = 0, None, None
            continue
        webhook.failing_since = webhook.failing_since or started
        gone = gone or verdict is Verdict.GONE
        if verdict is Verdict.RETRY:
            webhook.failures += 1
            webhook.open_until = _open_until(webhook.failures)
        else:
            webhook.failures, webhook.open_until = 0, None
    if (webhook.failures, webhook.failing_since, webhook.open_until) != before:
        webhook.save(update_fields=["failures", "failing_since", "open_until"])
    if gone:
        deactivate(webhook, Webhook.Reason.GONE)
    elif _failed_for_too_long(webhook):
        deactivate(webhook, Webhook.Reason.FAILING)


def _open_until(failures: int) -> datetime | None:
    excess = failures - settings.WEBHOOK_BREAKER_FAILURES
    if excess < 0:
        return None
    pause = min(settings.WEBHOOK_BREAKER_SECONDS * 2 ** min(excess, 16), MAX_OPEN_SECONDS)
    return clock.now() + timedelta(seconds=pause)


def _failed_for_too_long(webhook: Webhook) -> bool:
    since = webhook.failing_since
    if since is None or clock.now() - since < timedelta(hours=settings.WEBHOOK_FAILING_HOURS):
        return False
    tried = Attempt.objects.filter(delivery__webhook=webhook, started_at__gte=since).exclude(
        delivery__stream=TEST_STREAM
    )
    return tried.values("delivery_id").distinct()[:MIN_FAILED_DELIVERIES].count() >= MIN_FAILED_DELIVERIES


def deactivate(webhook: Webhook, reason: Webhook.Reason) -> None:
    """Make a webhook inactive: nothing is queued for it any more. Record an event and an audit entry.

    Runs within a transaction, with the webhook locked by the caller. Does nothing if it is inactive already.
    """
    if webhook.status == Webhook.Status.INACTIVE:
        return
    before, now = webhook.status, clock.now()
    webhook.status, webhook.reason, webhook.paused_at = Webhook.Status.INACTIVE, reason, None
    webhook.dropping_before, webhook.updated_at = None, now
    webhook.save(update_fields=["status", "reason", "paused_at", "dropping_before", "updated_at"])
    drop_pending(webhook)
    event = store.append(
        aggregate_type="webhook",
        aggregate_id=str(webhook.pk),
        expected_version=store.version_of("webhook", str(webhook.pk)),
        event_type="WebhookDeactivated",
        payload={
            "id": str(webhook.pk),
            "restaurantId": webhook.restaurant_id,
            "status": webhook.status,
            "reason": reason.value,
        },
        actor=SYSTEM.actor,
        occurred_at=now,
    )
    audit.record(
        event_id=event.event_id,
        actor=SYSTEM.actor,
        action=event.event_type,
        target_type=event.aggregate_type,
        target_id=event.aggregate_id,
        restaurant_id=webhook.restaurant_id or "",
        before={"status": before},
        after={"status": webhook.status, "reason": reason.value},
    )


def drop_expired(webhook: Webhook) -> int:
    """Drop what will never be sent: all pending deliveries of an inactive webhook, those held too long of a paused one.

    At most MAX_DROPPED_AT_ONCE. Runs within a transaction, with the webhook locked by the caller, so that activation
    and redelivery come before or after. Return how many.
    """
    if webhook.status == Webhook.Status.INACTIVE:
        return drop_pending(webhook)
    before = _expired_before(webhook)
    if before is None:
        return 0
    dropped = drop_pending(webhook, created_before=before)
    if webhook.dropping_before is not None and dropped < MAX_DROPPED_AT_ONCE:
        webhook.dropping_before = None
        webhook.save(update_fields=["dropping_before"])
    return dropped


def begin_dropping(webhook: Webhook) -> None:
    """Drop expired deliveries before the webhook is activated; if too many, set ``dropping_before``.

    Runs within a transaction, with the webhook locked by the caller, who saves it.
    """
    before = _expired_before(webhook)
    more = before is not None and drop_pending(webhook, created_before=before) == MAX_DROPPED_AT_ONCE
    webhook.dropping_before = before if more else None


def _expired_before(webhook: Webhook) -> datetime | None:
    """Return the instant before which the webhook's pending deliveries are expired; None if none are."""
    if webhook.status == Webhook.Status.INACTIVE:
        # Not now: a delivery written next, by a process whose clock is behind, must be sent.
        newest = webhook.deliveries.values_list("created_at", flat=True).first()
        return None if newest is None else newest + timedelta(microseconds=1)
    hold_limit = clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS)
    if webhook.paused_at is not None and webhook.paused_at < hold_limit:
        return hold_limit
    return webhook.dropping_before


def drop_pending(webhook: Webhook, *, created_before: datetime | None = None) -> int:
    """Drop up to MAX_DROPPED_AT_ONCE pending deliveries of the webhook, except tests. Return how many.

    ``housekeeping.sweep`` drops the rest.
    """
    waiting = Delivery.objects.filter(webhook=webhook, status=Delivery.Status.PENDING).exclude(
        stream=TEST_STREAM
    )
    if created_before is not None:
        waiting = waiting.filter(created_at__lt=created_before)
    with transaction.atomic():
        # In the order in which ``queue.record`` locks them: results are recorded meanwhile.
        ids = list(
            Delivery.objects.filter(
                pk__in=waiting.order_by().values("pk")[:MAX_DROPPED_AT_ONCE], status=Delivery.Status.PENDING
            )
            .order_by("pk")
            .select_for_update()
            .values_list("pk", flat=True)
        )
        return Delivery.objects.filter(pk__in=ids).update(
            status=Delivery.Status.DROPPED, due_at=None, leased_until=None, finished_at=clock.now()
        )
