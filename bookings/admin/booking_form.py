"""The form of a booking in the admin; cleaning it calls the services."""

from __future__ import annotations

import datetime as dt
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Final, TypeVar

from django import forms
from django.db.models import QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from pydantic import TypeAdapter, ValidationError
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminTimeWidget,
)

from bookings.availability import plan as plans
from bookings.models import Booking, Guest
from bookings.repository.records import BookingRecord, Contact, local_start
from bookings.services import change, create
from bookings.services.change import CHANGED_SINCE, Change
from bookings.services.create import NewBooking
from restaurants.models import MAX_PARTY, Restaurant, Table
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, DomainError, ValidationFailed
from wokibrain.core.permissions import Permission
from wokibrain.office.base import show_at_fields
from wokibrain.rest.fields import PhoneOrEmpty, ServiceDate, message_for

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
"""The services' field names -> the form's."""

PRIVATE_FIELDS: Final = ("guest_name", "guest_phone", "guest_email", "notes")
"""The fields of an existing booking that are only for those with ``guest:read``."""
Value = TypeVar("Value")
DATE: Final[TypeAdapter[date]] = TypeAdapter(ServiceDate)
PHONE: Final[TypeAdapter[str]] = TypeAdapter(PhoneOrEmpty)


def clean_value(kind: TypeAdapter[Value], text: str) -> Value:
    """Return ``text`` as the API parses it. Raises forms.ValidationError with the API's message."""
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise forms.ValidationError(str(message_for(error.errors()[0]))) from None


def instant_at(restaurant_id: str, service_date: date, wall: time) -> datetime:
    """Return the instant of a wall time on a service date, after midnight where the service runs that late."""
    plan = plans.recent(restaurant_id)
    day = plan.day(service_date)
    instant = datetime.combine(service_date, wall, plan.zone)
    later = datetime.combine(service_date + timedelta(days=1), wall, plan.zone)
    if day.spans and instant < day.origin and day.slot_of(later) < day.slots:
        return later
    return instant


class BookingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A booking as staff enter it. Cleaning calls the service, so a refusal is an error at its field."""

    caller: ClassVar[Caller]
    choices: ClassVar[dict[str, QuerySet[Any]]]
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
        help_text=_("Minutes; empty for the usual turn time of this party size."),
    )
    tables: forms.ModelMultipleChoiceField[Table] = forms.ModelMultipleChoiceField(
        Table.objects.none(),
        label=_("tables"),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_("Empty to assign the best free tables."),
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

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    """The version that the page showed, to notice changes made since."""
    restaurant: forms.ModelChoiceField[Restaurant] = forms.ModelChoiceField(
        Restaurant.objects.none(), label=_("restaurant"), widget=UnfoldAdminSelectWidget, empty_label=None
    )

    class Meta:
        model = Booking
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance: Booking | None = kwargs.get("instance")
        if instance is not None:
            kwargs["initial"] = self._initial_values(instance) | kwargs.get("initial", {})
        super().__init__(*args, **kwargs)
        del self.fields["seen" if instance is None else "restaurant"]
        if instance is not None and not self.caller.may(Permission.GUEST_READ, instance.restaurant_id):
            for name in PRIVATE_FIELDS:
                del self.fields[name]
        for name in ("restaurant", "tables"):
            if name in self.fields:
                self.fields[name].queryset = self.choices[name]  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.label = capfirst(str(field.label))
        self.fields["tables"].label_from_instance = _label  # type: ignore[attr-defined]
        if instance is not None and self.is_bound and "duration_minutes" not in self.changed_data:
            # A stay cut short at closing may not end on a quarter hour; unchanged, it must not be refused.
            self.fields["duration_minutes"].validators = []

    def _initial_values(self, booking: Booking) -> dict[str, Any]:
        guest = booking.guest or Guest()
        return {
            "date": booking.service_date,
            "time": local_start(booking).time().replace(second=0, microsecond=0),
            "party_size": booking.party_size,
            "duration_minutes": booking.duration_minutes,
            # Only selectable tables, or a table retired since would count as removed by hand.
            "tables": list(
                self.choices["tables"].filter(pk__in=booking.table_ids).values_list("pk", flat=True)
            ),
            "guest_name": guest.name,
            "guest_phone": guest.phone,
            "guest_email": guest.email,
            "notes": booking.notes,
            "seen": _stamp(booking),
        }

    def clean_date(self) -> dt.date:
        return clean_value(DATE, self.cleaned_data["date"].isoformat())

    def clean_guest_phone(self) -> str:
        return clean_value(PHONE, self.cleaned_data["guest_phone"])

    def _post_clean(self) -> None:
        """Nothing: the service has validated and saved the booking."""

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
        booking = create.create_booking(
            caller=self.caller,
            new=NewBooking(
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
        assert isinstance(booking, BookingRecord), "without a ticket there is nothing to replay"
        return booking

    def _change(self, data: dict[str, Any]) -> BookingRecord:
        """Request only the changed fields, so that the others cannot be refused.

        Changes are relative to what the page showed, so the booking must not have changed since.
        """
        booking, changed_fields = self.instance, set(self.changed_data)
        if data["seen"] != _stamp(booking):
            raise Conflict(CHANGED_SINCE)
        tables = data["tables"] if "tables" in changed_fields else ()
        record = change.update_booking(
            str(booking.pk),
            caller=self.caller,
            change=Change(
                party_size=data["party_size"] if "party_size" in changed_fields else None,
                duration_minutes=data["duration_minutes"] if "duration_minutes" in changed_fields else None,
                date=data["date"] if "date" in changed_fields else None,
                start=self._start(booking.restaurant_id, data) if changed_fields & {"date", "time"} else None,
                table_ids=_ids(tables) or None,
                sector_id=next((table.sector_id for table in tables), None),
                guest_name=data["guest_name"] if "guest_name" in changed_fields else None,
                guest_email=data["guest_email"] if "guest_email" in changed_fields else None,
                guest_phone=data["guest_phone"] if "guest_phone" in changed_fields else None,
                notes=data["notes"] if "notes" in changed_fields else None,
            ),
            version=booking.version,
        )
        assert isinstance(record, BookingRecord), "without a ticket there is nothing to replay"
        return record

    @staticmethod
    def _start(restaurant_id: str, data: dict[str, Any]) -> datetime:
        wall: time = data["time"]
        if wall.minute % 15 or wall.second:
            raise ValidationFailed.at("start", _("Times must be on a quarter hour."))
        return instant_at(restaurant_id, data["date"], wall)

    def save(self, commit: bool = True) -> Booking:
        """Return the row that the service saved."""
        assert self.record is not None, "only a clean form is saved"
        booking: Booking = Booking.objects.get(pk=self.record.id)
        self.instance = booking
        return booking

    def _save_m2m(self) -> None:
        """Nothing: the service has saved everything."""

    save_m2m = _save_m2m


def _label(table: Table) -> str:
    return f"{table.sector} · {table}"


def _stamp(booking: Booking) -> str:
    """Return a value that differs after any change of the booking or its guest."""
    guest = booking.guest
    return f"{booking.version}@{guest.updated_at.isoformat() if guest else ''}"


def _ids(tables: Any) -> frozenset[str]:
    return frozenset(table.pk for table in tables)
