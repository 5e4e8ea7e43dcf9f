"""Admin pages that save through services: a refusal is shown on the page, and nothing typed is lost.

Django calls ``save_model`` and ``save_related`` once its forms are valid; subclasses call services there.
When a service refuses, the whole save is rolled back and the same request is rendered again with a form
that carries the refusal: the page comes back as it was typed, with the error at its field. Where a refusal
can be confirmed, ``confirm_consequences`` adds what the page needs to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.db import OperationalError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext_lazy as _

from wokibrain.core.errors import DomainError, ServiceUnavailable
from wokibrain.office.base import TenantAdmin, show_at_fields
from wokibrain.postgres.diagnosis import sqlstate

LOCK_NOT_AVAILABLE: Final = "55P03"
"""The SQLSTATE of waiting too long for a lock."""


def submitted_rows(formset: Any) -> list[Any]:
    """Return the forms of the rows that remain after the save, in their order."""
    return [
        form
        for form in formset.forms
        if form.cleaned_data
        and not form.cleaned_data.get("DELETE")
        and (form.instance.pk or form.has_changed())
    ]


def changed_values(form: Any) -> dict[str, Any]:
    """Return the values that differ from what the page showed, by the model's field names."""
    return {name: form.cleaned_data[name] for name in form.changed_data if name in form.cleaned_data}


def mark_saved(formset: Any) -> None:
    """Record that the formset has nothing left to save; Django reads these lists for its log."""
    formset.new_objects = formset.changed_objects = formset.deleted_objects = []


class _RefusedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A valid form whose save was refused."""

    show_refusal: ClassVar[Callable[[forms.BaseForm], None]]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        self.show_refusal()


class ServiceAdmin(TenantAdmin):
    """Saves and deletes through services only; the ORM is for reading."""

    delete_confirmation_template = "admin/confirm_delete.html"
    form_fields: ClassVar[Mapping[str, str]] = {}
    """The services' field names that differ from the form's, mapped to the form's."""

    def show_refusal(self, form: forms.BaseForm, refusal: DomainError) -> None:
        """Add the errors of a refused save to the form."""
        show_at_fields(form, refusal, self.form_fields)

    def confirm_consequences(self, refusal: DomainError) -> dict[str, Any]:
        """Return the template context that lets the person confirm what ``refusal`` warns of."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        def render(context: dict[str, Any]) -> HttpResponse:
            response: HttpResponse = super(ServiceAdmin, self).changeform_view(
                request, object_id, form_url, (extra_context or {}) | context
            )
            return response

        return self._save_or_show_refusal(request, render)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        def render(context: dict[str, Any]) -> HttpResponse:
            if context:
                # After a refusal, show the confirmation page again instead of deleting.
                request.POST = QueryDict()
            response: HttpResponse = super(ServiceAdmin, self).delete_view(
                request, object_id, (extra_context or {}) | context
            )
            return response

        return self._save_or_show_refusal(request, render)

    def _save_or_show_refusal(
        self, request: HttpRequest, render: Callable[[dict[str, Any]], HttpResponse]
    ) -> HttpResponse:
        if request.method != "POST":
            return render({})
        try:
            with transaction.atomic():
                return render({})
        except DomainError as error:
            refusal = error
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            refusal = ServiceUnavailable(_("Another change is being saved right now. Please save again."))
        request._refusal = refusal  # type: ignore[attr-defined]
        return render({"refusal": refusal.detail} | self.confirm_consequences(refusal))

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        refusal = getattr(request, "_refusal", None)
        if refusal is None:
            return form

        def show_refusal(refused: forms.BaseForm) -> None:
            self.show_refusal(refused, refusal)

        return type(form.__name__, (_RefusedForm, form), {"show_refusal": show_refusal, "Meta": form.Meta})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        raise NotImplementedError

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        for formset in formsets:
            mark_saved(formset)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[Model]]:
        """List the objects themselves only: services decide what is deleted along with them."""
        return [str(obj) for obj in objs], {}, set(), []

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer no bulk deletion: each deletion may have consequences of its own to confirm."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
