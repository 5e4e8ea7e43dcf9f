"""The events that webhooks subscribe to, and the domain events they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from wokibrain.core.errors import Text

DELIVERIES: Final = "wokibrain.webhooks.deliveries"
"""The Kafka topic on which deliveries are announced."""


class WebhookEvent(models.TextChoices):
    """An event that a webhook may subscribe to, by its name in the API."""

    BOOKING_CREATED = "booking.created", _("Booking created")
    BOOKING_UPDATED = "booking.updated", _("Booking changed")
    BOOKING_CANCELLED = "booking.cancelled", _("Booking cancelled")
    TABLE_UNAVAILABLE = "table.unavailable", _("Table out of service")
    BOOKING_SEATED = "booking.seated", _("Party seated")
    BOOKING_COMPLETED = "booking.completed", _("Booking completed")
    BOOKING_NO_SHOW = "booking.no_show", _("Party did not come")


WEBHOOK_EVENTS: Final[Mapping[str, WebhookEvent]] = {
    "BookingCreated": WebhookEvent.BOOKING_CREATED,
    "BookingUpdated": WebhookEvent.BOOKING_UPDATED,
    "BookingCancelled": WebhookEvent.BOOKING_CANCELLED,
    "BookingSeated": WebhookEvent.BOOKING_SEATED,
    "BookingCompleted": WebhookEvent.BOOKING_COMPLETED,
    "BookingNoShow": WebhookEvent.BOOKING_NO_SHOW,
    "TableBlocked": WebhookEvent.TABLE_UNAVAILABLE,
}
"""Type of a domain event -> the event that webhooks receive for it. Other types are not delivered."""

ACTIONS: Final[Mapping[str, Text]] = {
    "WebhookCreated": _("webhook created"),
    "WebhookUpdated": _("webhook changed"),
    "WebhookDeleted": _("webhook deleted"),
    "WebhookSecretRotated": _("webhook's secret changed"),
    "WebhookRedelivered": _("webhook delivery repeated"),
    "WebhookRecovered": _("webhook's missed deliveries repeated"),
    "WebhookDeactivated": _("webhook deactivated"),
}
"""Action, as the audit trail stores it -> its words for people."""
