"""By which time-zone rules the stored instants were derived."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class ZoneRelease(models.Model):
    """The release of the rules that the instants of bookings and blocks to come follow: one row, or none yet.

    ``release`` is "unknown" where the data is older than this table and does not follow the rules it was moved under.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    release = models.CharField(max_length=32)
    derived_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="zone_release_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.release
