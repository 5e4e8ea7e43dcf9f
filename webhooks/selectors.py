"""The readers of webhooks and deliveries. Each takes the caller: what is not theirs is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncHour

from webhooks import payload
from webhooks.models import TEST_STREAM, AttemptCount, Delivery, Webhook
from webhooks.retries import Verdict
from wokibrain.core import clock
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import Forbidden, NotFound, Unauthorized
from wokibrain.core.ids import as_uuid
from wokibrain.core.permissions import Permission

HOURS = 24


@dataclass(frozen=True, slots=True)
class Hour:
    """What became of the deliveries queued within an hour."""

    start: datetime
    delivered: int
    failed: int


def places(caller: Caller) -> frozenset[str] | None:
    """The restaurants whose webhooks the caller manages; None means all. Raises Unauthorized, Forbidden."""
    found = caller.restaurants(Permission.WEBHOOK_MANAGE)
    if found is None or found:
        return found
    raise Unauthorized if caller.kind is CallerKind.ANONYMOUS else Forbidden


def webhooks(caller: Caller) -> QuerySet[Webhook]:
    """The caller's webhooks. One of all restaurants belongs to those who manage all."""
    found = places(caller)
    there = Webhook.objects.exclude(reason=Webhook.Reason.DELETED)
    return there if found is None else there.filter(restaurant_id__in=found)


def webhooks_of(restaurant_id: str | None) -> QuerySet[Webhook]:
    """Those of one restaurant; None: those of all restaurants."""
    return Webhook.objects.filter(restaurant_id=restaurant_id).exclude(reason=Webhook.Reason.DELETED)


def get_webhook(caller: Caller, webhook_id: str) -> Webhook:
    """One of the caller's webhooks. Raises NotFound."""
    return _one(webhooks(caller).select_related("restaurant"), webhook_id)


def locked(caller: Caller, webhook_id: str) -> Webhook:
    """The same, locked until the transaction ends."""
    return _one(webhooks(caller).select_for_update(no_key=True), webhook_id)


def _one(among: QuerySet[Webhook], webhook_id: str) -> Webhook:
    webhook = among.filter(pk=as_uuid(webhook_id)).first()
    if webhook is None:
        raise NotFound
    return webhook


def list_webhooks(
    *, caller: Caller, restaurant_id: str | None, status: str | None, page: int, limit: int
) -> tuple[Sequence[Webhook], int]:
    """A page of the caller's webhooks, oldest first, and how many there are in all.

    Raises NotFound for a restaurant that is not the caller's.
    """
    found = webhooks(caller).select_related("restaurant")
    if restaurant_id is not None:
        caller.require(Permission.WEBHOOK_MANAGE, restaurant_id)
        found = found.filter(restaurant_id=restaurant_id)
    if status is not None:
        found = found.filter(status=status)
    return list(found[(page - 1) * limit : page * limit]), found.count()


def list_deliveries(
    *, caller: Caller, webhook_id: str, status: str | None, event: str | None, page: int, limit: int
) -> tuple[Webhook, Sequence[Delivery], int]:
    """A page of a webhook's deliveries with their attempts, latest first, and how many there are in all."""
    webhook = get_webhook(caller, webhook_id)
    found = webhook.deliveries.select_related("message").prefetch_related("attempts_made")
    if status is not None:
        found = found.filter(status=status)
    if event is not None:
        found = found.filter(message__event=event)
    return webhook, list(found[(page - 1) * limit : page * limit]), found.count()


def last_day(webhook_ids: Sequence[UUID]) -> dict[UUID, list[Hour]]:
    """For each webhook the last 24 hours, oldest first, tests aside."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    failed = Q(status__in=[Delivery.Status.FAILED, Delivery.Status.DROPPED]) | Q(
        status=Delivery.Status.PENDING, attempts__gt=0
    )
    rows = (
        Delivery.objects.filter(webhook_id__in=webhook_ids, created_at__gte=hours[0])
        .exclude(stream=TEST_STREAM)
        .annotate(hour=TruncHour("created_at"))
        .values_list("webhook_id", "hour")
        .annotate(
            delivered=Count("id", filter=Q(status=Delivery.Status.SUCCEEDED)),
            failed=Count("id", filter=failed),
        )
        .order_by()
    )
    counted = {(webhook_id, hour): (delivered, bad) for webhook_id, hour, delivered, bad in rows}
    return {
        webhook_id: [Hour(hour, *counted.get((webhook_id, hour), (0, 0))) for hour in hours]
        for webhook_id in webhook_ids
    }


def zone_of(webhook: Webhook) -> ZoneInfo:
    """The zone of the webhook's restaurant; UTC for one of all restaurants."""
    return clock.zone(webhook.restaurant.zone) if webhook.restaurant else payload.UTC


def attempts_made() -> dict[str, int]:
    """How many attempts ever came to what, over all processes that send."""
    made = dict(AttemptCount.objects.values_list("outcome", "attempts"))
    return {verdict.name.lower(): made.get(verdict.name.lower(), 0) for verdict in Verdict}
