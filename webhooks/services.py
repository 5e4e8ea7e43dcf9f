"""Create, change and delete webhooks, and do what their owners request: a test, a redelivery, a recovery.

Every change is recorded in the audit trail, without URLs and secrets: both may carry credentials.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any, Final, NewType

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from webhooks import deletion, encryption, fanout, health, payload, selectors, signing, tasks, url_policy
from webhooks.event_types import WEBHOOK_EVENTS, WebhookEvent
from webhooks.http_client import addresses_of
from webhooks.models import TEST_STREAM, Delivery, Message, Webhook
from webhooks.url_policy import Address, Refused, Target, may_connect
from wokibrain.core import clock, tenants
from wokibrain.core.callers import Caller
from wokibrain.core.errors import InvalidTransition, NotFound, ValidationFailed
from wokibrain.core.ids import as_uuid, uuid7
from wokibrain.core.permissions import Permission
from wokibrain.events import audit
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent

MAX_LOOKUP_SECONDS: Final = 1.0
"""How long a request waits for a name server when it checks a URL."""
MAX_RECOVERED: Final = 10_000
"""Deliveries that one recovery queues; callers repeat it with a later ``since``."""
CHUNK_SIZE: Final = 500

CheckedUrl = NewType("CheckedUrl", str)
"""A URL that ``check_url`` accepted: a delivery may go there."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The result of ``recover``. ``complete`` is False if there was more than MAX_RECOVERED."""

    queued: int
    complete: bool


def create_webhook(
    *,
    caller: Caller,
    restaurant_id: str | None,
    url: CheckedUrl,
    events: Sequence[str],
    secret: str | None = None,
    status: Webhook.Status = Webhook.Status.ACTIVE,
) -> tuple[Webhook, str]:
    """Create a webhook. Return it with its secret, which cannot be read again.

    ``restaurant_id`` None: see ``_restaurant_for``. Raises NotFound, Forbidden, Unauthorized; ValidationFailed for
    a secret that cannot sign, and when the restaurant has reached WEBHOOK_LIMIT.
    """
    owner_id = _restaurant_for(caller, restaurant_id)
    secret = check_secret(secret) if secret is not None else signing.new_secret()
    now = clock.now()
    webhook = Webhook(
        restaurant_id=owner_id,
        url=url,
        events=_ordered(events),
        secret=encryption.seal(secret),
        created_at=now,
        updated_at=now,
    )
    _set_status(webhook, status)
    with transaction.atomic():
        if selectors.webhooks_of(owner_id).count() >= settings.WEBHOOK_LIMIT:
            raise ValidationFailed.at("restaurantId", _("This restaurant has reached its limit of webhooks."))
        webhook.save(force_insert=True)
        _audit(caller, "WebhookCreated", webhook)
    return webhook, secret


def update_webhook(
    *,
    caller: Caller,
    webhook_id: str,
    url: CheckedUrl | None = None,
    events: Sequence[str] | None = None,
    secret: str | None = None,
    status: Webhook.Status | None = None,
) -> Webhook:
    """Change the fields that are not None. A new secret is a rotation: the previous one signs too for a while.

    Expired deliveries are dropped here up to MAX_DROPPED_AT_ONCE; if there are more, the webhook is not sent to
    until ``housekeeping.sweep`` has dropped the rest (``dropping_before``).

    Raises NotFound and ValidationFailed as ``create_webhook`` does.
    """
    if secret is not None:
        check_secret(secret)
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        before, state = webhook.status, _audited(webhook)
        webhook.url = webhook.url if url is None else url
        webhook.events = webhook.events if events is None else _ordered(events)
        if secret is not None:
            _rotate(webhook, secret)
        if status is not None and status != before:
            if status != Webhook.Status.INACTIVE:
                health.begin_dropping(webhook)
            _set_status(webhook, status)
        webhook.updated_at = clock.now()
        webhook.save()
        if webhook.status == Webhook.Status.INACTIVE:
            health.drop_pending(webhook)
        _audit(caller, "WebhookUpdated", webhook, state)
        if webhook.active and before != webhook.status:
            transaction.on_commit(tasks.wake_sender)
    return webhook


def delete_webhook(*, caller: Caller, webhook_id: str) -> None:
    """Delete a webhook with its deliveries: once committed it is hidden and sends nothing. Raises NotFound.

    Its rows are deleted after that; those that are too many or locked are left to ``deletion.sweep``.
    """
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        _audit(caller, "WebhookDeleted", webhook)
        deletion.mark_deleted(webhook)
        transaction.on_commit(lambda: deletion.delete_marked(webhook.pk), robust=True)


def rotate_secret(*, caller: Caller, webhook_id: str, secret: str | None = None) -> tuple[Webhook, str]:
    """Give a webhook a new secret; the current one signs too for WEBHOOK_GRACE_HOURS. Return both webhook and secret.

    Raises NotFound; ValidationFailed for a secret that cannot sign.
    """
    secret = check_secret(secret) if secret is not None else signing.new_secret()
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        _rotate(webhook, secret)
        webhook.updated_at = clock.now()
        webhook.save(update_fields=["secret", "previous_secret", "previous_until", "updated_at"])
        _audit(caller, "WebhookSecretRotated", webhook)
    return webhook, secret


def send_test(*, caller: Caller, webhook_id: str, event: str | None = None) -> Delivery:
    """Queue one sample message, whatever the webhook's status; it is tried once. Raises NotFound."""
    now = clock.now()
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        webhook_event = WebhookEvent(event or webhook.events[0])
        message_id = uuid7()
        restaurant_id = webhook.restaurant_id or "R1"
        message = Message.objects.create(
            id=message_id,
            event=webhook_event,
            restaurant_id=restaurant_id,
            body=payload.sample(
                webhook_event,
                restaurant_id=restaurant_id,
                event_id=message_id,
                at=now,
                zone=tenants.zone_of(restaurant_id) or payload.UTC,
            ),
            test=True,
            created_at=now,
        )
        delivery = Delivery.objects.create(
            webhook=webhook, message=message, stream=TEST_STREAM, sequence=1, due_at=now, created_at=now
        )
        transaction.on_commit(tasks.wake_sender)
    return delivery


def redeliver(*, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
    """Queue a delivery again, now and with a fresh schedule; its id and bytes stay the same.

    Raises NotFound; InvalidTransition while the webhook is inactive, or drops deliveries of that age.
    """
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        pk = as_uuid(delivery_id)
        delivery = (
            Delivery.objects.select_for_update(of=("self",))
            .select_related("message")
            .filter(pk=pk, webhook=webhook)
            .first()
        )
        if delivery is None:
            raise NotFound
        if delivery.stream != TEST_STREAM:
            _refuse_while_dropping(webhook, delivery.created_at)
        _requeue(Delivery.objects.filter(pk=delivery.pk))
        delivery.refresh_from_db()
        _audit(caller, "WebhookRedelivered", webhook)
        transaction.on_commit(tasks.wake_sender)
    return delivery


def recover(*, caller: Caller, webhook_id: str, since: datetime) -> Recovery:
    """Queue what failed or was dropped since then, and what was never queued, oldest first, up to MAX_RECOVERED.

    Raises NotFound; ValidationFailed for an instant in the future or beyond the retention; InvalidTransition
    while the webhook is inactive, or drops deliveries of that age.
    """
    now = clock.now()
    if not now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS) <= since <= now:
        raise ValidationFailed.at("since", _("Expected an instant within the time that messages are kept."))
    with transaction.atomic():
        webhook = selectors.lock_webhook(caller, webhook_id)
        _refuse_while_dropping(webhook, since)
        lost = Delivery.objects.filter(
            webhook=webhook,
            status__in=[Delivery.Status.FAILED, Delivery.Status.DROPPED],
            created_at__gte=since,
        ).exclude(stream=TEST_STREAM)
        oldest = list(lost.order_by("created_at", "id").values_list("pk", flat=True)[:MAX_RECOVERED])
        queued = _requeue(Delivery.objects.filter(pk__in=oldest))
        queued += _fan_out_missing(webhook, since, MAX_RECOVERED - queued)
        _audit(caller, "WebhookRecovered", webhook)
        transaction.on_commit(tasks.wake_sender)
    return Recovery(queued, queued < MAX_RECOVERED)


def _fan_out_missing(webhook: Webhook, since: datetime, limit: int) -> int:
    types = [
        event_type for event_type, webhook_event in WEBHOOK_EVENTS.items() if webhook_event in webhook.events
    ]
    # Only published_at is indexed, and it is never before occurred_at; the minute allows for clocks that differ.
    events = StoredEvent.objects.filter(
        published_at__gte=since - timedelta(minutes=1), occurred_at__gte=since, event_type__in=types
    )
    if webhook.restaurant_id is not None:
        events = events.filter(payload__restaurantId=webhook.restaurant_id)
    queued, after = 0, 0
    while queued < limit:
        rows = list(events.filter(position__gt=after).order_by("position")[: min(CHUNK_SIZE, limit - queued)])
        if not rows:
            break
        queued += len(fanout.fan_out([Envelope.from_row(row) for row in rows], only=webhook))
        after = rows[-1].position
    return queued


def _requeue(deliveries: QuerySet[Delivery]) -> int:
    return deliveries.filter(Q(leased_until=None) | Q(leased_until__lt=clock.now())).update(
        status=Delivery.Status.PENDING, due_at=clock.now(), tries=0, leased_until=None, finished_at=None
    )


def _refuse_while_dropping(webhook: Webhook, queued_at: datetime) -> None:
    if webhook.status == Webhook.Status.INACTIVE:
        raise InvalidTransition(_("The webhook is inactive; activate or pause it first."))
    if webhook.dropping_before is not None and queued_at < webhook.dropping_before:
        # Once queued it could not be told from the deliveries that are being dropped.
        raise InvalidTransition(
            _("The webhook's old deliveries are still being dropped; try again in a minute.")
        )


def _restaurant_for(caller: Caller, restaurant_id: str | None) -> str | None:
    """Return the owner of a new webhook: the restaurant named, else the caller's only one, else None for all."""
    if restaurant_id is not None:
        caller.require(Permission.WEBHOOK_MANAGE, restaurant_id)
        if tenants.zone_of(restaurant_id) is None:
            raise NotFound.at("restaurantId")
        return restaurant_id
    managed = selectors.managed_restaurants(caller)
    if managed is None:
        return None
    if len(managed) > 1:
        raise ValidationFailed.at("restaurantId", _("You manage several restaurants; name one."))
    return next(iter(managed))


def _ordered(events: Sequence[str]) -> list[str]:
    return [webhook_event.value for webhook_event in WebhookEvent if webhook_event.value in events]


def _set_status(webhook: Webhook, status: Webhook.Status) -> None:
    webhook.status = status
    webhook.reason = "" if status == Webhook.Status.ACTIVE else Webhook.Reason.ASKED
    webhook.paused_at = clock.now() if status == Webhook.Status.PAUSED else None
    if status == Webhook.Status.INACTIVE:
        webhook.dropping_before = None
    if status == Webhook.Status.ACTIVE:
        # Activation asserts that the endpoint works now.
        webhook.failures, webhook.open_until, webhook.failing_since = 0, None, None


def _rotate(webhook: Webhook, secret: str) -> None:
    webhook.previous_secret = webhook.secret
    webhook.previous_until = clock.now() + timedelta(hours=settings.WEBHOOK_GRACE_HOURS)
    webhook.secret = encryption.seal(secret)


def check_secret(secret: str) -> str:
    """Return the secret. Raises ValidationFailed at ``secret`` for one that no library could use."""
    try:
        signing.key_of(secret)
    except ValueError:
        raise ValidationFailed.at(
            "secret", _("After whsec_ a secret must continue with 16 to 64 bytes in base64.")
        ) from None
    return secret


def check_url(url: str) -> CheckedUrl:
    """Return the URL if deliveries may go there. Asks a name server: call it outside transactions.

    Raises ValidationFailed at ``url``.
    """
    try:
        target = url_policy.check_url(url)
        if target.literal is None and not all(may_connect(address) for address in _look_up(target)):
            raise Refused(_("This name does not resolve to the public internet."))
    except Refused as refused:
        raise ValidationFailed.at("url", refused.reason) from None
    return CheckedUrl(url)


def _look_up(target: Target) -> list[Address]:
    """Return the name's addresses now; none after MAX_LOOKUP_SECONDS. Every delivery looks them up again."""
    answer: SimpleQueue[list[Address]] = SimpleQueue()

    def look_up() -> None:
        try:
            answer.put(addresses_of(target.host, target.port))
        except (OSError, UnicodeError):
            answer.put([])

    threading.Thread(target=look_up, name="lookup", daemon=True).start()
    try:
        return answer.get(timeout=MAX_LOOKUP_SECONDS)
    except Empty:
        return []


def _audited(webhook: Webhook) -> dict[str, Any]:
    return {"status": webhook.status, "events": list(webhook.events)}


def _audit(caller: Caller, action: str, webhook: Webhook, before: Mapping[str, Any] | None = None) -> None:
    audit.record(
        actor=caller.actor,
        action=action,
        target_type="webhook",
        target_id=str(webhook.pk),
        restaurant_id=webhook.restaurant_id or "",
        before=before,
        after=_audited(webhook),
    )
