"""What time does to deliveries: those held too long are dropped, those kept too long deleted (``disposal``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from webhooks import deletion, encryption, health, queue
from webhooks.models import TEST_STREAM, Delivery, Webhook
from wokibrain.core import clock

AHEAD: Final = timedelta(seconds=10)
BATCHES: Final = 10
"""How many times of one webhook's deliveries as many are dropped as go at once; the rest is for the next sweep."""


def sweep() -> bool:
    """Let go what is over. Returns whether something is due now or shortly."""
    expire_held()
    drop_for_inactive()
    go_on_dropping()
    deletion.sweep()
    due = queue.next_due()
    return due is not None and due < clock.now() + AHEAD


def expire_held() -> int:
    """Drop what a paused webhook has held for WEBHOOK_HOLD_HOURS. Returns how many deliveries."""
    over = clock.now() - timedelta(hours=settings.WEBHOOK_HOLD_HOURS)
    return _drop_over(Webhook.objects.filter(status=Webhook.Status.PAUSED, paused_at__lt=over))


def drop_for_inactive() -> int:
    """Drop what was too much to drop at once, or was written while its webhook was becoming inactive."""
    inactive = Webhook.objects.filter(status=Webhook.Status.INACTIVE).exclude(reason=Webhook.Reason.DELETED)
    waiting = Delivery.objects.filter(webhook=OuterRef("pk"), status=Delivery.Status.PENDING).exclude(
        stream=TEST_STREAM
    )
    return _drop_over(inactive.filter(Exists(waiting)))


def go_on_dropping() -> int:
    """Drop what was too much to drop when its webhook was made active, or paused, again."""
    return _drop_over(Webhook.objects.filter(dropping_before__isnull=False))


def _drop_over(webhooks: QuerySet[Webhook]) -> int:
    """Each as it is when its turn comes: somebody may have made it active meanwhile."""
    total = 0
    for webhook_id in webhooks.values_list("pk", flat=True):
        for _ in range(BATCHES):
            with transaction.atomic():
                webhook = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
                dropped = health.drop_over(webhook) if webhook is not None else 0
            total += dropped
            if dropped < health.DROPPED_AT_ONCE:
                break
    return total


def rekey() -> int:
    """Encrypt every secret with the first of WEBHOOK_SECRET_KEYS. Returns how many webhooks.

    Raises vault.Unreadable at the first that cannot be read; those before it stay as they were made.
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
