"""The restaurant itself."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from restaurants.models.values import (
    MAX_OCCUPIED_MARGIN,
    MAX_PARTY,
    multiple_of_15,
    restaurant_id,
    valid_id,
    valid_party,
    valid_quarters,
    valid_zone,
)


class Restaurant(models.Model):
    """A restaurant, its time zone and the bounds of its bookings."""

    tenant_path = "pk"

    id = models.CharField(
        _("id"), primary_key=True, max_length=50, default=restaurant_id, validators=[valid_id]
    )
    name = models.CharField(_("name"), max_length=100)
    zone = models.CharField(
        _("time zone"),
        max_length=64,
        validators=[valid_zone],
        help_text=_("An IANA name, e.g. Europe/Madrid."),
    )
    min_party = models.PositiveSmallIntegerField(_("smallest party"), default=1, validators=valid_party)
    max_party = models.PositiveSmallIntegerField(
        _("largest party"), default=MAX_PARTY, validators=valid_party
    )
    min_duration = models.PositiveSmallIntegerField(
        _("shortest booking"),
        default=30,
        validators=[valid_quarters],
        help_text=_("Minutes, a multiple of 15."),
    )
    max_duration = models.PositiveSmallIntegerField(
        _("longest booking"),
        default=180,
        validators=[valid_quarters],
        help_text=_("Minutes, a multiple of 15."),
    )
    refuse_past = models.BooleanField(
        _("refuse the past"), default=True, help_text=_("Refuse bookings that start before now.")
    )
    lead_minutes = models.PositiveIntegerField(
        _("lead time"), null=True, blank=True, help_text=_("Book at least this many minutes ahead.")
    )
    horizon_days = models.PositiveIntegerField(
        _("horizon"), null=True, blank=True, help_text=_("Book at most this many days ahead.")
    )
    occupied_margin = models.PositiveSmallIntegerField(
        _("margin at occupied tables"),
        default=15,
        db_default=15,
        validators=[MaxValueValidator(MAX_OCCUPIED_MARGIN)],
        help_text=_("Minutes from now for which a table is not offered while a party sits there."),
    )
    plan_version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("restaurant")
        verbose_name_plural = _("restaurants")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                name="restaurant_party_bounds",
                condition=Q(min_party__gte=1, min_party__lte=F("max_party"), max_party__lte=MAX_PARTY),
                violation_error_message=_("The smallest party must not exceed the largest, 1 to 50."),
            ),
            models.CheckConstraint(
                name="restaurant_occupied_margin",
                condition=Q(occupied_margin__lte=MAX_OCCUPIED_MARGIN),
                violation_error_message=_("The margin at occupied tables is 0 to 120 minutes."),
            ),
            models.CheckConstraint(
                name="restaurant_duration_bounds",
                condition=Q(
                    min_duration__gte=15, min_duration__lte=F("max_duration"), max_duration__lte=1440
                ),
                violation_error_message=_("The shortest booking must not exceed the longest, 15 to 1440."),
            ),
            models.CheckConstraint(
                name="restaurant_duration_grid",
                condition=Q(multiple_of_15("min_duration")) & Q(multiple_of_15("max_duration")),
                violation_error_message=_("Durations are multiples of 15 minutes."),
            ),
        ]

    def __str__(self) -> str:
        return self.name
