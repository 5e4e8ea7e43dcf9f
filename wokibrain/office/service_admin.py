"""Saving by the services on the admin's pages: what they refuse is said on the page, and nothing typed is lost.

The admin calls ``save_model`` and ``save_related`` when its forms are valid. An admin of ours calls services there.
Where one refuses, all of the save is rolled back and the same request is answered once more, now with a form that
knows of the refusal: the page comes back as it was typed, the error at its field, and the bookings that would be
stranded in a list with a box to tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.db import OperationalError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext_lazy as _

from bookings.models import Booking
from restaurants.services.audit import SPELLED
from restaurants.services.plan_guard import StrandsBookings
from wokibrain.core import clock
from wokibrain.core.errors import DomainError, ServiceUnavailable
from wokibrain.office.base import TenantAdmin, show_at_fields
from wokibrain.postgres.diagnosis import sqlstate

BUSY: Final = "55P03"
"""Postgres: a lock was waited for too long."""
FIELDS: Final[Mapping[str, str]] = {spelled: field for field, spelled in SPELLED.items()}
"""A field as the services spell it -> the model's, which is the form's too."""


def acknowledged(request: HttpRequest) -> str | None:
    """The token of the list of stranded bookings that was ticked off, if one was."""
    return request.POST.get("_acknowledge")


def typed_rows(formset: Any) -> list[Any]:
    """The forms of a formset that stand for a row that is to be, in their order."""
    return [
        form
        for form in formset.forms
        if form.cleaned_data
        and not form.cleaned_data.get("DELETE")
        and (form.instance.pk or form.has_changed())
    ]


def settings_of(form: Any) -> dict[str, Any]:
    """The model's fields that were typed anew."""
    return {name: form.cleaned_data[name] for name in form.changed_data if name in form.cleaned_data}


def saved_elsewhere(formset: Any) -> None:
    """Tell the admin, which keeps a log, that nothing is left for it to save."""
    formset.new_objects = formset.changed_objects = formset.deleted_objects = []


class _RefusedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that was valid, and is refused all the same."""

    refusal: ClassVar[DomainError]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if isinstance(self.refusal, StrandsBookings):
            self.add_error(
                None, str(_("Nothing is saved yet: bookings would lose their place. See the list."))
            )
        else:
            show_at_fields(self, self.refusal, FIELDS)


class ServiceAdmin(TenantAdmin):
    """Saves and deletes by services alone; the ORM is asked to read."""

    change_form_before_template = "admin/stranded.html"
    delete_confirmation_template = "admin/confirm_delete.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        def answer(context: dict[str, Any]) -> HttpResponse:
            shown: HttpResponse = super(ServiceAdmin, self).changeform_view(
                request, object_id, form_url, (extra_context or {}) | context
            )
            return shown

        return self._answered(request, answer)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        def answer(context: dict[str, Any]) -> HttpResponse:
            if context:
                # Asked once more, it is not to be done but to be confirmed.
                request.POST = QueryDict()
            shown: HttpResponse = super(ServiceAdmin, self).delete_view(
                request, object_id, (extra_context or {}) | context
            )
            return shown

        return self._answered(request, answer)

    @staticmethod
    def _answered(request: HttpRequest, answer: Callable[[dict[str, Any]], HttpResponse]) -> HttpResponse:
        if request.method != "POST":
            return answer({})
        try:
            with transaction.atomic():
                return answer({})
        except DomainError as error:
            refusal = error
        except OperationalError as error:
            if sqlstate(error) != BUSY:
                raise
            refusal = ServiceUnavailable(_("Somebody is booking here just now; save once more."))
        request._refusal = refusal  # type: ignore[attr-defined]
        return answer({"refusal": refusal.detail} | stranded_by(refusal))

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        refusal = getattr(request, "_refusal", None)
        if refusal is None:
            return form
        return type(form.__name__, (_RefusedForm, form), {"refusal": refusal, "Meta": form.Meta})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        raise NotImplementedError

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        for formset in formsets:
            saved_elsewhere(formset)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[Model]]:
        """The thing itself: the services know what may go with it, and a thousand bookings are no page."""
        return [str(each) for each in objs], {}, set(), []

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One by one: each may strand bookings of its own."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


def stranded_by(refusal: DomainError) -> dict[str, Any]:
    """What the page shows of the bookings that a change would strand."""
    if not isinstance(refusal, StrandsBookings):
        return {}
    rows = Booking.objects.select_related("restaurant", "guest").in_bulk(
        [each.id for each in refusal.stranded]
    )
    bookings = {str(pk): booking for pk, booking in rows.items()}
    return {
        "acknowledge": refusal.extra["acknowledge"],
        "stranded": [
            {
                "booking": booking,
                "time": f"{booking.start.astimezone(clock.zone(booking.restaurant.zone)):%H:%M}",
                "why": Booking.Attention(each.cause).label,
                "more": each.why,
            }
            for each in refusal.stranded
            if (booking := bookings.get(each.id))
        ],
    }
