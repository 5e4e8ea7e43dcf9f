"""Admin pages of bookings. Every write goes through the services."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from bookings import statuses
from bookings.admin.booking_form import BookingForm
from bookings.floor import board
from bookings.models import Booking, Seating
from bookings.repository.records import local_start
from bookings.repository.statements import occupied_bookings
from bookings.selectors.history import story
from bookings.services import lifecycle
from bookings.services.reopen import reopen_booking
from bookings.statuses import Status
from restaurants.models import Restaurant, Table
from restaurants.models.natural_order import table_order
from wokibrain.core import clock
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission
from wokibrain.office.base import TenantAdmin, TenantRelatedFilter, action, caller_for, display, visible

STEP_BUTTONS: Final = {
    status.value: tuple(
        f"_{name.replace('-', '_')}" for name, step in statuses.STEPS.items() if status in step.sources
    )
    + (("_put_back",) if status in statuses.BEFORE else ())
    for status in statuses.OPEN
}
"""Status -> the endings of the names of the buttons offered."""


class AttentionFilter(admin.SimpleListFilter):
    """Filters by attention, among open bookings only: finished ones need none."""

    title = _("needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Booking.Attention.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        if not self.value():
            return queryset
        if self.value() == Booking.Attention.OCCUPIED:
            return queryset.filter(pk__in=occupied_bookings())
        return queryset.filter(status__in=statuses.OPEN, attention__contains=[self.value()])


class ClosedFilter(admin.SimpleListFilter):
    """Filters for parties that nobody marked as gone, which the end of their day closed."""

    title = _("end of the visit")
    parameter_name = "closed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("assumed", _("Closed at the end of the day"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        if self.value() != "assumed":
            return queryset
        return queryset.filter(pk__in=Seating.objects.filter(assumed=True).values("booking"))


def _chosen_restaurant(request: HttpRequest) -> Restaurant | None:
    """Return the restaurant that a new booking's form has or starts with; None where there is none."""
    offered = {restaurant.pk: restaurant for restaurant in _restaurants(request)}
    chosen = request.POST.get("restaurant") or request.GET.get("restaurant")
    return offered.get(chosen or "") or next(iter(offered.values()), None)


def _restaurants(request: HttpRequest) -> QuerySet[Restaurant]:
    """Return the restaurants at which the caller may create bookings."""
    return visible(Restaurant.objects.all(), caller_for(request), Permission.BOOKING_CREATE)


@admin.register(Booking)
class BookingAdmin(TenantAdmin):
    may_view = Permission.BOOKING_READ
    may_add = Permission.BOOKING_CREATE
    may_change = Permission.BOOKING_UPDATE
    list_display = (
        "reference", "when", "party_size", "guest", "at", "shown_status", "look_at", "channel", "restaurant",
    )  # fmt: skip
    list_display_links = ("reference", "when")
    list_filter = (
        ("service_date", RangeDateFilter),
        ("restaurant", TenantRelatedFilter),
        ("sector", TenantRelatedFilter),
        "status",
        "channel",
        AttentionFilter,
        ClosedFilter,
    )
    list_filter_submit = True
    change_form_before_template = "admin/booking_seen.html"
    list_select_related = ("restaurant", "guest", "sector")
    date_hierarchy = "service_date"
    search_fields = ("reference__iexact", "guest__name", "guest__phone", "guest__email")
    search_help_text = _("Guest's name or phone, or the reference")
    ordering = ("-start",)
    readonly_fields = ("reference", "state", "look_at", "story")
    actions_submit_line = ("seat", "complete", "no_show", "cancel", "put_back")
    actions = ("seat_all", "complete_all", "no_show_all", "cancel_all", "put_back_all")

    class Media:
        js = (forms.Script("floor/booking-tables.js", type="module"),)

    def get_fieldsets(self, request: HttpRequest, obj: Booking | None = None) -> Any:
        seat = (("date", "time"), ("party_size", "duration_minutes"), "tables")
        person = (_("Guest"), {"fields": ("guest_name", ("guest_phone", "guest_email"), "notes")})
        if obj is None:
            return ((None, {"fields": ("restaurant", *seat)}), person)
        head: tuple[str, ...] = ("reference", "state")
        if obj.attention:
            head = (*head, "look_at")
        seen = (person,) if caller_for(request).may(Permission.GUEST_READ, obj.restaurant_id) else ()
        return ((None, {"fields": (head, *seat)}), *seen, (_("History"), {"fields": ("story",)}))

    def get_form(self, request: HttpRequest, obj: Booking | None = None, **kwargs: Any) -> Any:
        caller = caller_for(request)
        restaurant = obj.restaurant if obj is not None else _chosen_restaurant(request)
        tables = Table.objects.filter(active=True, sector__restaurant=restaurant).select_related("sector")
        choices = {"restaurant": _restaurants(request), "tables": tables.order_by("sector", *table_order())}
        return type("BookingForm", (BookingForm,), {"caller": caller, "choices": choices})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Start with today's service date at the selected restaurant, and a party of two."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        restaurant = _chosen_restaurant(request)
        if restaurant is None or not clock.is_known_zone(restaurant.zone):
            return {"party_size": 2} | initial
        today = {"date": board.today(restaurant.pk)}
        return today | {"party_size": 2} | initial

    def save_model(self, request: HttpRequest, obj: Booking, form: Any, change: bool) -> None:
        """Run the action of the button that was pressed; the service saved the form while it was cleaned."""
        for button in self.get_actions_submit_line(request, str(obj.pk)):
            if button.action_name in request.POST:
                button.method(request, obj)

    def get_actions_submit_line(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Return the buttons of the steps that the booking's status allows."""
        booking = self.get_object(request, unquote(object_id))
        endings = STEP_BUTTONS.get(booking.status, ()) if booking else ()
        return [
            button
            for button in super().get_actions_submit_line(request, object_id)
            if button.action_name.endswith(endings)
        ]

    def has_change_permission(self, request: HttpRequest, obj: Booking | None = None) -> bool:
        """Make finished bookings read-only."""
        over = obj is not None and obj.status not in statuses.OPEN
        return not over and super().has_change_permission(request, obj)

    @display(description=_("when"), ordering="start")
    def when(self, obj: Booking) -> str:
        return f"{local_start(obj):%d/%m/%Y %H:%M}"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Look up the names of all the page's tables with one query."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        tables = Table.objects.in_bulk({table_id for row in rows for table_id in row.table_ids})
        occupied = set(occupied_bookings())
        for row in rows:
            row.occupied = row.pk in occupied
            row.table_names = [str(tables.get(table_id, table_id)) for table_id in row.table_ids]
        changelist.result_list = rows
        return changelist

    @display(description=_("tables"))
    def at(self, obj: Any) -> str:
        return f"{obj.sector} · {' + '.join(obj.table_names)}"

    @display(description=_("needs attention"), ordering="attention", label="warning")
    def look_at(self, obj: Booking) -> str:
        flags = set(obj.attention) if obj.status in statuses.OPEN else set()
        if getattr(obj, "occupied", False):
            flags.add(Booking.Attention.OCCUPIED.value)
        return ", ".join(str(Booking.Attention(flag).label) for flag in sorted(flags))

    @display(
        description=_("status"),
        ordering="status",
        label={
            Status.CONFIRMED: "info",
            Status.SEATED: "success",
            Status.CANCELLED: "danger",
            Status.NO_SHOW: "warning",
        },
    )
    def shown_status(self, obj: Booking) -> tuple[str, str]:
        return obj.status, str(Status(obj.status).label)

    @display(description=_("status"))
    def state(self, obj: Booking) -> str:
        return str(Status(obj.status).label)

    @display(description=_("what happened"))
    def story(self, obj: Booking) -> SafeString:
        zone = clock.zone_or_utc(obj.restaurant.zone)
        return format_html_join(
            "",
            "<div>{} · {} · {}</div>",
            (
                (
                    f"{entry.occurred_at.astimezone(zone):%d/%m/%Y %H:%M}",
                    entry.label,
                    entry.actor,
                )
                for entry in story(obj.pk)
            ),
        )

    def _act(
        self, request: HttpRequest, bookings: Iterable[Booking], service: Callable[..., object], done: Any
    ) -> None:
        for booking in bookings:
            try:
                service(str(booking.pk), caller=caller_for(request))
            except DomainError as error:
                self.message_user(request, f"{booking.reference}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{booking.reference}: {done}", messages.SUCCESS)

    @action(description=_("Seat"))
    def seat(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], lifecycle.seat_booking, _("seated."))

    @action(description=_("Complete"))
    def complete(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], lifecycle.complete_booking, _("completed."))

    @action(description=_("No-show"))
    def no_show(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], lifecycle.no_show_booking, _("marked as a no-show."))

    @action(description=_("Cancel booking"))
    def cancel(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], lifecycle.cancel_booking, _("cancelled."))

    @action(description=_("Put back"))
    def put_back(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], reopen_booking, _("put back."))

    @admin.action(description=_("Seat"), permissions=["change"])
    def seat_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, lifecycle.seat_booking, _("seated."))

    @admin.action(description=_("Complete"), permissions=["change"])
    def complete_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, lifecycle.complete_booking, _("completed."))

    @admin.action(description=_("No-show"), permissions=["change"])
    def no_show_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, lifecycle.no_show_booking, _("marked as a no-show."))

    @admin.action(description=_("Cancel booking"), permissions=["change"])
    def cancel_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, lifecycle.cancel_booking, _("cancelled."))

    @admin.action(description=_("Put back"), permissions=["change"])
    def put_back_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, reopen_booking, _("put back."))
