"""When a restaurant serves, and how long a party stays."""

from __future__ import annotations

from typing import Final

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from restaurants.models.restaurant import Restaurant
from restaurants.models.values import (
    MAX_PARTY,
    lies_within,
    multiple_of_15,
    on_the_grid,
    valid_party,
    valid_quarters,
)


class _Window(models.Model):
    """Wall-clock times of one service; ``closes`` at or before ``opens`` means the next day."""

    opens = models.TimeField(_("opens"))
    closes = models.TimeField(_("closes"), help_text=_("At or before the opening: the next day."))
    last_seating = models.TimeField(
        _("last seating"), null=True, blank=True, help_text=_("The latest start; empty for none.")
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def clean(self) -> None:
        # A form leaves a field None that failed its own validation.
        times = [getattr(self, name) for name in ("opens", "closes", "last_seating")]
        if None not in times and not lies_within(*times):
            raise ValidationError({"last_seating": _("The last seating must be within the window.")})


class Weekday(models.IntegerChoices):
    """Numbered as ``date.weekday()`` does."""

    MONDAY = 0, _("Monday")
    TUESDAY = 1, _("Tuesday")
    WEDNESDAY = 2, _("Wednesday")
    THURSDAY = 3, _("Thursday")
    FRIDAY = 4, _("Friday")
    SATURDAY = 5, _("Saturday")
    SUNDAY = 6, _("Sunday")


class ServiceWindow(_Window):
    """A service on a weekday, every week."""

    tenant_path = "restaurant_id"

    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="windows", verbose_name=_("restaurant")
    )
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=Weekday.choices)

    class Meta:
        verbose_name = _("service window")
        verbose_name_plural = _("service windows")
        ordering = ["weekday", "opens"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "weekday", "opens"],
                name="service_window_once",
                violation_error_message=_("A window opens at this time already."),
            ),
            models.CheckConstraint(name="service_window_weekday", condition=Q(weekday__lte=6)),
            models.CheckConstraint(
                name="service_window_grid",
                condition=on_the_grid("opens", "closes", "last_seating"),
                violation_error_message=_("Times lie on quarter hours."),
            ),
        ]


class SpecialDay(models.Model):
    """A date that does not follow the week: its own windows, or closed when it has none."""

    tenant_path = "restaurant_id"

    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="special_days", verbose_name=_("restaurant")
    )
    date = models.DateField(_("date"))
    name = models.CharField(_("name"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("special day")
        verbose_name_plural = _("special days")
        ordering = ["date"]
        constraints = [
            models.UniqueConstraint(
                fields=["restaurant", "date"],
                name="special_day_once",
                violation_error_message=_("This date is a special day already."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.name}".strip()


class SpecialWindow(_Window):
    """A service on a special day, in place of the weekly ones."""

    tenant_path = "day__restaurant_id"

    day = models.ForeignKey(SpecialDay, models.CASCADE, related_name="windows", verbose_name=_("special day"))

    class Meta:
        verbose_name = _("special window")
        verbose_name_plural = _("special windows")
        ordering = ["opens"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "opens"],
                name="special_window_once",
                violation_error_message=_("A window opens at this time already."),
            ),
            models.CheckConstraint(
                name="special_window_grid",
                condition=on_the_grid("opens", "closes", "last_seating"),
                violation_error_message=_("Times lie on quarter hours."),
            ),
        ]


FALLBACK_TURN_MINUTES: Final = 90
"""The turn time of every party at a restaurant that sets none, within its shortest and longest booking.

REST, admin, floor board and walk-ins all take it for a request that names no duration.
"""


class TurnTime(models.Model):
    """How long a party of up to ``party_up_to`` keeps its table when the request does not say."""

    tenant_path = "restaurant_id"

    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="turn_times", verbose_name=_("restaurant")
    )
    party_up_to = models.PositiveSmallIntegerField(_("party up to"), validators=valid_party)
    minutes = models.PositiveSmallIntegerField(_("minutes"), validators=[valid_quarters])

    class Meta:
        verbose_name = _("turn time")
        verbose_name_plural = _("turn times")
        ordering = ["party_up_to"]
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "party_up_to"], name="turn_time_once"),
            models.CheckConstraint(
                name="turn_time_bounds",
                condition=Q(
                    party_up_to__gte=1, party_up_to__lte=MAX_PARTY, minutes__gte=15, minutes__lte=1440
                ),
            ),
            models.CheckConstraint(
                name="turn_time_grid",
                condition=Q(multiple_of_15("minutes")),
                violation_error_message=_("Durations are multiples of 15 minutes."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.party_up_to}: {self.minutes} min"
