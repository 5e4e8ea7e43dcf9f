"""Drop deliveries that were held too long, and re-encrypt secrets. ``deletion`` deletes what is past retention."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from webhooks import deletion, encryption, health, queue
from webhooks.models import TEST_STREAM, Delivery, Webhook
from wokibrain.core import clock

LOOK_AHEAD: Final = timedelta(seconds=10)
"""A sender is woken for deliveries that are due within this time; the next sweep comes before it is over."""
MAX_BATCHES: Final = 10
"""Batches of MAX_DROPPED_AT_ONCE deliveries dropped per webhook and sweep; the next sweep continues."""


def sweep() -> bool:
    """Drop and delete what has expired. Return whether a delivery is due now or within LOOK_AHEAD."""
    expire_held()
    drop_for_inactive()
    resume_dropping()
    deletion.sweep()
    due = queue.next_due()
    return due is not None and due < clock.now() + LOOK_AHEAD


def expire_held() -> int:
    """Drop deliveries that paused webhooks have held for WEBHOOK_HOLD_HOURS. Return how many."""
    limit = clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS)
    return _drop_expired(Webhook.objects.filter(status=Webhook.Status.PAUSED, paused_at__lt=limit))


def drop_for_inactive() -> int:
    """Drop what inactive webhooks still have pending: too many to drop at once, or written during deactivation.

    Return how many.
    """
    inactive = Webhook.objects.filter(status=Webhook.Status.INACTIVE).exclude(reason=Webhook.Reason.DELETED)
    waiting = Delivery.objects.filter(webhook=OuterRef("pk"), status=Delivery.Status.PENDING).exclude(
        stream=TEST_STREAM
    )
    return _drop_expired(inactive.filter(Exists(waiting)))


def resume_dropping() -> int:
    """Continue dropping for webhooks that had too many to drop when they were activated or paused. Return how many."""
    return _drop_expired(Webhook.objects.filter(dropping_before__isnull=False))


def _drop_expired(webhooks: QuerySet[Webhook]) -> int:
    """Drop what each webhook, locked and read anew, does not send any more. Return how many deliveries."""
    total = 0
    for webhook_id in webhooks.values_list("pk", flat=True):
        for _ in range(MAX_BATCHES):
            with transaction.atomic():
                webhook = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
                dropped = health.drop_expired(webhook) if webhook is not None else 0
            total += dropped
            if dropped < health.MAX_DROPPED_AT_ONCE:
                break
    return total


def rekey() -> int:
    """Encrypt every secret with the first of WEBHOOK_SECRET_KEYS. Return the number of webhooks.

    Raises encryption.Unreadable at the first secret that no key decrypts; earlier ones stay re-encrypted.
    """
    ids = list(Webhook.objects.exclude(reason=Webhook.Reason.DELETED).values_list("pk", flat=True))
    for webhook_id in ids:
        with transaction.atomic():
            webhook = Webhook.objects.select_for_update().filter(pk=webhook_id).first()
            if webhook is None or not webhook.secret:
                continue
            webhook.secret = encryption.reseal(webhook.secret)
            webhook.previous_secret = webhook.previous_secret and encryption.reseal(webhook.previous_secret)
            webhook.save(update_fields=["secret", "previous_secret"])
    return len(ids)
