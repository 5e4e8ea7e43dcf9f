"""What every page of the back office stands on: who is asking, and only their restaurants.

Nothing here looks at Django's own permissions: what a person may do follows from the memberships,
as it does for every other caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold import decorators
from unfold.admin import ModelAdmin, TabularInline

from restaurants.models import Restaurant, Sector, Table
from wokibrain.access.credentials import caller_of_user
from wokibrain.access.staff import is_staff
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission

Row = TypeVar("Row", bound=Model)

NOBODY: Final = Caller(CallerKind.ANONYMOUS, "nobody")
PATHS: Mapping[type[Model], str] = {
    Restaurant: "pk",
    Sector: "restaurant_id",
    Table: "sector__restaurant_id",
}
"""Model -> the lookup of its restaurant's id, for pickers."""


def caller_for(request: HttpRequest) -> Caller:
    """The signed-in person as a caller, looked up once a request."""
    caller = getattr(request, "_caller", None)
    if caller is None:
        # The login page asks too what it may show.
        caller = caller_of_user(cast(User, request.user)) if is_staff(request.user) else NOBODY
        request._caller = caller  # type: ignore[attr-defined]
    return cast(Caller, caller)


def visible(rows: QuerySet[Row], path: str, caller: Caller, permission: Permission) -> QuerySet[Row]:
    """The rows of restaurants where the caller holds ``permission``; ``path`` leads to their id."""
    places = caller.restaurants(permission)
    return rows if places is None else rows.filter(**{f"{path}__in": places})


def place_of(row: Model, path: str) -> str:
    """The restaurant's id of a row, along the same path."""
    value: Any = row
    for step in path.split("__"):
        value = getattr(value, step)
    return str(value)


def show_at_fields(form: forms.BaseForm, error: DomainError, fields: Mapping[str, str]) -> None:
    """Put a refusal where it belongs: at the form's field for each issue, else above the form."""
    if not error.issues:
        form.add_error(None, str(error.detail))
    for issue in error.issues:
        name = fields.get(issue.path, issue.path)
        form.add_error(name if name in form.fields else None, str(issue.message))


Method = TypeVar("Method", bound=Callable[..., Any])


def display(**options: Any) -> Callable[[Method], Method]:
    """Unfold's decorator for a column, with its types kept."""
    return cast(Callable[[Method], Method], decorators.display(**options))


def action(**options: Any) -> Callable[[Method], Method]:
    """Unfold's decorator for a button, with its types kept."""
    return cast(Callable[[Method], Method], decorators.action(**options))


class Tenants:
    """Rows of one's own restaurants only, and what may be done there by the roles held there.

    None for a permission means that nobody does it here.
    """

    restaurant_path: ClassVar[str] = "restaurant_id"
    may_view: ClassVar[Permission] = Permission.RESTAURANT_READ
    may_add: ClassVar[Permission | None] = None
    may_change: ClassVar[Permission | None] = None
    may_delete: ClassVar[Permission | None] = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return visible(rows, self.restaurant_path, caller_for(request), self.may_view)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.may_view, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.may_add)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.may_change, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.may_delete, obj)

    def _may(self, request: HttpRequest, permission: Permission | None, obj: Any = None) -> bool:
        if permission is None:
            return False
        caller = caller_for(request)
        model = self.model  # type: ignore[attr-defined]
        if isinstance(obj, model):
            return caller.may(permission, place_of(obj, self.restaurant_path))
        return caller.restaurants(permission) != frozenset()

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        """Pickers offer what one may see, and nothing of another restaurant."""
        target = db_field.remote_field.model
        if target in PATHS and "queryset" not in kwargs:
            needed = self.may_change or self.may_add or self.may_view
            rows = target._default_manager.all()
            kwargs["queryset"] = visible(rows, PATHS[target], caller_for(request), needed)
        field: forms.ModelChoiceField[Any] | None = super().formfield_for_foreignkey(  # type: ignore[misc]
            db_field, request, **kwargs
        )
        return field


class Theirs(admin.RelatedFieldListFilter):
    """A list's filter by restaurant or sector that offers those whose rows the person may see.

    Django's own offers every row there is.
    """

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        places = caller_for(request).restaurants(model_admin.may_view)
        path = PATHS[field.remote_field.model]
        return field.get_choices(
            include_blank=False,
            limit_choices_to=Q() if places is None else Q(**{f"{path}__in": places}),
            ordering=self.field_admin_ordering(field, request, model_admin),
        )

    def has_output(self) -> bool:
        """Also where there is nothing to choose, if something was: the list is narrowed by filters shown."""
        return self.lookup_val is not None or super().has_output()


class TenantAdmin(Tenants, ModelAdmin):  # type: ignore[misc]
    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    warn_unsaved_form = True


class TenantInline(Tenants, TabularInline):  # type: ignore[misc]
    """Rows below a restaurant or a sector; the page above has seen to it whose they are."""

    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A row has no labels but the table's head, which nobody hears who goes from field to field."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and not field.widget.is_hidden:
            field.widget.attrs["aria-label"] = capfirst(str(field.label or db_field.verbose_name))
        return field

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)

        class Labelled(formset):  # type: ignore[misc,valid-type]
            def add_fields(self, form: Any, index: int | None) -> None:
                super().add_fields(form, index)
                if "DELETE" in form.fields:
                    form.fields["DELETE"].widget.attrs["aria-label"] = str(_("Delete"))

        return Labelled

    def _may(self, request: HttpRequest, permission: Permission | None, obj: Any = None) -> bool:
        return permission is not None and caller_for(request).restaurants(permission) != frozenset()
