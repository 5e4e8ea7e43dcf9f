"""How an endpoint fares: the circuit breaker, and when it is given up."""

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

LONGEST_OPEN: Final = 60.0
ENOUGH: Final = 20
"""Fewer deliveries than this say nothing about an endpoint, however long they fail."""
DROPPED_AT_ONCE: Final = 5_000


def note(webhook: Webhook, verdicts: Iterable[tuple[Verdict, datetime]]) -> None:
    """Bring the health of a webhook, locked by the caller, up to what its attempts came to, in order.

    An endpoint that answers at all is there: only what is worth a retry counts for the breaker.
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
    elif _hopeless(webhook):
        deactivate(webhook, Webhook.Reason.FAILING)


def _open_until(failures: int) -> datetime | None:
    beyond = failures - settings.WEBHOOK_BREAKER_FAILURES
    if beyond < 0:
        return None
    pause = min(settings.WEBHOOK_BREAKER_SECONDS * 2 ** min(beyond, 16), LONGEST_OPEN)
    return clock.now() + timedelta(seconds=pause)


def _hopeless(webhook: Webhook) -> bool:
    since = webhook.failing_since
    if since is None or clock.now() - since < timedelta(hours=settings.WEBHOOK_FAILING_HOURS):
        return False
    tried = Attempt.objects.filter(delivery__webhook=webhook, started_at__gte=since).exclude(
        delivery__stream=TEST_STREAM
    )
    return tried.values("delivery_id").distinct()[:ENOUGH].count() >= ENOUGH


def deactivate(webhook: Webhook, reason: Webhook.Reason) -> None:
    """Give the endpoint up: nothing is queued for it any more. Tells of it in an event and the audit trail.

    Runs within a transaction, with the webhook locked by the caller. Does nothing to one that is inactive.
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


def drop_over(webhook: Webhook) -> int:
    """Drop what is never to go out: all that waits for an inactive webhook, what a paused one held for too long.

    As ``drop_pending`` not all at once where that is much. Runs within a transaction, with the webhook locked by
    the caller: who makes it active, or asks for a delivery again, does so before or after. Returns how many.
    """
    if webhook.status == Webhook.Status.INACTIVE:
        return drop_pending(webhook)
    before = _over_before(webhook)
    if before is None:
        return 0
    dropped = drop_pending(webhook, created_before=before)
    if webhook.dropping_before is not None and dropped < DROPPED_AT_ONCE:
        webhook.dropping_before = None
        webhook.save(update_fields=["dropping_before"])
    return dropped


def begin_dropping(webhook: Webhook) -> None:
    """Drop what is over before the webhook is sent to again, or note that there is more than goes at once.

    Runs within a transaction, with the webhook locked by the caller, who saves it.
    """
    before = _over_before(webhook)
    more = before is not None and drop_pending(webhook, created_before=before) == DROPPED_AT_ONCE
    webhook.dropping_before = before if more else None


def _over_before(webhook: Webhook) -> datetime | None:
    """What waits for the webhook from before then is never to go out."""
    if webhook.status == Webhook.Status.INACTIVE:
        # Not now: what is written next, by a process whose clock is behind, is to go out.
        newest = webhook.deliveries.values_list("created_at", flat=True).first()
        return None if newest is None else newest + timedelta(microseconds=1)
    held = clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS)
    if webhook.paused_at is not None and webhook.paused_at < held:
        return held
    return webhook.dropping_before


def drop_pending(webhook: Webhook, *, created_before: datetime | None = None) -> int:
    """Drop up to DROPPED_AT_ONCE of what waits for the webhook, tests aside. Returns how many that were.

    What is left is for ``housekeeping.sweep``.
    """
    waiting = Delivery.objects.filter(webhook=webhook, status=Delivery.Status.PENDING).exclude(
        stream=TEST_STREAM
    )
    if created_before is not None:
        waiting = waiting.filter(created_at__lt=created_before)
    with transaction.atomic():
        # In the order in which results are written down, which goes on meanwhile.
        ids = list(
            Delivery.objects.filter(
                pk__in=waiting.order_by().values("pk")[:DROPPED_AT_ONCE], status=Delivery.Status.PENDING
            )
            .order_by("pk")
            .select_for_update()
            .values_list("pk", flat=True)
        )
        return Delivery.objects.filter(pk__in=ids).update(
            status=Delivery.Status.DROPPED, due_at=None, leased_until=None, finished_at=clock.now()
        )
