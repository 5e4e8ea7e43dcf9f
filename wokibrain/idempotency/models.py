"""Stored results of requests with an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """The result of a request with an Idempotency-Key, kept 24 hours for replays.

    Written in the transaction of the change: a request that dies before its commit leaves nothing, one that dies after
    it is replayed. A key whose latest request was refused has no valid result, only ``refused_at``, by the database's
    clock: requests received before that must not take effect any more.
    """

    id = models.BigAutoField(primary_key=True)
    caller = models.CharField(max_length=120)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True)
    # So that erasing a guest reaches the stored results about them; null where the result is of no booking.
    booking = models.ForeignKey("bookings.Booking", models.CASCADE, null=True, related_name="+")
    expires_at = models.DateTimeField(db_index=True)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        # The name from when only bookings took a key, so that processes of the previous version can go on writing
        # while they are replaced.
        db_table = "bookings_idempotencykey"
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"
