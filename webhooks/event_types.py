"""The events that webhooks subscribe to, and the domain events they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from wokibrain.core.errors import Text

DELIVERIES: Final = "wokibrain.webhooks.deliveries"
"""The Kafka topic on which deliveries are announced."""


class Happening(models.TextChoices):
    """The events of webhooks, by the names in the API."""

    BOOKING_CREATED = "booking.created", _("Booking created")
    BOOKING_UPDATED = "booking.updated", _("Booking changed")
    BOOKING_CANCELLED = "booking.cancelled", _("Booking cancelled")
    TABLE_UNAVAILABLE = "table.unavailable", _("Table out of service")
    BOOKING_SEATED = "booking.seated", _("Party seated")
    BOOKING_COMPLETED = "booking.completed", _("Booking completed")
    BOOKING_NO_SHOW = "booking.no_show", _("Party did not come")


HAPPENINGS: Final[Mapping[str, Happening]] = {
    "BookingCreated": Happening.BOOKING_CREATED,
    "BookingUpdated": Happening.BOOKING_UPDATED,
    "BookingCancelled": Happening.BOOKING_CANCELLED,
    "BookingSeated": Happening.BOOKING_SEATED,
    "BookingCompleted": Happening.BOOKING_COMPLETED,
    "BookingNoShow": Happening.BOOKING_NO_SHOW,
    "TableBlocked": Happening.TABLE_UNAVAILABLE,
}
"""Type of a domain event -> the webhooks' event. Other types are not delivered."""

ACTIONS: Final[Mapping[str, Text]] = {
    "WebhookCreated": _("webhook made"),
    "WebhookUpdated": _("webhook changed"),
    "WebhookDeleted": _("webhook deleted"),
    "WebhookSecretRotated": _("webhook's secret changed"),
    "WebhookRedelivered": _("webhook delivery repeated"),
    "WebhookRecovered": _("webhook's missed deliveries repeated"),
    "WebhookDeactivated": _("webhook given up"),
}
"""Action, as the audit trail stores it -> its words for people."""
