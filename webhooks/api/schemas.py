"""Requests and responses of the endpoints of webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from webhooks import selectors, signing, url_policy
from webhooks.event_types import WebhookEvent
from webhooks.models import Attempt, Delivery, Webhook
from wokibrain.core.errors import ValidationFailed
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, Line, QueryInt, QueryModel, Stamp
from wokibrain.rest.paging import Pagination

NAMES = [webhook_event.value for webhook_event in WebhookEvent]


def _check_events(events: list[str]) -> list[str]:
    if not set(events) <= set(NAMES):
        raise PydanticCustomError("literal_error", "unknown", {"expected": ", ".join(NAMES)})
    if len(set(events)) != len(events):
        raise fields.invalid("repeated")
    return events


Events = Annotated[
    list[str],
    Field(min_length=1, max_length=len(NAMES), examples=[["booking.created", "booking.cancelled"]]),
    AfterValidator(_check_events),
    WithJsonSchema(
        {"type": "array", "items": {"type": "string", "enum": NAMES}, "minItems": 1, "uniqueItems": True}
    ),
]
Url = Annotated[
    Line,
    Field(
        min_length=1, max_length=url_policy.MAX_URL_LENGTH, examples=["https://example.com/hooks/wokibrain"]
    ),
]
Secret = Annotated[
    Line,
    StringConstraints(min_length=signing.MIN_SECRET_LENGTH, max_length=signing.MAX_SECRET_LENGTH),
    Field(description="Printable text; `whsec_` must be followed by 16 to 64 bytes in base64."),
]
Status = Literal["ACTIVE", "PAUSED", "INACTIVE"]
ACTIVE_HELP = "Mirrors `status`: true is ACTIVE. Alone, false means INACTIVE."


class _WithStatus(BodyModel):
    status: Status | None = None
    active: bool | None = Field(None, description=ACTIVE_HELP)

    def chosen_status(self) -> Webhook.Status | None:
        """Return the status that `status` and `active` name. Raises ValidationFailed if they disagree."""
        if self.status is None:
            if self.active is None:
                return None
            return Webhook.Status.ACTIVE if self.active else Webhook.Status.INACTIVE
        if self.active is not None and self.active is not (self.status == Webhook.Status.ACTIVE):
            raise ValidationFailed.at("active", _("This contradicts `status`."))
        return Webhook.Status(self.status)


class NewWebhookBody(_WithStatus):
    """Without `secret` one is generated. Without `restaurantId` it belongs to the only restaurant you manage,
    or to all where you manage all."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://example.com/hooks/wokibrain", "events": ["booking.created"]}]
        }
    )

    restaurant_id: Identifier | None = Field(None, examples=["R1"])
    url: Url
    events: Events
    secret: Secret | None = None


class ReplaceWebhookBody(_WithStatus):
    """Without `status` it becomes ACTIVE; without `secret` it keeps the one it has."""

    url: Url
    events: Events
    secret: Secret | None = None


class ChangeWebhookBody(_WithStatus):
    """Omitted fields stay as they are. A new `secret` is a rotation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "PAUSED"}]})

    url: Url | None = None
    events: Events | None = None
    secret: Secret | None = None


class RotateBody(BodyModel):
    """Without `secret` one is generated."""

    secret: Secret | None = None


class TestBody(BodyModel):
    """Without `event` the first of the webhook's events is sent."""

    event: Annotated[str, AfterValidator(lambda name: _check_events([name])[0])] | None = Field(
        None, json_schema_extra={"enum": [*NAMES, None]}
    )


class ListQuery(QueryModel):
    restaurant_id: Identifier | None = Field(None, examples=["R1"])
    status: Webhook.Status | None = None
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50


class DeliveriesQuery(QueryModel):
    status: Delivery.Status | None = None
    event: WebhookEvent | None = None
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50


class RecoverQuery(QueryModel):
    since: fields.Instant = Field(examples=["2025-10-22T20:00:00-03:00"])


class WebhookOut(ApiModel):
    """A webhook. Its secret is shown when it is created or rotated, and never again."""

    id: UUID
    restaurant_id: str | None = Field(description="Null: all restaurants.", examples=["R1"])
    url: str = Field(examples=["https://example.com/hooks/wokibrain"])
    events: list[WebhookEvent]
    status: Webhook.Status
    active: bool
    status_reason: Literal["asked", "gone", "failing"] | None = Field(
        description="Why it is not active: by request, the endpoint answered 410, or it failed for days."
    )
    dropping_before: Stamp | None = Field(
        description="Set while deliveries queued before then are being dropped after a change of `status`; "
        "nothing is sent meanwhile."
    )
    previous_secret_valid_until: Stamp | None
    created_at: Stamp
    updated_at: Stamp


class WebhookWithSecretOut(WebhookOut):
    secret: str = Field(examples=["whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="])


class WebhooksOut(ApiModel):
    webhooks: list[WebhookOut]
    pagination: Pagination


class AttemptOut(ApiModel):
    number: int = Field(examples=[1])
    started_at: Stamp
    latency_ms: int = Field(examples=[84])
    status: int | None = Field(
        description="The HTTP status of the response; null if there was none.", examples=[200]
    )
    error: str | None = Field(
        description="Why there was none: timeout, dns, address_refused, connect, tls, protocol, too_large, "
        "secret_unreadable."
    )
    response_head: str = Field(description="The first 2 kB of the response's body.")


class DeliveryOut(ApiModel):
    id: UUID = Field(description="X-WokiBrain-Delivery-ID; the same over all attempts.")
    webhook_id: UUID
    event: WebhookEvent
    event_id: UUID = Field(description="The payload's id, and webhook-id.")
    booking_reference: str | None = Field(examples=["B1"])
    sequence: int = Field(description="X-WokiBrain-Sequence.", examples=[1])
    test: bool
    status: Delivery.Status
    next_attempt_at: Stamp | None
    created_at: Stamp
    finished_at: Stamp | None
    attempts: list[AttemptOut]


class DeliveriesOut(ApiModel):
    deliveries: list[DeliveryOut]
    pagination: Pagination


class MessageOut(ApiModel):
    message: str


class RecoveryOut(ApiModel):
    message: str
    queued: int = Field(examples=[12])
    complete: bool = Field(description="False if there was more; repeat with a later `since`.")


def _local(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    return instant.astimezone(zone) if instant is not None else None


def webhook_out(webhook: Webhook) -> WebhookOut:
    return WebhookOut(**_webhook(webhook))


def webhook_with_secret_out(webhook: Webhook, secret: str) -> WebhookWithSecretOut:
    return WebhookWithSecretOut(**_webhook(webhook), secret=secret)


def _webhook(webhook: Webhook) -> dict[str, Any]:
    zone = selectors.zone_of(webhook)
    return {
        "id": webhook.pk,
        "restaurant_id": webhook.restaurant_id,
        "url": webhook.url,
        "events": webhook.events,
        "status": webhook.status,
        "active": webhook.active,
        "status_reason": webhook.reason or None,
        "dropping_before": _local(webhook.dropping_before, zone),
        "previous_secret_valid_until": _local(webhook.previous_until, zone),
        "created_at": _local(webhook.created_at, zone),
        "updated_at": _local(webhook.updated_at, zone),
    }


def delivery_out(delivery: Delivery, zone: ZoneInfo) -> DeliveryOut:
    message = delivery.message
    return DeliveryOut(
        id=delivery.pk,
        webhook_id=delivery.webhook_id,
        event=WebhookEvent(message.event),
        event_id=message.pk,
        booking_reference=message.reference or None,
        sequence=delivery.sequence,
        test=message.test,
        status=Delivery.Status(delivery.status),
        next_attempt_at=_local(delivery.due_at, zone),
        created_at=delivery.created_at.astimezone(zone),
        finished_at=_local(delivery.finished_at, zone),
        attempts=[_attempt(attempt, zone) for attempt in delivery.attempts_made.all()],
    )


def _attempt(attempt: Attempt, zone: ZoneInfo) -> AttemptOut:
    return AttemptOut(
        number=attempt.number,
        started_at=attempt.started_at.astimezone(zone),
        latency_ms=attempt.milliseconds,
        status=attempt.status_code,
        error=attempt.error or None,
        response_head=attempt.response_head,
    )
