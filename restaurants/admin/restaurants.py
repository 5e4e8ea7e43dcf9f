"""Admin pages of restaurants: settings, weekly hours, turn times, sectors, and special days."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget

from restaurants.admin.stranded import PlanAdmin, acknowledged
from restaurants.models import (
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    TurnTime,
)
from restaurants.services.calendar import (
    DEFAULT_TURN_TIMES,
    Calendar,
    Hours,
    SpecialHours,
    Turn,
    drop_special_day,
    put_special_day,
)
from restaurants.services.restaurants import (
    create_restaurant,
    create_sector,
    update_restaurant,
    update_sector,
)
from wokibrain.core import clock
from wokibrain.core.permissions import Permission
from wokibrain.office.base import TenantInline, TenantRelatedFilter, caller_for, display
from wokibrain.office.service_admin import changed_values, submitted_rows


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
    exclude = (
        "id",
    )  # excluded, it is still added as a hidden field, without which existing rows cannot be saved
    ordering_field = "position"
    hide_ordering_field = True
    show_change_link = True
    tab = True


def zones() -> list[tuple[str, str]]:
    """Return the choices of time zones: all that a restaurant may have, first those named for a place."""
    names = sorted(clock.known_zones(), key=lambda name: ("/" not in name, name))
    return [(name, name.replace("_", " ")) for name in names]


class RestaurantForm(forms.ModelForm):  # type: ignore[type-arg]
    zone = forms.ChoiceField(label=_("Time zone"), choices=zones, widget=UnfoldAdminSelect2Widget)

    class Meta:
        model = Restaurant
        fields = "__all__"  # noqa: DJ007 - the admin lists them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = self.instance.zone
        if name and not clock.is_known_zone(name) and "zone" in self.fields:
            # Shown as it is: a select without its value would send the first of the list.
            self.fields["zone"].choices = [(name, _unknown(name)), *zones()]  # type: ignore[attr-defined]


def _unknown(name: str) -> str:
    return gettext("{zone} (unknown to this server)").format(zone=name)


@admin.register(Restaurant)
class RestaurantAdmin(PlanAdmin):
    form = RestaurantForm
    may_add = Permission.RESTAURANT_CREATE
    may_change = Permission.RESTAURANT_UPDATE
    list_display = ("name", "zone_name", "tables", "seats", "board")
    search_fields = ("name", "id")
    inlines = (WindowInline, SectorInline, TurnTimeInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Restaurant]:
        rows: QuerySet[Restaurant] = super().get_queryset(request)
        return rows.annotate(
            table_count=Count("sectors__tables", filter=Q(sectors__tables__active=True)),
            seat_sum=Sum("sectors__tables__capacity_max", filter=Q(sectors__tables__active=True)),
        )

    def get_fieldsets(self, request: HttpRequest, obj: Restaurant | None = None) -> Any:
        """Ask only for the essentials of a new restaurant; the rest has defaults."""
        if obj is None:
            return ((None, {"fields": ("name", "zone", "id")}),)
        return (
            (None, {"fields": (("name", "zone"),)}),
            (
                _("Booking rules"),
                {
                    "fields": (
                        ("min_party", "max_party"),
                        ("min_duration", "max_duration"),
                        ("lead_minutes", "horizon_days"),
                        ("refuse_past", "occupied_margin"),
                    )
                },
            ),
        )

    @display(description=_("time zone"), ordering="zone")
    def zone_name(self, obj: Restaurant) -> str:
        return obj.zone if clock.is_known_zone(obj.zone) else _unknown(obj.zone)

    def get_inlines(self, request: HttpRequest, obj: Restaurant | None) -> Any:
        return () if obj is None else self.inlines

    def save_model(self, request: HttpRequest, obj: Restaurant, form: Any, change: bool) -> None:
        if change:
            return
        create_restaurant(
            caller=caller_for(request), id=obj.id, name=obj.name, zone=obj.zone, turns=DEFAULT_TURN_TIMES
        )
        obj._state.adding = False

    def response_add(
        self, request: HttpRequest, obj: Restaurant, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Continue to the page with the new restaurant's hours and sectors."""
        self.message_user(
            request,
            format_lazy(
                _("{name} has been created. Check its hours below, then add its sectors and tables."),
                name=obj.name,
            ),
            messages.SUCCESS,
        )
        return HttpResponseRedirect(reverse("admin:restaurants_restaurant_change", args=[obj.pk]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save settings and calendar in one call, so that stranded bookings are listed once; then the sectors."""
        super().save_related(request, form, formsets, change)
        if not change:
            return
        caller, restaurant_id = caller_for(request), form.instance.pk
        changed = {formset.model: submitted_rows(formset) for formset in formsets if formset.has_changed()}
        calendar = Calendar(hours=_hours(changed.get(ServiceWindow)), turns=_turns(changed.get(TurnTime)))
        settings = changed_values(form)
        if settings or calendar != Calendar():
            update_restaurant(
                caller=caller,
                restaurant_id=restaurant_id,
                settings=settings,
                calendar=calendar,
                acknowledge=acknowledged(request),
            )
        for row in changed.get(Sector, ()):
            if row.instance._state.adding:
                create_sector(caller=caller, restaurant_id=restaurant_id, **changed_values(row))
            elif row.has_changed():
                update_sector(caller=caller, sector_id=row.instance.pk, settings=changed_values(row))

    @display(description=_("tables"))
    def tables(self, obj: Any) -> int:
        return int(obj.table_count)

    @display(description=_("seats"))
    def seats(self, obj: Any) -> int:
        return int(obj.seat_sum or 0)

    @display(description=_("floor"))
    def board(self, obj: Restaurant) -> SafeString:
        return format_html(
            '<a class="office-link" href="{}?restaurant={}">{}</a>',
            reverse("floor"),
            obj.pk,
            _("Open the board"),
        )


def _hours(rows: list[Any] | None) -> list[Hours] | None:
    """Return the submitted windows; None where that part of the page did not change."""
    return (
        None
        if rows is None
        else [Hours(**_values(row, "opens", "closes", "last_seating", "weekday")) for row in rows]
    )


def _turns(rows: list[Any] | None) -> list[Turn] | None:
    return None if rows is None else [Turn(**_values(row, "party_up_to", "minutes")) for row in rows]


def _values(row: Any, *names: str) -> dict[str, Any]:
    return {name: row.cleaned_data[name] for name in names if name in row.cleaned_data}


class SpecialWindowInline(TenantInline):
    model = SpecialWindow
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    fields = ("opens", "closes", "last_seating")


@admin.register(SpecialDay)
class SpecialDayAdmin(PlanAdmin):
    may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    list_display = ("date", "name", "restaurant", "hours")
    list_filter = (("restaurant", TenantRelatedFilter),)
    date_hierarchy = "date"
    inlines = (SpecialWindowInline,)

    fields = ("restaurant", "date", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SpecialDay]:
        rows: QuerySet[SpecialDay] = super().get_queryset(request)
        return rows.select_related("restaurant").prefetch_related("windows")

    def get_readonly_fields(self, request: HttpRequest, obj: SpecialDay | None = None) -> tuple[str, ...]:
        return ("restaurant",) if obj else ()

    @display(description=_("hours"))
    def hours(self, obj: SpecialDay) -> str:
        return ", ".join(map(str, obj.windows.all())) or str(_("closed"))

    def save_model(self, request: HttpRequest, obj: SpecialDay, form: Any, change: bool) -> None:
        """Nothing yet: ``save_related`` saves the day together with its windows."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        day: SpecialDay = form.instance
        hours = [row for formset in formsets for row in submitted_rows(formset)]
        saved = put_special_day(
            caller=caller_for(request),
            restaurant_id=day.restaurant_id,
            day=SpecialHours(day.date, day.name, tuple(_hours(hours) or ())),
            day_id=day.pk if change else None,
            acknowledge=acknowledged(request),
        )
        day.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: SpecialDay) -> None:
        drop_special_day(
            caller=caller_for(request),
            restaurant_id=obj.restaurant_id,
            day_id=obj.pk,
            acknowledge=acknowledged(request),
        )
