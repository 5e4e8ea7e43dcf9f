"""A restaurant as a place with opening times, rooms and tables.

Every write to what decides availability bumps ``Restaurant.plan_version`` by a database trigger
(migration 0002), whoever writes: processes that keep the plan in memory compare it on each read.

A table joins at most MAX_JOINS others: as many as surround it on a floor plan's grid. The engine looks
through every connected set of 2-4 tables; 500 tables with eight joins each make 142,000 at most, which
takes 45 ms at worst, with twelve they make 509,000 and 170 ms.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Mod
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from wokibrain import ids
from wokibrain.clock import is_known_zone
from wokibrain.ids import uuid7

MAX_PARTY = 50
MAX_COMBO_TABLES = 4
MAX_JOINS = 8

valid_id = RegexValidator(rf"^{ids.NAME.pattern}\Z", _("Use 1-50 letters, digits, '.', '_', '~' or '-'."))
_party = [MinValueValidator(1), MaxValueValidator(MAX_PARTY)]


def valid_zone(name: str) -> None:
    if not is_known_zone(name):
        raise ValidationError(_("Unknown time zone."), code="zone")


def valid_quarters(minutes: int) -> None:
    if minutes % 15:
        raise ValidationError(_("Use a multiple of 15 minutes."), code="grid")


def restaurant_id() -> str:
    return ids.name("R")


def sector_id() -> str:
    return ids.name("S")


def table_id() -> str:
    return ids.name("T")


def _multiple_of_15(field: str) -> Exact:
    return Exact(Mod(F(field), Value(15)), Value(0))


def _on_the_grid(*fields: str) -> Q:
    """Each wall time lies on a quarter hour; an empty one passes."""
    rule = Q()
    for field in fields:
        rule &= Q(**{f"{field}__isnull": True}) | Q(
            **{f"{field}__minute__in": (0, 15, 30, 45), f"{field}__second": 0}
        )
    return rule


class Restaurant(models.Model):
    """A restaurant, its zone and the bounds of what may be booked there."""

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
    min_party = models.PositiveSmallIntegerField(_("smallest party"), default=1, validators=_party)
    max_party = models.PositiveSmallIntegerField(_("largest party"), default=MAX_PARTY, validators=_party)
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
                name="restaurant_duration_bounds",
                condition=Q(
                    min_duration__gte=15, min_duration__lte=F("max_duration"), max_duration__lte=1440
                ),
                violation_error_message=_("The shortest booking must not exceed the longest, 15 to 1440."),
            ),
            models.CheckConstraint(
                name="restaurant_duration_grid",
                condition=Q(_multiple_of_15("min_duration")) & Q(_multiple_of_15("max_duration")),
                violation_error_message=_("Durations are multiples of 15 minutes."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


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


class Weekday(models.IntegerChoices):
    """As ``date.weekday()`` counts."""

    MONDAY = 0, _("Monday")
    TUESDAY = 1, _("Tuesday")
    WEDNESDAY = 2, _("Wednesday")
    THURSDAY = 3, _("Thursday")
    FRIDAY = 4, _("Friday")
    SATURDAY = 5, _("Saturday")
    SUNDAY = 6, _("Sunday")


class ServiceWindow(_Window):
    """A service held every week."""

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
                condition=_on_the_grid("opens", "closes", "last_seating"),
                violation_error_message=_("Times lie on quarter hours."),
            ),
        ]


class SpecialDay(models.Model):
    """A date that does not follow the week: its own windows, or closed when it has none."""

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
    """A service held on a special day in place of the weekly ones."""

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
                condition=_on_the_grid("opens", "closes", "last_seating"),
                violation_error_message=_("Times lie on quarter hours."),
            ),
        ]


class TurnTime(models.Model):
    """How long a party of up to ``party_up_to`` keeps its table when the request does not say."""

    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="turn_times", verbose_name=_("restaurant")
    )
    party_up_to = models.PositiveSmallIntegerField(_("party up to"), validators=_party)
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
                condition=Q(_multiple_of_15("minutes")),
                violation_error_message=_("Durations are multiples of 15 minutes."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.party_up_to}: {self.minutes} min"


class Sector(models.Model):
    """A room or terrace. Tables are combined within one, never across."""

    id = models.CharField(_("id"), primary_key=True, max_length=50, default=sector_id, validators=[valid_id])
    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="sectors", verbose_name=_("restaurant")
    )
    name = models.CharField(_("name"), max_length=100)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("sector")
        verbose_name_plural = _("sectors")
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class Table(models.Model):
    """A table: whom it seats and where it stands. Positions are in centimetres from the top left."""

    class Shape(models.TextChoices):
        SQUARE = "square", _("Square")
        ROUND = "round", _("Round")

    id = models.CharField(_("id"), primary_key=True, max_length=50, default=table_id, validators=[valid_id])
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="tables", verbose_name=_("sector"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    capacity_min = models.PositiveSmallIntegerField(_("seats at least"), validators=_party)
    capacity_max = models.PositiveSmallIntegerField(_("seats at most"), validators=_party)
    active = models.BooleanField(_("active"), default=True)
    combinable = models.BooleanField(
        _("combinable"), default=True, help_text=_("May be joined with other tables of its sector.")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    x = models.PositiveIntegerField(_("from the left"), default=0)
    y = models.PositiveIntegerField(_("from the top"), default=0)
    width = models.PositiveIntegerField(_("width"), default=80)
    height = models.PositiveIntegerField(_("height"), default=80)
    shape = models.CharField(_("shape"), max_length=10, choices=Shape.choices, default=Shape.SQUARE)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("table")
        verbose_name_plural = _("tables")
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(
                name="table_capacity",
                condition=Q(
                    capacity_min__gte=1, capacity_min__lte=F("capacity_max"), capacity_max__lte=MAX_PARTY
                ),
                violation_error_message=_(
                    "A table seats at least 1, at most 50, and not fewer than its least."
                ),
            ),
            # Target of the composite foreign keys that keep joins and combos within one sector.
            models.UniqueConstraint(fields=["sector", "id"], name="table_in_sector"),
        ]

    def __str__(self) -> str:
        return self.name or self.id


class TableJoin(models.Model):
    """Two tables that can stand together. Once a sector has one, only connected sets combine."""

    sector = models.ForeignKey(Sector, models.CASCADE, related_name="joins", verbose_name=_("sector"))
    first = models.ForeignKey(Table, models.CASCADE, related_name="+", verbose_name=_("first table"))
    second = models.ForeignKey(Table, models.CASCADE, related_name="+", verbose_name=_("second table"))

    class Meta:
        verbose_name = _("joinable tables")
        verbose_name_plural = _("joinable tables")
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="table_join_once"),
            # One row a pair: the smaller id first.
            models.CheckConstraint(
                name="table_join_ordered",
                condition=Q(first__lt=F("second")),
                violation_error_message=_("Name two different tables, the smaller id first."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} + {self.second_id}"

    def clean(self) -> None:
        """Also checked by the database (migration 0003), for whoever writes without asking here."""
        if not (self.first_id and self.second_id):
            return
        others = TableJoin.objects.exclude(pk=self.pk)
        for table in (self.first_id, self.second_id):
            if others.filter(Q(first=table) | Q(second=table)).count() >= MAX_JOINS:
                raise ValidationError(
                    _("Table %(table)s joins %(most)s others already, the most there can be."),
                    params={"table": table, "most": MAX_JOINS},
                    code="joins",
                )


class Combo(models.Model):
    """What a given set of 2-4 tables seats when joined; replaces the sums of its tables."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="combos", verbose_name=_("sector"))
    key = models.CharField(max_length=210, editable=False)
    capacity_min = models.PositiveSmallIntegerField(_("seats at least"), validators=_party)
    capacity_max = models.PositiveSmallIntegerField(_("seats at most"), validators=_party)

    class Meta:
        verbose_name = _("combination of tables")
        verbose_name_plural = _("combinations of tables")
        ordering = ["key"]
        constraints = [
            models.UniqueConstraint(
                fields=["sector", "key"],
                name="combo_once",
                violation_error_message=_("This combination is defined already."),
            ),
            models.UniqueConstraint(fields=["sector", "id"], name="combo_in_sector"),
            models.CheckConstraint(
                name="combo_capacity",
                condition=Q(
                    capacity_min__gte=1, capacity_min__lte=F("capacity_max"), capacity_max__lte=MAX_PARTY
                ),
                violation_error_message=_("A combination seats at least 1 and at most 50."),
            ),
        ]

    def __str__(self) -> str:
        return self.key


class ComboTable(models.Model):
    """A member of a combo. A member stays bookable on its own."""

    combo = models.ForeignKey(Combo, models.CASCADE, related_name="members", verbose_name=_("combination"))
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="+", verbose_name=_("sector"))
    table = models.ForeignKey(Table, models.CASCADE, related_name="combos", verbose_name=_("table"))

    class Meta:
        verbose_name = _("table of a combination")
        verbose_name_plural = _("tables of a combination")
        constraints = [models.UniqueConstraint(fields=["combo", "table"], name="combo_table_once")]

    def __str__(self) -> str:
        return self.table_id
