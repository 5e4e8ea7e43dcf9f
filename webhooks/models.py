"""Webhooks and what is sent to them: a message goes to each webhook as a delivery, with one or more attempts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import GreaterThan, LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from webhooks import url_policy
from webhooks.event_types import WebhookEvent
from wokibrain.core.ids import uuid7

TEST_STREAM = "test"
"""The stream of test deliveries: tried once and out of order, whatever the webhook's status and health."""


class Webhook(models.Model):
    """An endpoint and the events it subscribes to. ``restaurant`` empty means all restaurants.

    ``secret`` and ``previous_secret`` are encrypted (see ``encryption``); the previous one signs too until
    ``previous_until``. A webhook whose reason is DELETED is hidden, and exists as long as its deliveries do (see
    ``deletion``). ``failures``, ``open_until`` and ``failing_since`` are the endpoint's health (see ``health``).
    ``dropping_before`` is set while deliveries from before then remain to be dropped; nothing is sent meanwhile.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("Active")
        PAUSED = "PAUSED", _("Paused")
        INACTIVE = "INACTIVE", _("Inactive")

    class Reason(models.TextChoices):
        """Why the webhook is not active."""

        ASKED = "asked", _("asked for")
        GONE = "gone", _("the endpoint answered 410 Gone")
        FAILING = "failing", _("nothing but failures for days")
        DELETED = "deleted", _("deleted")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    restaurant = models.ForeignKey(
        "restaurants.Restaurant",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="webhooks",
        verbose_name=_("restaurant"),
        help_text=_("Empty: all restaurants."),
    )
    url = models.CharField(_("URL"), max_length=url_policy.MAX_URL_LENGTH)
    events = ArrayField(
        models.CharField(max_length=30, choices=WebhookEvent.choices), verbose_name=_("events")
    )
    status = models.CharField(_("status"), max_length=8, choices=Status.choices, default=Status.ACTIVE)
    reason = models.CharField(_("reason"), max_length=8, choices=Reason.choices, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, editable=False)
    secret = models.TextField(editable=False)
    previous_secret = models.TextField(blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    open_until = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    dropping_before = models.DateTimeField(_("dropping what was queued before"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("updated"))

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(
                name="webhook_events_known",
                condition=Q(events__len__gte=1, events__contained_by=WebhookEvent.values),
                violation_error_message=_("Choose at least one event."),
            ),
            models.CheckConstraint(
                name="webhook_status", condition=Q(status__in=["ACTIVE", "PAUSED", "INACTIVE"])
            ),
            models.CheckConstraint(
                name="webhook_paused_says_since",
                condition=Q(status="PAUSED", paused_at__isnull=False)
                | (~Q(status="PAUSED") & Q(paused_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="webhook_inactive_says_why",
                condition=Q(status="ACTIVE", reason="") | (~Q(status="ACTIVE") & ~Q(reason="")),
            ),
            models.CheckConstraint(
                name="webhook_previous_secret_ends",
                condition=Q(previous_secret="", previous_until__isnull=True)
                | (~Q(previous_secret="") & Q(previous_until__isnull=False)),
            ),
            models.CheckConstraint(
                name="webhook_open_only_when_failing",
                condition=Q(open_until__isnull=True) | Q(failures__gte=1),
            ),
            models.CheckConstraint(
                name="webhook_inactive_drops_all",
                condition=Q(dropping_before__isnull=True) | ~Q(status="INACTIVE"),
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def active(self) -> bool:
        return self.status == self.Status.ACTIVE


class Message(models.Model):
    """The bytes that are signed and sent, the same to all subscribed webhooks.

    ``id`` is the event's, or a new one for a test. ``reference`` is the booking's, for searches.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    event = models.CharField(_("event"), max_length=30, choices=WebhookEvent.choices)
    restaurant_id = models.CharField(_("restaurant"), max_length=50)
    reference = models.CharField(_("booking"), max_length=12, blank=True, db_index=True)
    body = models.BinaryField(editable=False)
    test = models.BooleanField(_("test"), default=False)
    created_at = models.DateTimeField(_("created"), db_index=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.CheckConstraint(name="message_event_known", condition=Q(event__in=WebhookEvent.values)),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"


class Delivery(models.Model):
    """A message to a webhook. Due times are stored here only.

    ``attempts`` counts all attempts that began, ``tries`` those of the current round; a redelivery begins a new
    round. ``leased_until`` is set while an attempt is under way; once it has passed, the worker counts as dead and
    the delivery is due again. ``stream`` and ``sequence`` are the aggregate and its version: first attempts are
    made in this order.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        SUCCEEDED = "SUCCEEDED", _("Delivered")
        FAILED = "FAILED", _("Failed")
        DROPPED = "DROPPED", _("Dropped")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, related_name="deliveries", verbose_name=_("webhook"), db_index=False
    )
    message = models.ForeignKey(
        Message, models.CASCADE, related_name="deliveries", verbose_name=_("message"), db_index=False
    )
    stream = models.CharField(max_length=82)
    sequence = models.PositiveIntegerField(_("sequence"))
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(_("next attempt"), null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["message", "webhook"], name="delivery_once"),
            models.CheckConstraint(
                name="delivery_pending_is_due",
                condition=Q(status="PENDING", due_at__isnull=False, finished_at__isnull=True)
                | Q(
                    status__in=["SUCCEEDED", "FAILED", "DROPPED"],
                    due_at__isnull=True,
                    leased_until__isnull=True,
                    finished_at__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="delivery_tries_are_attempts", condition=LessThanOrEqual(F("tries"), F("attempts"))
            ),
        ]
        indexes = [
            models.Index(fields=["webhook", "due_at"], name="delivery_due", condition=Q(status="PENDING")),
            models.Index(
                fields=["webhook", "stream", "sequence"],
                name="delivery_in_order",
                condition=Q(status="PENDING"),
            ),
            models.Index(
                fields=["webhook"], name="delivery_under_way", condition=Q(leased_until__isnull=False)
            ),
            models.Index(fields=["webhook", "-created_at", "-id"], name="delivery_latest"),
            models.Index(
                fields=["due_at"], name="delivery_tests", condition=Q(status="PENDING", stream=TEST_STREAM)
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Attempt(models.Model):
    """One attempt at a delivery: the status of the response, or why there was none."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery,
        models.CASCADE,
        related_name="attempts_made",
        verbose_name=_("delivery"),
        db_index=False,
    )
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started"))
    milliseconds = models.PositiveIntegerField(_("latency"))
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    error = models.CharField(_("error"), max_length=20, blank=True)
    response_head = models.CharField(_("response"), max_length=2048, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_once"),
            models.CheckConstraint(
                name="attempt_status_or_error",
                condition=Q(status_code__isnull=False, error="")
                | (Q(status_code__isnull=True) & ~Q(error="")),
            ),
            models.CheckConstraint(name="attempt_number_from_one", condition=GreaterThan(F("number"), 0)),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"


class AttemptCount(models.Model):
    """The number of attempts with this verdict ever, for the metrics: rows of attempts are deleted in time."""

    outcome = models.CharField(max_length=10, primary_key=True)
    attempts = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"{self.outcome}: {self.attempts}"
