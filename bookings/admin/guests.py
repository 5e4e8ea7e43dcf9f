"""Admin pages of guests, with their visits. Every write goes through the services."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.admin.booking_form import PHONE, clean_value
from bookings.models import Guest
from bookings.services.guests import update_guest
from bookings.statuses import Status
from wokibrain.core.permissions import Permission
from wokibrain.office.base import TenantRelatedFilter, caller_for, display
from wokibrain.office.service_admin import ServiceAdmin, changed_values


class GuestForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Guest
        fields = ("name", "phone", "email", "notes")

    def clean_phone(self) -> str:
        return clean_value(PHONE, self.cleaned_data["phone"])


@admin.register(Guest)
class GuestAdmin(ServiceAdmin):
    form = GuestForm
    may_view = Permission.GUEST_READ
    may_change = Permission.BOOKING_UPDATE
    list_display = ("display_name", "phone", "email", "restaurant", "visits")
    list_filter = (("restaurant", TenantRelatedFilter),)
    list_select_related = ("restaurant",)
    search_fields = ("name", "phone", "email")
    # Counting visits drops the model's own order, without which pages and pickers may repeat rows.
    ordering = ("name", "id")
    fields = (("name", "restaurant"), ("phone", "email"), "notes", "visits")
    readonly_fields = ("restaurant", "visits")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Guest]:
        rows: QuerySet[Guest] = super().get_queryset(request)
        return rows.annotate(
            came=Count("bookings", filter=Q(bookings__status=Status.COMPLETED)),
            missed=Count("bookings", filter=Q(bookings__status=Status.NO_SHOW)),
        )

    def has_change_permission(self, request: HttpRequest, obj: Guest | None = None) -> bool:
        """Keep erased guests empty."""
        return (obj is None or obj.erased_at is None) and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Guest, form: Any, change: bool) -> None:
        if settings := changed_values(form):
            update_guest(caller=caller_for(request), guest_id=obj.pk, settings=settings)

    def log_change(self, request: HttpRequest, obj: Guest, message: Any) -> Any:
        """Log the id only: Django's log is kept for ever, and a name in it would survive the guest's erasure."""
        return super().log_change(request, Guest(pk=obj.pk), message)

    @display(description=_("name"), ordering="name")
    def display_name(self, obj: Guest) -> str:
        return obj.name or str(_("(no name)"))

    @display(description=_("visits"), ordering="came")
    def visits(self, obj: Any) -> str:
        return str(format_lazy(_("{done}, no-shows {missed}"), done=obj.came, missed=obj.missed))
