"""Admin pages that change a restaurant's plan: bookings left without their place are listed and confirmed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from restaurants.services.audit import API_NAMES
from restaurants.services.plan_guard import StrandsBookings
from wokibrain.core.errors import DomainError
from wokibrain.office.service_admin import ServiceAdmin


def acknowledged(request: HttpRequest) -> str | None:
    """Return the token of the list of stranded bookings whose box was ticked; None where none was."""
    return request.POST.get("_acknowledge")


class PlanAdmin(ServiceAdmin):
    """Saves through services, and lists the bookings that a change would strand, with a box to tick."""

    change_form_before_template = "admin/stranded.html"
    form_fields = {spelling: field for field, spelling in API_NAMES.items()}

    def show_refusal(self, form: forms.BaseForm, refusal: DomainError) -> None:
        if isinstance(refusal, StrandsBookings):
            form.add_error(
                None,
                str(_("Nothing has been saved yet: some bookings would lose their place. See the list.")),
            )
        else:
            super().show_refusal(form, refusal)

    def confirm_consequences(self, refusal: DomainError) -> dict[str, Any]:
        if not isinstance(refusal, StrandsBookings):
            return {}
        return {"stranded": refusal.stranded, "acknowledge": refusal.extra["acknowledge"]}
