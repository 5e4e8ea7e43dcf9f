"""The event store, which is its own outbox, and the records of how consumers fared with each event."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wokibrain.core.ids import uuid7

MAX_PAYLOAD_BYTES = 262_144
"""Well under the size of a message that Kafka takes by default (1 MB), so every stored event can be sent."""


class StoredEvent(models.Model):
    """One state change of one aggregate, written in the transaction that made the change.

    ``version`` counts 1..n without a gap within an aggregate; the database refuses a second event of the same
    version. ``published_at`` is empty until the relay has handed the event on, and grows strictly from one hand-over
    to the next; triggers (migration 0003) refuse any other change of a row. ``payload`` and ``metadata`` hold no
    personal data: they name a guest by id only.
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
            models.CheckConstraint(
                name="event_payload_size",
                condition=LessThanOrEqual(
                    Func(F("payload"), function="pg_column_size", output_field=models.IntegerField()),
                    MAX_PAYLOAD_BYTES,
                ),
            ),
        ]
        indexes = [
            models.Index(
                fields=["position"], name="event_unpublished", condition=Q(published_at__isnull=True)
            ),
            models.Index(
                fields=["published_at"], name="event_published", condition=Q(published_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.aggregate_type}/{self.aggregate_id} v{self.version}"


class Snapshot(models.Model):
    """An aggregate's state right after ``version``, so that a fold need not start at the first event.

    ``shapes`` is the number of upcasters registered when it was taken; with another number it is not used.
    """

    pk = models.CompositePrimaryKey("aggregate_type", "aggregate_id", "version", "shapes")
    aggregate_type = models.CharField(max_length=30)
    aggregate_id = models.CharField(max_length=50)
    version = models.PositiveIntegerField()
    shapes = models.PositiveSmallIntegerField(default=0)
    occurred_at = models.DateTimeField()
    state = models.JSONField()

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")

    def __str__(self) -> str:
        return f"{self.aggregate_type}/{self.aggregate_id} v{self.version}"


class Receipt(models.Model):
    """A consumer has handled an event. Written in the transaction of the effect.

    Pruned below the consumer's ``Watermark``.
    """

    pk = models.CompositePrimaryKey("consumer", "event_id")
    consumer = models.CharField(max_length=40)
    event_id = models.UUIDField()

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")

    def __str__(self) -> str:
        return f"{self.consumer} {self.event_id}"


class Watermark(models.Model):
    """Every event published up to ``through`` is settled for the consumer: handled, or in ``Failure``."""

    consumer = models.CharField(primary_key=True, max_length=40)
    through = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("watermark")
        verbose_name_plural = _("watermarks")

    def __str__(self) -> str:
        return f"{self.consumer} {self.through}"


class Failure(models.Model):
    """An event a consumer could not handle: waiting for its next try, dead, or discarded by an operator.

    While the row exists the event counts as not handled, whatever the watermark says. A message from Kafka that is
    no event is recorded under the name of its consumer group, with its bytes in ``raw``.
    """

    consumer = models.CharField(_("consumer"), max_length=40)
    event_id = models.UUIDField(_("event"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=500)
    retry_at = models.DateTimeField(_("next try"), null=True, blank=True)
    dead_at = models.DateTimeField(_("dead since"), null=True, blank=True)
    discarded_at = models.DateTimeField(_("discarded"), null=True, blank=True)
    announced_at = models.DateTimeField(null=True, editable=False)
    origin = models.CharField(_("origin"), max_length=200, blank=True)
    raw = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(_("first failed"), auto_now_add=True)

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["consumer", "event_id"], name="failure_once"),
            models.CheckConstraint(
                name="failure_retries_or_is_dead",
                condition=Q(retry_at__isnull=False, dead_at__isnull=True, discarded_at__isnull=True)
                | Q(retry_at__isnull=True, dead_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["retry_at"], name="failure_due", condition=Q(retry_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.consumer} {self.event_id}"


class Rebuild(models.Model):
    """A rebuild of a read model: how many events it read and how many rows it changed."""

    read_model = models.CharField(_("read model"), max_length=40)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"))
    events = models.PositiveBigIntegerField(_("events"))
    repaired = models.PositiveBigIntegerField(_("repaired rows"))

    class Meta:
        verbose_name = _("rebuild")
        verbose_name_plural = _("rebuilds")
        ordering = ["-finished_at"]
        get_latest_by = "finished_at"

    def __str__(self) -> str:
        return f"{self.read_model} {self.finished_at:%Y-%m-%d %H:%M}"


class AuditEntry(models.Model):
    """Who did what to what, when, and by REST, board, admin or command. Never changed or deleted; no personal data.

    ``before`` and ``after`` hold the fields that changed; ``touched`` names those whose values are personal.
    """

    tenant_path = "restaurant_id"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event_id = models.UUIDField(null=True, unique=True, editable=False)
    occurred_at = models.DateTimeField(_("when"))
    actor = models.CharField(_("who"), max_length=120)
    action = models.CharField(_("what"), max_length=60)
    target_type = models.CharField(_("kind"), max_length=30, blank=True)
    target_id = models.CharField(_("of"), max_length=50, blank=True)
    restaurant_id = models.CharField(_("restaurant"), max_length=50, blank=True)
    source = models.CharField(_("through"), max_length=30, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    before = models.JSONField(_("before"), default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(_("after"), default=dict, encoder=DjangoJSONEncoder)
    touched = ArrayField(models.CharField(max_length=60), verbose_name=_("also changed"), default=list)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")
        ordering = ["-occurred_at", "-id"]
        indexes = [
            models.Index(fields=["restaurant_id", "-occurred_at"], name="audit_by_restaurant"),
            models.Index(fields=["target_type", "target_id"], name="audit_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_id}"
