"""The event store, which is its own outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wokibrain.ids import uuid7


class StoredEvent(models.Model):
    """One state change of one aggregate, written in the transaction that made the change.

    ``version`` counts 1..n without a gap within an aggregate; the database refuses a second event
    with the same one. ``published_at`` is empty until the relay has handed the event on.
    ``payload`` and ``metadata`` hold no personal data: a guest is named by id only.
    """

    position = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    aggregate_type = models.CharField(_("aggregate type"), max_length=30)
    aggregate_id = models.CharField(_("aggregate"), max_length=50)
    version = models.PositiveIntegerField(_("version"))
    event_type = models.CharField(_("event type"), max_length=60)
    occurred_at = models.DateTimeField(_("occurred"), default=timezone.now)
    payload = models.JSONField(_("payload"))
    metadata = models.JSONField(_("metadata"), default=dict)
    published_at = models.DateTimeField(_("published"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.UniqueConstraint(
                fields=["aggregate_type", "aggregate_id", "version"], name="event_version_once"
            ),
            models.CheckConstraint(name="event_version_from_one", condition=Q(version__gte=1)),
        ]
        indexes = [
            models.Index(
                fields=["position"], name="event_unpublished", condition=Q(published_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.aggregate_type}/{self.aggregate_id} v{self.version}"
