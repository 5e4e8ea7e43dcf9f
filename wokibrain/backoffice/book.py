"""Bookings, table blocks and guests. Every write goes through the services."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Final, TypeVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import TypeAdapter, ValidationError
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminTimeWidget,
)

from bookings import blocks, changes, services
from bookings import plan as plans
from bookings.changes import Change
from bookings.models import Booking, Guest, TableBlock
from bookings.records import BookingRecord
from bookings.rules import Contact, NewBooking
from restaurants.models import MAX_PARTY, Restaurant, Table
from wokibrain import clock
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.backoffice.base import TenantAdmin, action, caller_for, display, show_at_fields, visible
from wokibrain.errors import DomainError, ValidationFailed
from wokibrain.events.models import StoredEvent
from wokibrain.fields import PhoneOrEmpty, ServiceDate, message_for

FIELDS: Final = {
    "partySize": "party_size",
    "durationMinutes": "duration_minutes",
    "tableIds": "tables",
    "sectorId": "tables",
    "restaurantId": "restaurant",
    "date": "date",
    "start": "time",
    "guestPhone": "guest_phone",
    "guestEmail": "guest_email",
}
"""A field as the services spell it -> the form's."""


STEPS: Final[dict[str, tuple[str, ...]]] = {
    "CONFIRMED": ("_seat", "_no_show", "_cancel"),
    "SEATED": ("_complete",),
}
"""Status -> the ends of the names of the buttons offered."""
Value = TypeVar("Value")
DATE: Final[TypeAdapter[date]] = TypeAdapter(ServiceDate)
PHONE: Final[TypeAdapter[str]] = TypeAdapter(PhoneOrEmpty)


def typed(kind: TypeAdapter[Value], text: str) -> Value:
    """``text`` as the API would read it, or its complaint as the form's."""
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise forms.ValidationError(str(message_for(error.errors()[0]))) from None


def instant_at(restaurant_id: str, service_date: date, wall: time) -> datetime:
    """The instant a wall time means on a service date: after midnight where the night goes on that long."""
    plan = plans.recent(restaurant_id)
    day = plan.day(service_date)
    instant = datetime.combine(service_date, wall, plan.zone)
    later = datetime.combine(service_date + timedelta(days=1), wall, plan.zone)
    if day.spans and instant < day.origin and day.slot_of(later) < day.slots:
        return later
    return instant


class BookingForm(forms.ModelForm):  # type: ignore[type-arg]
    """What staff type for a booking. Cleaning it is what books: a refusal is an error of its field."""

    caller: ClassVar[Caller]
    offered: ClassVar[dict[str, QuerySet[Any]]]
    """What the pickers offer this person."""
    record: BookingRecord | None = None

    date = forms.DateField(label=_("service date"), widget=UnfoldAdminDateWidget)
    time = forms.TimeField(
        label=_("time"), widget=UnfoldAdminTimeWidget(format="%H:%M"), help_text=_("On the quarter hour.")
    )
    party_size = forms.IntegerField(
        label=_("party"), min_value=1, max_value=MAX_PARTY, widget=UnfoldAdminIntegerFieldWidget
    )
    duration_minutes = forms.IntegerField(
        label=_("duration"),
        required=False,
        min_value=15,
        max_value=1440,
        step_size=15,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Minutes; empty for the usual time of such a party."),
    )
    tables: forms.ModelMultipleChoiceField[Table] = forms.ModelMultipleChoiceField(
        Table.objects.none(),
        label=_("tables"),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_("Empty for the best that are free."),
    )
    guest_name = forms.CharField(
        label=_("guest"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget
    )
    guest_phone = forms.CharField(
        label=_("phone"), required=False, max_length=32, widget=UnfoldAdminTextInputWidget
    )
    guest_email = forms.EmailField(
        label=_("e-mail"), required=False, max_length=254, widget=UnfoldAdminEmailInputWidget
    )
    notes = forms.CharField(
        label=_("notes"), required=False, max_length=1000, widget=UnfoldAdminTextareaWidget
    )

    restaurant: forms.ModelChoiceField[Restaurant] = forms.ModelChoiceField(
        Restaurant.objects.none(), label=_("restaurant"), widget=UnfoldAdminSelectWidget, empty_label=None
    )

    class Meta:
        model = Booking
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance: Booking | None = kwargs.get("instance")
        if instance is not None:
            kwargs["initial"] = self._now(instance) | kwargs.get("initial", {})
        super().__init__(*args, **kwargs)
        if instance is not None:
            del self.fields["restaurant"]
        for name in ("restaurant", "tables"):
            if name in self.fields:
                self.fields[name].queryset = self.offered[name]  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.label = capfirst(str(field.label))
        self.fields["tables"].label_from_instance = _label  # type: ignore[attr-defined]

    @staticmethod
    def _now(booking: Booking) -> dict[str, Any]:
        start = booking.start.astimezone(clock.zone(booking.restaurant.zone))
        guest = booking.guest or Guest()
        return {
            "date": booking.service_date,
            "time": start.time().replace(second=0, microsecond=0),
            "party_size": booking.party_size,
            "duration_minutes": booking.duration_minutes,
            "tables": booking.table_ids,
            "guest_name": guest.name,
            "guest_phone": guest.phone,
            "guest_email": guest.email,
            "notes": booking.notes,
        }

    def clean_date(self) -> dt.date:
        return typed(DATE, self.cleaned_data["date"].isoformat())

    def clean_guest_phone(self) -> str:
        return typed(PHONE, self.cleaned_data["guest_phone"])

    def _post_clean(self) -> None:
        """The service has validated and written it."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                self.record = self._create(data) if self.instance._state.adding else self._change(data)
            except DomainError as error:
                show_at_fields(self, error, FIELDS)
        return data

    def _create(self, data: dict[str, Any]) -> BookingRecord:
        restaurant: Restaurant = data["restaurant"]
        made = services.create_booking(
            caller=self.caller,
            wanted=NewBooking(
                restaurant_id=restaurant.pk,
                party_size=data["party_size"],
                date=data["date"],
                start=self._start(restaurant.pk, data),
                duration_minutes=data["duration_minutes"],
                table_ids=_ids(data["tables"]) or None,
                contact=Contact(data["guest_name"], data["guest_email"], data["guest_phone"]),
                notes=data["notes"],
                channel=Booking.Channel.STAFF,
            ),
        )
        assert isinstance(made, BookingRecord), "there is no ticket to replay"
        return made

    def _change(self, data: dict[str, Any]) -> BookingRecord:
        """Only what was typed anew is asked for, so that the rest cannot be refused."""
        old, touched = self.instance, set(self.changed_data)
        tables = _ids(data["tables"])
        changed = changes.update_booking(
            caller=self.caller,
            booking=str(old.pk),
            change=Change(
                party_size=data["party_size"] if "party_size" in touched else None,
                duration_minutes=data["duration_minutes"] if "duration_minutes" in touched else None,
                date=data["date"] if "date" in touched else None,
                start=self._start(old.restaurant_id, data) if touched & {"date", "time"} else None,
                table_ids=tables if tables and tables != frozenset(old.table_ids) else None,
                sector_id=next((table.sector_id for table in data["tables"]), None) if tables else None,
                guest_name=data["guest_name"] if "guest_name" in touched else None,
                guest_email=data["guest_email"] if "guest_email" in touched else None,
                guest_phone=data["guest_phone"] if "guest_phone" in touched else None,
                notes=data["notes"] if "notes" in touched else None,
            ),
        )
        assert isinstance(changed, BookingRecord), "there is no ticket to replay"
        return changed

    @staticmethod
    def _start(restaurant_id: str, data: dict[str, Any]) -> datetime:
        wall: time = data["time"]
        if wall.minute % 15 or wall.second:
            raise ValidationFailed.at("start", _("Times lie on quarter hours."))
        return instant_at(restaurant_id, data["date"], wall)

    def save(self, commit: bool = True) -> Booking:
        """The row as the service wrote it."""
        assert self.record is not None, "only a clean form is saved"
        booking: Booking = Booking.objects.get(pk=self.record.id)
        self.instance = booking
        return booking

    def _save_m2m(self) -> None:
        """The service has written everything."""

    save_m2m = _save_m2m


def _label(table: Table) -> str:
    return f"{table.sector} · {table}"


def _ids(tables: Any) -> frozenset[str]:
    return frozenset(table.pk for table in tables)


@admin.register(Booking)
class BookingAdmin(TenantAdmin):
    may_view = Permission.BOOKING_READ
    may_add = Permission.BOOKING_CREATE
    may_change = Permission.BOOKING_UPDATE
    list_display = ("reference", "when", "party_size", "guest", "at", "shown_status", "channel", "restaurant")
    list_display_links = ("reference", "when")
    list_filter = (("service_date", RangeDateFilter), "restaurant", "sector", "status", "channel")
    list_filter_submit = True
    list_select_related = ("restaurant", "guest", "sector")
    date_hierarchy = "service_date"
    search_fields = ("reference__iexact", "guest__name", "guest__phone", "guest__email")
    search_help_text = _("Guest's name or phone, or the reference")
    ordering = ("-start",)
    readonly_fields = ("reference", "state", "story")
    actions_submit_line = ("seat", "complete", "no_show", "cancel")
    actions = ("seat_all", "complete_all", "no_show_all", "cancel_all")

    def get_fieldsets(self, request: HttpRequest, obj: Booking | None = None) -> Any:
        seat = (("date", "time"), ("party_size", "duration_minutes"), "tables")
        person = (_("Guest"), {"fields": ("guest_name", ("guest_phone", "guest_email"), "notes")})
        if obj is None:
            return ((None, {"fields": ("restaurant", *seat)}), person)
        head = ("reference", "state")
        return (
            (None, {"fields": (head, *seat)}),
            person,
            (_("History"), {"fields": ("story",)}),
        )

    def get_form(self, request: HttpRequest, obj: Booking | None = None, **kwargs: Any) -> Any:
        caller = caller_for(request)
        tables = Table.objects.filter(active=True).select_related("sector")
        if obj is not None:
            tables = tables.filter(sector__restaurant_id=obj.restaurant_id)
        else:
            tables = visible(tables, "sector__restaurant_id", caller, Permission.BOOKING_CREATE)
        places = visible(Restaurant.objects.all(), "pk", caller, Permission.BOOKING_CREATE)

        offered = {"restaurant": places, "tables": tables.order_by("sector", "position")}
        return type("BookingForm", (BookingForm,), {"caller": caller, "offered": offered})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"date": clock.now().date(), "party_size": 2} | given

    def save_model(self, request: HttpRequest, obj: Booking, form: Any, change: bool) -> None:
        """The service wrote it while the form was cleaned; what is left is the button that was pressed."""
        for each in self.get_actions_submit_line(request, str(obj.pk)):
            if each.action_name in request.POST:
                each.method(request, obj)

    def get_actions_submit_line(self, request: HttpRequest, object_id: str) -> list[Any]:
        """The steps that the booking's status allows."""
        status = Booking.objects.filter(pk=object_id).values_list("status", flat=True).first()
        wanted = STEPS.get(status or "", ())
        return [
            each
            for each in super().get_actions_submit_line(request, object_id)
            if each.action_name.endswith(wanted)
        ]

    def has_change_permission(self, request: HttpRequest, obj: Booking | None = None) -> bool:
        """What is over is looked at, not edited."""
        over = obj is not None and obj.status not in (Booking.Status.CONFIRMED, Booking.Status.SEATED)
        return not over and super().has_change_permission(request, obj)

    @display(description=_("when"), ordering="start")
    def when(self, obj: Booking) -> str:
        return f"{obj.start.astimezone(clock.zone(obj.restaurant.zone)):%d/%m/%Y %H:%M}"

    @display(description=_("tables"))
    def at(self, obj: Booking) -> str:
        names = {table.pk: str(table) for table in Table.objects.filter(pk__in=obj.table_ids)}
        return f"{obj.sector} · {' + '.join(names.get(each, each) for each in obj.table_ids)}"

    @display(
        description=_("status"),
        ordering="status",
        label={"CONFIRMED": "info", "SEATED": "success", "CANCELLED": "danger", "NO_SHOW": "warning"},
    )
    def shown_status(self, obj: Booking) -> tuple[str, str]:
        return obj.status, str(Booking.Status(obj.status).label)

    @display(description=_("status"))
    def state(self, obj: Booking) -> str:
        return str(Booking.Status(obj.status).label)

    @display(description=_("what happened"))
    def story(self, obj: Booking) -> str:
        zone = clock.zone(obj.restaurant.zone)
        events = StoredEvent.objects.filter(aggregate_type="booking", aggregate_id=str(obj.pk))
        return format_html_join(
            "",
            "<div>{} · {} · {}</div>",
            (
                (
                    f"{each.occurred_at.astimezone(zone):%d/%m %H:%M:%S}",
                    each.event_type,
                    each.metadata["actor"],
                )
                for each in events.order_by("version")
            ),
        )

    def _act(
        self, request: HttpRequest, bookings: Iterable[Booking], service: Callable[..., object], done: Any
    ) -> None:
        for booking in bookings:
            try:
                service(caller=caller_for(request), booking=str(booking.pk))
            except DomainError as error:
                self.message_user(request, f"{booking.reference}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{booking.reference}: {done}", messages.SUCCESS)

    @action(description=_("Seat"))
    def seat(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], services.seat_booking, _("seated."))

    @action(description=_("Complete"))
    def complete(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], services.complete_booking, _("completed."))

    @action(description=_("No-show"))
    def no_show(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], services.no_show_booking, _("marked as a no-show."))

    @action(description=_("Cancel booking"))
    def cancel(self, request: HttpRequest, obj: Booking) -> None:
        self._act(request, [obj], services.cancel_booking, _("cancelled."))

    @admin.action(description=_("Seat"), permissions=["change"])
    def seat_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, services.seat_booking, _("seated."))

    @admin.action(description=_("Complete"), permissions=["change"])
    def complete_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, services.complete_booking, _("completed."))

    @admin.action(description=_("No-show"), permissions=["change"])
    def no_show_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, services.no_show_booking, _("marked as a no-show."))

    @admin.action(description=_("Cancel booking"), permissions=["change"])
    def cancel_all(self, request: HttpRequest, rows: QuerySet[Booking]) -> None:
        self._act(request, rows, services.cancel_booking, _("cancelled."))


class BlockForm(forms.ModelForm):  # type: ignore[type-arg]
    """A block as the restaurant's clocks say it; cleaning it is what blocks."""

    caller: ClassVar[Caller]
    start = forms.SplitDateTimeField(label=_("start"), widget=UnfoldAdminSplitDateTimeWidget)
    end = forms.SplitDateTimeField(label=_("end"), widget=UnfoldAdminSplitDateTimeWidget)
    made: TableBlock | None = None

    class Meta:
        model = TableBlock
        fields = ("table", "start", "end", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        zone = clock.zone(data["table"].sector.restaurant.zone)
        start, end = (data[edge].replace(tzinfo=zone) for edge in ("start", "end"))
        try:
            self.made = blocks.block_table(
                caller=self.caller, table_id=data["table"].pk, start=start, end=end, reason=data["reason"]
            )
        except DomainError as error:
            show_at_fields(self, error, {"tableId": "table"})
        return data

    def _post_clean(self) -> None:
        """The service has validated and written it."""

    def save(self, commit: bool = True) -> TableBlock:
        assert self.made is not None, "only a clean form is saved"
        self.instance = self.made
        self.save_m2m = self._nothing_more  # type: ignore[method-assign]
        return self.made

    def _nothing_more(self) -> None:
        """There is nothing many-to-many about a block."""


@admin.register(TableBlock)
class TableBlockAdmin(TenantAdmin):
    form = BlockForm
    restaurant_path = "table__sector__restaurant_id"
    may_view = Permission.TABLE_READ
    may_add = may_delete = Permission.TABLE_UPDATE
    list_display = ("table", "from_", "to", "reason")
    list_filter = ("table__sector__restaurant", "table__sector")
    list_select_related = ("table__sector__restaurant",)
    date_hierarchy = "start"

    def get_form(self, request: HttpRequest, obj: TableBlock | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.caller = caller_for(request)
        return form

    def save_model(self, request: HttpRequest, obj: TableBlock, form: Any, change: bool) -> None:
        """The service wrote it while the form was cleaned."""

    def delete_model(self, request: HttpRequest, obj: TableBlock) -> None:
        blocks.unblock_table(caller=caller_for(request), table_id=obj.table_id, block_id=str(obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TableBlock]) -> None:
        for block in queryset:
            self.delete_model(request, block)

    @display(description=_("start"), ordering="start")
    def from_(self, obj: TableBlock) -> str:
        return self._local(obj, obj.start)

    @display(description=_("end"), ordering="end")
    def to(self, obj: TableBlock) -> str:
        return self._local(obj, obj.end)

    @staticmethod
    def _local(obj: TableBlock, instant: datetime) -> str:
        return f"{instant.astimezone(clock.zone(obj.table.sector.restaurant.zone)):%d/%m/%Y %H:%M}"


@admin.register(Guest)
class GuestAdmin(TenantAdmin):
    may_view = Permission.GUEST_READ
    may_change = Permission.BOOKING_UPDATE
    list_display = ("named", "phone", "email", "restaurant", "visits")
    list_filter = ("restaurant",)
    search_fields = ("name", "phone", "email")
    fields = (("name", "restaurant"), ("phone", "email"), "notes", "visits")
    readonly_fields = ("restaurant", "visits")

    @display(description=_("name"), ordering="name")
    def named(self, obj: Guest) -> str:
        return obj.name or str(_("(no name)"))

    @display(description=_("visits"))
    def visits(self, obj: Guest) -> str:
        done = obj.bookings.filter(status=Booking.Status.COMPLETED).count()
        missed = obj.bookings.filter(status=Booking.Status.NO_SHOW).count()
        return str(format_lazy(_("{done}, no-shows {missed}"), done=done, missed=missed))
