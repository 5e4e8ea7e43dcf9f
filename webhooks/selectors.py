"""Read webhooks and deliveries. Most take the caller: webhooks of others are not found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    """The deliveries queued within one hour, counted by result."""

    start: datetime
    delivered: int
    failed: int


def managed_restaurants(caller: Caller) -> frozenset[str] | None:
    """Return the restaurants whose webhooks the caller manages; None means all. Raises Unauthorized, Forbidden."""
    restaurants = caller.restaurants(Permission.WEBHOOK_MANAGE)
    if restaurants is None or restaurants:
        return restaurants
    raise Unauthorized if caller.kind is CallerKind.ANONYMOUS else Forbidden


def webhooks(caller: Caller) -> QuerySet[Webhook]:
    """Return the caller's webhooks. Webhooks of all restaurants belong to callers who manage all of them."""
    restaurants = managed_restaurants(caller)
    rows = Webhook.objects.exclude(reason=Webhook.Reason.DELETED)
    return rows if restaurants is None else rows.filter(restaurant_id__in=restaurants)


def webhooks_of(restaurant_id: str | None) -> QuerySet[Webhook]:
    """Return the webhooks of one restaurant; None: the webhooks that belong to all restaurants."""
    return Webhook.objects.filter(restaurant_id=restaurant_id).exclude(reason=Webhook.Reason.DELETED)


def get_webhook(caller: Caller, webhook_id: str) -> Webhook:
    """Return one of the caller's webhooks. Raises NotFound."""
    return _one(webhooks(caller).select_related("restaurant"), webhook_id)


def lock_webhook(caller: Caller, webhook_id: str) -> Webhook:
    """Return one of the caller's webhooks, locked until the transaction ends. Raises NotFound."""
    return _one(webhooks(caller).select_for_update(no_key=True), webhook_id)


def _one(among: QuerySet[Webhook], webhook_id: str) -> Webhook:
    webhook = among.filter(pk=as_uuid(webhook_id)).first()
    if webhook is None:
        raise NotFound
    return webhook


def list_webhooks(
    *, caller: Caller, restaurant_id: str | None, status: str | None, page: int, limit: int
) -> tuple[Sequence[Webhook], int]:
    """Return a page of the caller's webhooks, oldest first, and their total number.

    Raises NotFound for a restaurant that is not the caller's.
    """
    rows = webhooks(caller).select_related("restaurant")
    if restaurant_id is not None:
        caller.require(Permission.WEBHOOK_MANAGE, restaurant_id)
        rows = rows.filter(restaurant_id=restaurant_id)
    if status is not None:
        rows = rows.filter(status=status)
    return list(rows[(page - 1) * limit : page * limit]), rows.count()


def list_deliveries(
    *, caller: Caller, webhook_id: str, status: str | None, event: str | None, page: int, limit: int
) -> tuple[Webhook, Sequence[Delivery], int]:
    """Return the webhook, a page of its deliveries with their attempts, latest first, and their total number."""
    webhook = get_webhook(caller, webhook_id)
    rows = webhook.deliveries.select_related("message").prefetch_related("attempts_made")
    if status is not None:
        rows = rows.filter(status=status)
    if event is not None:
        rows = rows.filter(message__event=event)
    return webhook, list(rows[(page - 1) * limit : page * limit]), rows.count()


def last_day(webhook_ids: Sequence[UUID]) -> dict[UUID, list[Hour]]:
    """Return the last 24 hours of each webhook, oldest first, without tests."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    failed = Q(status__in=[Delivery.Status.FAILED, Delivery.Status.DROPPED]) | Q(
        status=Delivery.Status.PENDING, attempts__gt=0
    )
    rows = (
        Delivery.objects.filter(webhook_id__in=webhook_ids, created_at__gte=hours[0])
        .exclude(stream=TEST_STREAM)
        .annotate(hour=TruncHour("created_at", tzinfo=UTC))
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
    """Return the zone of the webhook's restaurant; UTC for a webhook of all restaurants."""
    return clock.zone_or_utc(webhook.restaurant.zone) if webhook.restaurant else payload.UTC


def attempts_made() -> dict[str, int]:
    """Return how many attempts ever came to each verdict, over all senders."""
    counts = dict(AttemptCount.objects.values_list("outcome", "attempts"))
    return {verdict.name.lower(): counts.get(verdict.name.lower(), 0) for verdict in Verdict}
