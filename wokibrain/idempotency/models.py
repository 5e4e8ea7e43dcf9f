"""What is kept of requests that carried an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """The result of a request that carried an Idempotency-Key, kept 24 hours for its replays.

    Written in the transaction of the change itself: a request that died before its commit leaves
    nothing, one that died after it is replayed. A key whose latest request was refused has no result
    that is still good, only ``refused_at``, by the database's clock: what came in before that must
    not take effect any more.
    """

    id = models.BigAutoField(primary_key=True)
    caller = models.CharField(max_length=120)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True)
    # So that who erases a guest finds what was answered about them; null where it is about no booking.
    booking = models.ForeignKey("bookings.Booking", models.CASCADE, null=True, related_name="+")
    expires_at = models.DateTimeField(db_index=True)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        # Made when only bookings took a key; under its old name, so that processes of the version before
        # can go on writing to it while they are replaced.
        db_table = "bookings_idempotencykey"
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"
