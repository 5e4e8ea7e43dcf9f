"""The writers of webhooks, and what their owners may ask for: a test, a redelivery, a recovery.

Every change is entered in the audit trail; URLs and secrets are not, they may carry credentials.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NewType

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from webhooks import deletion, encryption, fanout, health, payload, selectors, signing, tasks, url_policy
from webhooks.event_types import HAPPENINGS, Happening
from webhooks.http_client import addresses_of
from webhooks.models import TEST_STREAM, Delivery, Message, Webhook
from webhooks.url_policy import Address, Refused, Target, may_connect
from wokibrain.core import clock, tenants
from wokibrain.core.callers import Caller
from wokibrain.core.errors import InvalidTransition, NotFound, ValidationFailed
from wokibrain.core.ids import as_uuid, uuid7
from wokibrain.core.permissions import Permission
from wokibrain.events import audit, envelope
from wokibrain.events.models import StoredEvent

LOOKUP_SECONDS: Final = 1.0
RECOVERED_AT_MOST: Final = 10_000
CHUNK: Final = 500

CheckedUrl = NewType("CheckedUrl", str)
"""A URL that was seen to lead where a delivery may go."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """``complete`` is False where there was more than one call may queue."""

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
    """A new webhook and its secret, which is not to be had again. ``restaurant_id`` None: all restaurants.

    Raises NotFound, Forbidden, Unauthorized; ValidationFailed for a secret that cannot sign, or one webhook
    too many.
    """
    place = _place_for(caller, restaurant_id)
    secret = check_secret(secret) if secret is not None else signing.new_secret()
    now = clock.now()
    webhook = Webhook(
        restaurant_id=place,
        url=url,
        events=_ordered(events),
        secret=encryption.seal(secret),
        created_at=now,
        updated_at=now,
    )
    _set_status(webhook, status)
    with transaction.atomic():
        if selectors.webhooks_of(place).count() >= settings.WEBHOOK_LIMIT:
            raise ValidationFailed.at("restaurantId", _("This restaurant has as many webhooks as it may."))
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
    """Change what is given. A new secret is a rotation: the one before signs as well for the grace period.

    Of what waits and is over, only so much is dropped here as goes at once; the webhook is sent to when
    ``housekeeping.sweep`` has dropped the rest (``dropping_before``).

    Raises NotFound and ValidationFailed as ``create_webhook`` does.
    """
    if secret is not None:
        check_secret(secret)
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
        before, told = webhook.status, _told(webhook)
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
        _audit(caller, "WebhookUpdated", webhook, told)
        if webhook.active and before != webhook.status:
            transaction.on_commit(tasks.call)
    return webhook


def delete_webhook(*, caller: Caller, webhook_id: str) -> None:
    """Delete it with its deliveries; once committed nobody sees it and nothing is sent. Raises NotFound.

    The rows go after that, and what cannot go now, because there is too much of it or somebody is at it, goes with
    a later ``disposal.sweep``.
    """
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
        _audit(caller, "WebhookDeleted", webhook)
        deletion.mark(webhook)
        transaction.on_commit(lambda: deletion.dispose(webhook.pk), robust=True)


def rotate_secret(*, caller: Caller, webhook_id: str, secret: str | None = None) -> tuple[Webhook, str]:
    """Give it a new secret; the present one signs as well for WEBHOOK_GRACE_HOURS. Raises NotFound."""
    secret = check_secret(secret) if secret is not None else signing.new_secret()
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
        _rotate(webhook, secret)
        webhook.updated_at = clock.now()
        webhook.save(update_fields=["secret", "previous_secret", "previous_until", "updated_at"])
        _audit(caller, "WebhookSecretRotated", webhook)
    return webhook, secret


def send_test(*, caller: Caller, webhook_id: str, event: str | None = None) -> Delivery:
    """Queue one made-up message, whatever the webhook's status; it is tried once. Raises NotFound."""
    now = clock.now()
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
        happening = Happening(event or webhook.events[0])
        message_id = uuid7()
        place = webhook.restaurant_id or "R1"
        message = Message.objects.create(
            id=message_id,
            event=happening,
            restaurant_id=place,
            body=payload.sample(
                happening,
                restaurant_id=place,
                event_id=message_id,
                at=now,
                zone=tenants.zone_of(place) or payload.UTC,
            ),
            test=True,
            created_at=now,
        )
        delivery = Delivery.objects.create(
            webhook=webhook, message=message, stream=TEST_STREAM, sequence=1, due_at=now, created_at=now
        )
        transaction.on_commit(tasks.call)
    return delivery


def redeliver(*, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
    """Have a delivery made again, now and with a fresh schedule; the same id, the same bytes.

    Raises NotFound; InvalidTransition while the webhook is inactive, or lets go of what is as old.
    """
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
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
            _refuse_what_is_dropped(webhook, delivery.created_at)
        _again(Delivery.objects.filter(pk=delivery.pk))
        delivery.refresh_from_db()
        _audit(caller, "WebhookRedelivered", webhook)
        transaction.on_commit(tasks.call)
    return delivery


def recover(*, caller: Caller, webhook_id: str, since: datetime) -> Recovery:
    """Deliver again what failed or was dropped since then, and what was never queued, oldest first.

    Raises NotFound; ValidationFailed for an instant ahead of now or beyond the retention; InvalidTransition
    while the webhook is inactive, or lets go of what is as old.
    """
    now = clock.now()
    if not now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS) <= since <= now:
        raise ValidationFailed.at("since", _("Expected an instant within the time that messages are kept."))
    with transaction.atomic():
        webhook = selectors.locked(caller, webhook_id)
        _refuse_what_is_dropped(webhook, since)
        lost = Delivery.objects.filter(
            webhook=webhook,
            status__in=[Delivery.Status.FAILED, Delivery.Status.DROPPED],
            created_at__gte=since,
        ).exclude(stream=TEST_STREAM)
        first = list(lost.order_by("created_at", "id").values_list("pk", flat=True)[:RECOVERED_AT_MOST])
        queued = _again(Delivery.objects.filter(pk__in=first))
        queued += _fan_out_missing(webhook, since, RECOVERED_AT_MOST - queued)
        _audit(caller, "WebhookRecovered", webhook)
        transaction.on_commit(tasks.call)
    return Recovery(queued, queued < RECOVERED_AT_MOST)


def _fan_out_missing(webhook: Webhook, since: datetime, limit: int) -> int:
    types = [event_type for event_type, happening in HAPPENINGS.items() if happening in webhook.events]
    # An event is published after it occurred, and only that is indexed; the minute is for clocks that differ.
    there = StoredEvent.objects.filter(
        published_at__gte=since - timedelta(minutes=1), occurred_at__gte=since, event_type__in=types
    )
    if webhook.restaurant_id is not None:
        there = there.filter(payload__restaurantId=webhook.restaurant_id)
    made, after = 0, 0
    while made < limit:
        rows = list(there.filter(position__gt=after).order_by("position")[: min(CHUNK, limit - made)])
        if not rows:
            break
        made += len(fanout.fan_out([envelope.Envelope.from_row(row) for row in rows], only=webhook))
        after = rows[-1].position
    return made


def _again(deliveries: QuerySet[Delivery]) -> int:
    return deliveries.filter(Q(leased_until=None) | Q(leased_until__lt=clock.now())).update(
        status=Delivery.Status.PENDING, due_at=clock.now(), tries=0, leased_until=None, finished_at=None
    )


def _refuse_what_is_dropped(webhook: Webhook, queued_at: datetime) -> None:
    if webhook.status == Webhook.Status.INACTIVE:
        raise InvalidTransition(_("The webhook is inactive; activate or pause it first."))
    if webhook.dropping_before is not None and queued_at < webhook.dropping_before:
        # Once it waits, nobody could tell it from what is to be dropped.
        raise InvalidTransition(
            _("What waited for the webhook is still being dropped; try again in a minute.")
        )


def _place_for(caller: Caller, restaurant_id: str | None) -> str | None:
    """Where a new webhook belongs: the restaurant named, else the only one the caller manages, else all."""
    if restaurant_id is not None:
        caller.require(Permission.WEBHOOK_MANAGE, restaurant_id)
        if tenants.zone_of(restaurant_id) is None:
            raise NotFound.at("restaurantId")
        return restaurant_id
    places = selectors.places(caller)
    if places is None:
        return None
    if len(places) > 1:
        raise ValidationFailed.at("restaurantId", _("You manage several restaurants; name one."))
    return next(iter(places))


def _ordered(events: Sequence[str]) -> list[str]:
    return [happening.value for happening in Happening if happening.value in events]


def _set_status(webhook: Webhook, status: Webhook.Status) -> None:
    webhook.status = status
    webhook.reason = "" if status == Webhook.Status.ACTIVE else Webhook.Reason.ASKED
    webhook.paused_at = clock.now() if status == Webhook.Status.PAUSED else None
    if status == Webhook.Status.INACTIVE:
        webhook.dropping_before = None
    if status == Webhook.Status.ACTIVE:
        # Whoever activates it says that it works now.
        webhook.failures, webhook.open_until, webhook.failing_since = 0, None, None


def _rotate(webhook: Webhook, secret: str) -> None:
    webhook.previous_secret = webhook.secret
    webhook.previous_until = clock.now() + timedelta(hours=settings.WEBHOOK_GRACE_HOURS)
    webhook.secret = encryption.seal(secret)


def check_secret(secret: str) -> str:
    """The secret. Raises ValidationFailed, naming it, where no library could use it."""
    try:
        signing.key_of(secret)
    except ValueError:
        raise ValidationFailed.at(
            "secret", _("A secret that begins with whsec_ goes on with 16 to 64 bytes in base64.")
        ) from None
    return secret


def check_url(url: str) -> CheckedUrl:
    """The URL, which may be delivered to; asks a name server, so not in a transaction.

    Raises ValidationFailed, naming url.
    """
    try:
        target = url_policy.check_url(url)
        if target.literal is None and not all(may_connect(address) for address in _look_up(target)):
            raise Refused(_("This name does not lead to the public internet."))
    except Refused as refused:
        raise ValidationFailed.at("url", refused.reason) from None
    return CheckedUrl(url)


def _look_up(target: Target) -> list[Address]:
    """What the name means now; nothing where it cannot be said within a second. Each delivery asks again."""
    found: queue.SimpleQueue[list[Address]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(addresses_of(target.host, target.port))
        except (OSError, UnicodeError):
            found.put([])

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        return found.get(timeout=LOOKUP_SECONDS)
    except queue.Empty:
        return []


def _told(webhook: Webhook) -> dict[str, Any]:
    return {"status": webhook.status, "events": list(webhook.events)}


def _audit(caller: Caller, action: str, webhook: Webhook, before: Mapping[str, Any] | None = None) -> None:
    audit.record(
        actor=caller.actor,
        action=action,
        target_type="webhook",
        target_id=str(webhook.pk),
        restaurant_id=webhook.restaurant_id or "",
        before=before,
        after=_told(webhook),
    )
