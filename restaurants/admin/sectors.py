"""Admin pages of sectors and tables, and of the tables that can be combined."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from restaurants.admin.stranded import PlanAdmin, acknowledged
from restaurants.models import MAX_COMBO_TABLES, Combo, Sector, Table, TableJoin
from restaurants.models.natural_order import table_order
from restaurants.services.restaurants import (
    create_sector,
    create_table,
    delete_sector,
    delete_table,
    update_sector,
    update_table,
    update_tables,
)
from restaurants.services.table_joins import Joined, drop_combo, drop_join, put_combo, put_join
from wokibrain.core.permissions import Permission
from wokibrain.office.base import TenantInline, TenantRelatedFilter, caller_for, display, visible
from wokibrain.office.service_admin import changed_values, submitted_rows

NEW_TABLE_FIELDS: Final = ("name", "capacity_min", "capacity_max", "combinable", "active", "shape")
"""The fields of a new table on its sector's page."""

GRID_COLUMNS: Final = 6
GRID_MARGIN_CM, GRID_WIDTH_CM, GRID_HEIGHT_CM = 60, 160, 170
"""Where new tables are placed on the floor plan."""


class TableInline(TenantInline):
    model = Table
    may_add = may_change = Permission.TABLE_UPDATE
    fields = ("name", "capacity_min", "capacity_max", "combinable", "active", "shape", "position")
    exclude = (
        "id",
    )  # excluded, it is still added as a hidden field, without which existing rows cannot be saved
    ordering_field = "position"
    hide_ordering_field = True
    show_change_link = True


@admin.register(Sector)
class SectorAdmin(PlanAdmin):
    may_view = Permission.TABLE_READ
    may_add = Permission.TABLE_CREATE
    may_change = Permission.TABLE_UPDATE
    may_delete = Permission.TABLE_DELETE
    list_select_related = ("restaurant",)
    list_display = ("name", "restaurant", "tables", "position")
    list_filter = (("restaurant", TenantRelatedFilter),)
    search_fields = ("name", "id")
    fields = ("restaurant", "name", "position")
    inlines = (TableInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sector]:
        rows: QuerySet[Sector] = super().get_queryset(request)
        return rows.annotate(table_count=Count("tables", filter=Q(tables__active=True)))

    @display(description=_("tables"))
    def tables(self, obj: Any) -> int:
        return int(obj.table_count)

    def get_readonly_fields(self, request: HttpRequest, obj: Sector | None = None) -> tuple[str, ...]:
        return ("restaurant",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Sector, form: Any, change: bool) -> None:
        caller = caller_for(request)
        if not change:
            sector = create_sector(
                caller=caller,
                id=obj.pk,
                restaurant_id=obj.restaurant_id,
                name=obj.name,
                position=obj.position,
            )
            obj.pk, obj._state.adding = sector.pk, False
        elif settings := changed_values(form):
            update_sector(caller=caller, sector_id=obj.pk, settings=settings)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the tables; new ones are laid out in a grid until staff move them on the floor plan."""
        super().save_related(request, form, formsets, change)
        caller, sector = caller_for(request), form.instance
        rows = [row for formset in formsets for row in submitted_rows(formset) if row.has_changed()]
        changes = {row.instance.pk: changed_values(row) for row in rows if not row.instance._state.adding}
        if changes:
            update_tables(
                caller=caller, sector_id=sector.pk, changes=changes, acknowledge=acknowledged(request)
            )
        index = sector.tables.count()
        for row in rows:
            if row.instance._state.adding:
                values = row.cleaned_data
                create_table(
                    caller=caller,
                    sector_id=sector.pk,
                    x=GRID_MARGIN_CM + GRID_WIDTH_CM * (index % GRID_COLUMNS),
                    y=GRID_MARGIN_CM + GRID_HEIGHT_CM * (index // GRID_COLUMNS),
                    **{name: values[name] for name in NEW_TABLE_FIELDS},
                    position=values["position"] or index,
                )
                index += 1

    def delete_model(self, request: HttpRequest, obj: Sector) -> None:
        delete_sector(caller=caller_for(request), sector_id=obj.pk)


@admin.register(Table)
class TableAdmin(PlanAdmin):
    may_view = Permission.TABLE_READ
    may_change = Permission.TABLE_UPDATE
    may_delete = Permission.TABLE_DELETE
    list_display = ("label", "sector", "seats", "combinable", "active")
    list_filter = (("sector__restaurant", TenantRelatedFilter), ("sector", TenantRelatedFilter), "active")
    list_select_related = ("sector__restaurant",)
    search_fields = ("name", "id")
    ordering = ("sector", *table_order())
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("sector", "name"),
                    ("capacity_min", "capacity_max"),
                    ("shape", "combinable", "active"),
                )
            },
        ),
        (_("On the plan (centimetres)"), {"fields": (("x", "y"), ("width", "height"))}),
    )
    readonly_fields = ("sector",)

    @display(description=_("table"))
    def label(self, obj: Table) -> str:
        return str(obj)

    @display(description=_("seats"))
    def seats(self, obj: Table) -> str:
        return f"{obj.capacity_min}-{obj.capacity_max}"

    def save_model(self, request: HttpRequest, obj: Table, form: Any, change: bool) -> None:
        if settings := changed_values(form):
            update_table(
                caller=caller_for(request),
                table_id=obj.pk,
                settings=settings,
                acknowledge=acknowledged(request),
            )

    def delete_model(self, request: HttpRequest, obj: Table) -> None:
        delete_table(caller=caller_for(request), table_id=obj.pk, acknowledge=acknowledged(request))


class JoinForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = TableJoin
        fields = ("first", "second")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        first, second = data.get("first"), data.get("second")
        if not (first and second):
            return data
        if first == second:
            self.add_error("second", str(_("Choose another table.")))
            return data
        if first.sector_id != second.sector_id:
            self.add_error("second", str(_("Both tables must be in the same sector.")))
            return data
        # Each pair is stored once, the smaller id first.
        if first.pk > second.pk:
            data["first"], data["second"] = second, first
        self.instance.sector = first.sector
        return data


def label_with_sector(field: Any) -> Any:
    """Show each table of a picker with its sector."""
    field.queryset = field.queryset.select_related("sector").order_by(
        "sector__restaurant", "sector", *table_order()
    )
    field.label_from_instance = lambda table: f"{table.sector} · {table}"
    return field


@admin.register(TableJoin)
class TableJoinAdmin(PlanAdmin):
    form = JoinForm
    may_view = Permission.TABLE_READ
    may_add = may_change = may_delete = Permission.TABLE_UPDATE
    list_display = ("pair", "sector")
    list_filter = (("sector", TenantRelatedFilter),)
    list_select_related = ("sector", "first", "second")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return label_with_sector(super().formfield_for_foreignkey(db_field, request, **kwargs))

    def get_form(self, request: HttpRequest, obj: TableJoin | None = None, **kwargs: Any) -> Any:
        """Offer an existing join only the tables of its sector."""
        form = super().get_form(request, obj, **kwargs)
        if obj is not None:
            for field in form.base_fields.values():
                field.queryset = field.queryset.filter(sector=obj.sector_id)
        return form

    def save_model(self, request: HttpRequest, obj: TableJoin, form: Any, change: bool) -> None:
        join = put_join(
            caller=caller_for(request),
            sector_id=obj.sector_id,
            tables=frozenset((obj.first_id, obj.second_id)),
            join_id=obj.pk,
            acknowledge=acknowledged(request),
        )
        obj.pk = join.pk

    def delete_model(self, request: HttpRequest, obj: TableJoin) -> None:
        drop_join(
            caller=caller_for(request),
            sector_id=obj.sector_id,
            join_id=obj.pk,
            acknowledge=acknowledged(request),
        )

    @display(description=_("tables"))
    def pair(self, obj: TableJoin) -> str:
        return f"{obj.first} + {obj.second}"


class ComboForm(forms.ModelForm):  # type: ignore[type-arg]
    """A combination is entered as its tables, from which its key and sector follow."""

    tables: forms.ModelMultipleChoiceField[Table] = forms.ModelMultipleChoiceField(
        Table.objects.none(), label=_("tables"), widget=UnfoldAdminSelectMultipleWidget
    )

    class Meta:
        model = Combo
        fields = ("capacity_min", "capacity_max")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["tables"] = list(self.instance.members.values_list("table_id", flat=True))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        tables = data.get("tables")
        if tables is None:
            return data
        if not 2 <= len(tables) <= MAX_COMBO_TABLES:
            self.add_error("tables", str(_("Choose 2 to 4 tables.")))
        elif len({table.sector_id for table in tables}) > 1:
            self.add_error("tables", str(_("All tables must be in the same sector.")))
        else:
            self.instance.sector = tables[0].sector
            self.instance.key = "+".join(sorted(table.pk for table in tables))
        return data


@admin.register(Combo)
class ComboAdmin(PlanAdmin):
    form = ComboForm
    may_view = Permission.TABLE_READ
    may_add = may_change = may_delete = Permission.TABLE_UPDATE
    fields = ("tables", ("capacity_min", "capacity_max"))
    list_display = ("table_names", "sector", "seats")
    list_filter = (("sector", TenantRelatedFilter),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Combo]:
        rows: QuerySet[Combo] = super().get_queryset(request)
        return rows.select_related("sector").prefetch_related("members__table")

    def get_form(self, request: HttpRequest, obj: Combo | None = None, **kwargs: Any) -> Any:
        """Offer an existing combination only the tables of its sector."""
        form = super().get_form(request, obj, **kwargs)
        if "tables" in form.base_fields:
            rows = visible(Table.objects.all(), caller_for(request), Permission.TABLE_UPDATE)
            field = form.base_fields["tables"]
            field.queryset = rows if obj is None else rows.filter(sector=obj.sector_id)
            label_with_sector(field)
        return form

    def save_model(self, request: HttpRequest, obj: Combo, form: Any, change: bool) -> None:
        tables = frozenset(table.pk for table in form.cleaned_data["tables"])
        combo = put_combo(
            caller=caller_for(request),
            sector_id=obj.sector_id,
            joined=Joined(tables, obj.capacity_min, obj.capacity_max),
            combo_id=obj.pk if change else None,
            acknowledge=acknowledged(request),
        )
        obj.pk = combo.pk

    def delete_model(self, request: HttpRequest, obj: Combo) -> None:
        drop_combo(
            caller=caller_for(request),
            sector_id=obj.sector_id,
            combo_id=obj.pk,
            acknowledge=acknowledged(request),
        )

    @display(description=_("tables"))
    def table_names(self, obj: Combo) -> str:
        return " + ".join(str(member.table) for member in obj.members.all())

    @display(description=_("seats"))
    def seats(self, obj: Combo) -> str:
        return f"{obj.capacity_min}-{obj.capacity_max}"
