"""Sectors and tables, and which tables go together."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from restaurants.models.natural_order import table_order
from restaurants.models.restaurant import Restaurant
from restaurants.models.values import (
    MAX_JOINS,
    MAX_PARTY,
    sector_id,
    table_id,
    valid_id,
    valid_party,
)
from wokibrain.core.ids import uuid7


class Sector(models.Model):
    """A part of the restaurant, such as a terrace. Tables combine within a sector, never across."""

    tenant_path = "restaurant_id"

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
    """A table: how many guests it seats and where it stands, in centimetres from the top left."""

    tenant_path = "sector__restaurant_id"

    class Shape(models.TextChoices):
        SQUARE = "square", _("Square")
        ROUND = "round", _("Round")

    id = models.CharField(_("id"), primary_key=True, max_length=50, default=table_id, validators=[valid_id])
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="tables", verbose_name=_("sector"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    capacity_min = models.PositiveSmallIntegerField(_("seats at least"), validators=valid_party)
    capacity_max = models.PositiveSmallIntegerField(_("seats at most"), validators=valid_party)
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
        ordering = table_order()
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
            # The composite foreign keys that keep joins and combos within one sector refer to it.
            models.UniqueConstraint(fields=["sector", "id"], name="table_in_sector"),
        ]

    def __str__(self) -> str:
        return self.name or self.id


class TableJoin(models.Model):
    """Two tables that can stand together. Once a sector has one, only connected sets combine."""

    tenant_path = "sector__restaurant_id"

    sector = models.ForeignKey(Sector, models.CASCADE, related_name="joins", verbose_name=_("sector"))
    first = models.ForeignKey(Table, models.CASCADE, related_name="+", verbose_name=_("first table"))
    second = models.ForeignKey(Table, models.CASCADE, related_name="+", verbose_name=_("second table"))

    class Meta:
        verbose_name = _("joinable tables")
        verbose_name_plural = _("joinable tables")
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="table_join_once"),
            # One row per pair: the smaller id first.
            models.CheckConstraint(
                name="table_join_ordered",
                condition=Q(first__lt=F("second")),
                violation_error_message=_("Name two different tables, the smaller id first."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} + {self.second_id}"

    def clean(self) -> None:
        """Check MAX_JOINS; the database does too (migration 0003), for writes that skip this."""
        if not (self.first_id and self.second_id):
            return
        others = TableJoin.objects.exclude(pk=self.pk)
        for table in (self.first_id, self.second_id):
            if others.filter(Q(first=table) | Q(second=table)).count() >= MAX_JOINS:
                raise ValidationError(
                    _("Table %(table)s already joins %(most)s others, which is the limit."),
                    params={"table": table, "most": MAX_JOINS},
                    code="joins",
                )


class Combo(models.Model):
    """What a set of 2-4 tables seats when joined, in place of the sum of their capacities."""

    tenant_path = "sector__restaurant_id"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="combos", verbose_name=_("sector"))
    key = models.CharField(max_length=210, editable=False)
    capacity_min = models.PositiveSmallIntegerField(_("seats at least"), validators=valid_party)
    capacity_max = models.PositiveSmallIntegerField(_("seats at most"), validators=valid_party)

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
    """A table of a combo. It stays bookable on its own."""

    combo = models.ForeignKey(Combo, models.CASCADE, related_name="members", verbose_name=_("combination"))
    sector = models.ForeignKey(Sector, models.CASCADE, related_name="+", verbose_name=_("sector"))
    table = models.ForeignKey(Table, models.CASCADE, related_name="combos", verbose_name=_("table"))

    class Meta:
        verbose_name = _("table of a combination")
        verbose_name_plural = _("tables of a combination")
        constraints = [models.UniqueConstraint(fields=["combo", "table"], name="combo_table_once")]

    def __str__(self) -> str:
        return self.table_id
