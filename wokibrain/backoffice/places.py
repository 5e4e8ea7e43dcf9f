"""Restaurants with their calendar, sectors, tables, and which tables go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, ProtectedError, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectMultipleWidget

from bookings import plan as plans
from bookings.engine.grid import SLOT
from bookings.models import Booking
from restaurants.models import (
    MAX_COMBO_TABLES,
    Combo,
    ComboTable,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    Table,
    TableJoin,
    TurnTime,
)
from restaurants.services import create_restaurant
from wokibrain import clock
from wokibrain.access.permissions import Permission
from wokibrain.backoffice.base import TenantAdmin, TenantInline, caller_for, display

LISTED_STRANDED: Final = 5
USUAL: Final = ((2, 90), (4, 105), (6, 120), (50, 150))
"""Turn times a new restaurant starts with, so that its first booking need not say how long it stays."""


class WindowInline(TenantInline):
    model = ServiceWindow
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    fields = ("weekday", "opens", "closes", "last_seating")
    tab = True


class TurnTimeInline(TenantInline):
    model = TurnTime
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    fields = ("party_up_to", "minutes")
    tab = True


class SectorInline(TenantInline):
    model = Sector
    may_add = may_change = Permission.TABLE_UPDATE
    fields = ("name", "position")
    ordering_field = "position"
    hide_ordering_field = True
    show_change_link = True
    tab = True


def zones() -> list[tuple[str, str]]:
    """The time zones a restaurant may stand in, as a picker offers them."""
    return [(name, name.replace("_", " ")) for name in sorted(available_timezones()) if "/" in name]


class RestaurantForm(forms.ModelForm):  # type: ignore[type-arg]
    zone = forms.ChoiceField(label=_("time zone"), choices=zones, widget=UnfoldAdminSelect2Widget)

    class Meta:
        model = Restaurant
        fields = "__all__"  # noqa: DJ007 - the admin names them


@admin.register(Restaurant)
class RestaurantAdmin(TenantAdmin):
    form = RestaurantForm
    restaurant_path = "pk"
    may_add = Permission.RESTAURANT_CREATE
    may_change = Permission.RESTAURANT_UPDATE
    list_display = ("name", "zone", "tables", "seats", "board")
    search_fields = ("name", "id")
    inlines = (WindowInline, SectorInline, TurnTimeInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Restaurant]:
        rows: QuerySet[Restaurant] = super().get_queryset(request)
        return rows.annotate(
            table_count=Count("sectors__tables"), seat_sum=Sum("sectors__tables__capacity_max")
        )

    def get_fieldsets(self, request: HttpRequest, obj: Restaurant | None = None) -> Any:
        """A new one asks for what it cannot do without; the rest has good defaults."""
        if obj is None:
            return ((None, {"fields": ("name", "zone", "id")}),)
        return (
            (None, {"fields": (("name", "zone"),)}),
            (
                _("What may be booked"),
                {
                    "fields": (
                        ("min_party", "max_party"),
                        ("min_duration", "max_duration"),
                        ("lead_minutes", "horizon_days"),
                        "refuse_past",
                    )
                },
            ),
        )

    def get_inlines(self, request: HttpRequest, obj: Restaurant | None) -> Any:
        return () if obj is None else self.inlines

    def save_model(self, request: HttpRequest, obj: Restaurant, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        create_restaurant(caller=caller_for(request), id=obj.id, name=obj.name, zone=obj.zone)
        TurnTime.objects.bulk_create(
            TurnTime(restaurant_id=obj.id, party_up_to=party, minutes=minutes) for party, minutes in USUAL
        )
        obj._state.adding = False

    def response_add(
        self, request: HttpRequest, obj: Restaurant, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to its hours and sectors: a restaurant is not done with its name."""
        self.message_user(
            request,
            format_lazy(
                _("{name} is made. Check its hours below, then add its sectors and tables."),
                name=obj.name,
            ),
            messages.SUCCESS,
        )
        return HttpResponseRedirect(reverse("admin:restaurants_restaurant_change", args=[obj.pk]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        warn_of_stranded(form.instance.pk, lambda text: messages.warning(request, text))

    @display(description=_("tables"))
    def tables(self, obj: Any) -> int:
        return int(obj.table_count)

    @display(description=_("seats"))
    def seats(self, obj: Any) -> int:
        return int(obj.seat_sum or 0)

    @display(description=_("floor"))
    def board(self, obj: Restaurant) -> SafeString:
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500 underline" href="{}?restaurant={}">{}</a>',
            reverse("floor"),
            obj.pk,
            _("Open the board"),
        )


def warn_of_stranded(restaurant_id: str, warn: Callable[[str], None]) -> None:
    """Name the bookings to come that the hours as they are now would leave outside; none is moved."""
    plan = plans.current(restaurant_id)
    coming = Booking.objects.filter(
        restaurant_id=restaurant_id, status=Booking.Status.CONFIRMED, start__gt=clock.now()
    ).order_by("start")
    stranded = []
    for booking in coming.iterator():
        day = plan.day(booking.service_date)
        first, last = day.slot_of(booking.start), -((day.origin - booking.end) // SLOT)
        if not any(span.lo <= first and last <= span.hi for span in day.spans):
            stranded.append(booking)
    if stranded:
        named = ", ".join(
            f"{each.reference} ({each.start.astimezone(plan.zone):%d/%m %H:%M})"
            for each in stranded[:LISTED_STRANDED]
        )
        warn(
            str(
                format_lazy(
                    _("{count} bookings to come lie outside the hours now; they stay as they are: {named}"),
                    count=len(stranded),
                    named=named + (" …" if len(stranded) > LISTED_STRANDED else ""),
                )
            )
        )


class SpecialWindowInline(TenantInline):
    model = SpecialWindow
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    fields = ("opens", "closes", "last_seating")


@admin.register(SpecialDay)
class SpecialDayAdmin(TenantAdmin):
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    list_display = ("date", "name", "restaurant", "hours")
    list_filter = ("restaurant",)
    date_hierarchy = "date"
    inlines = (SpecialWindowInline,)

    @display(description=_("hours"))
    def hours(self, obj: SpecialDay) -> str:
        return ", ".join(map(str, obj.windows.all())) or str(_("closed"))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        warn_of_stranded(form.instance.restaurant_id, lambda text: messages.warning(request, text))


class TableInline(TenantInline):
    model = Table
    may_add = may_change = Permission.TABLE_UPDATE
    fields = ("name", "capacity_min", "capacity_max", "combinable", "active", "shape", "position")
    ordering_field = "position"
    hide_ordering_field = True
    show_change_link = True


@admin.register(Sector)
class SectorAdmin(TenantAdmin):
    may_view = Permission.TABLE_READ
    may_add = Permission.TABLE_CREATE
    may_change = Permission.TABLE_UPDATE
    list_display = ("name", "restaurant", "position")
    list_filter = ("restaurant",)
    search_fields = ("name", "id")
    fields = ("restaurant", "name", "position")
    inlines = (TableInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Sector | None = None) -> tuple[str, ...]:
        return ("restaurant",) if obj else ()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """New tables stand in a row below the others until somebody moves them on the plan."""
        rows = formset.save(commit=False)
        spot = form.instance.tables.count()
        for row in rows:
            if row._state.adding and not (row.x or row.y):
                row.x, row.y = 60 + 160 * (spot % 6), 60 + 170 * (spot // 6)
                row.position = row.position or spot
                spot += 1
            row.save()
        formset.save_m2m()


@admin.register(Table)
class TableAdmin(TenantAdmin):
    restaurant_path = "sector__restaurant_id"
    may_view = Permission.TABLE_READ
    may_change = Permission.TABLE_UPDATE
    may_delete = Permission.TABLE_DELETE
    list_display = ("label", "sector", "seats", "combinable", "active")
    list_filter = ("sector__restaurant", "sector", "active")
    list_select_related = ("sector__restaurant",)
    search_fields = ("name", "id")
    ordering = ("sector", "position")
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

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            response: HttpResponse = super().delete_view(request, object_id, extra_context)
        except ProtectedError:
            self.message_user(
                request, _("Bookings name this table; make it inactive instead."), messages.ERROR
            )
            return HttpResponseRedirect(reverse("admin:restaurants_table_change", args=[object_id]))
        return response


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
            self.add_error("second", str(_("Both tables stand in the same sector.")))
            return data
        # One row a pair, whichever way round it was typed.
        if first.pk > second.pk:
            data["first"], data["second"] = second, first
        self.instance.sector = first.sector
        return data


@admin.register(TableJoin)
class TableJoinAdmin(TenantAdmin):
    form = JoinForm
    restaurant_path = "sector__restaurant_id"
    may_view = Permission.TABLE_READ
    may_add = may_change = may_delete = Permission.TABLE_UPDATE
    list_display = ("pair", "sector")
    list_filter = ("sector",)
    list_select_related = ("sector", "first", "second")

    @display(description=_("tables"))
    def pair(self, obj: TableJoin) -> str:
        return f"{obj.first} + {obj.second}"


class ComboForm(forms.ModelForm):  # type: ignore[type-arg]
    """A combination is typed as its tables; its key and its sector follow from them."""

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
            self.add_error("tables", str(_("All tables stand in the same sector.")))
        else:
            self.instance.sector = tables[0].sector
            self.instance.key = "+".join(sorted(table.pk for table in tables))
        return data


@admin.register(Combo)
class ComboAdmin(TenantAdmin):
    form = ComboForm
    restaurant_path = "sector__restaurant_id"
    may_view = Permission.TABLE_READ
    may_add = may_change = may_delete = Permission.TABLE_UPDATE
    fields = ("tables", ("capacity_min", "capacity_max"))
    list_display = ("named", "sector", "seats")
    list_filter = ("sector",)

    def get_form(self, request: HttpRequest, obj: Combo | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        places = caller_for(request).restaurants(Permission.TABLE_UPDATE)
        tables = Table.objects.select_related("sector")
        if places is not None:
            tables = tables.filter(sector__restaurant__in=places)
        form.base_fields["tables"].queryset = tables.order_by("sector", "position")
        form.base_fields["tables"].label_from_instance = lambda table: f"{table.sector} · {table}"
        return form

    def save_model(self, request: HttpRequest, obj: Combo, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            obj.members.all().delete()
            ComboTable.objects.bulk_create(
                ComboTable(combo=obj, sector=obj.sector, table=table) for table in form.cleaned_data["tables"]
            )

    @display(description=_("tables"))
    def named(self, obj: Combo) -> str:
        return " + ".join(str(each.table) for each in obj.members.select_related("table"))

    @display(description=_("seats"))
    def seats(self, obj: Combo) -> str:
        return f"{obj.capacity_min}-{obj.capacity_max}"
