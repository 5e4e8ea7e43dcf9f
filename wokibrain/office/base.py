"""The base of every admin page: the signed-in person as a caller, and only that caller's restaurants.

Django's own permissions play no part here: what people may do follows from their memberships,
as it does for every other caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from copy import copy
from typing import Any, ClassVar, Final, NoReturn, TypeVar, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field, lookup_field
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import Http404, HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold import decorators
from unfold.admin import ModelAdmin, TabularInline

from wokibrain.access.credentials import caller_of_user
from wokibrain.access.staff import is_staff
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission

Row = TypeVar("Row", bound=Model)

ANONYMOUS: Final = Caller(CallerKind.ANONYMOUS, "admin")


def caller_for(request: HttpRequest) -> Caller:
    """Return the signed-in person as a caller, looked up once per request."""
    caller = getattr(request, "_caller", None)
    if caller is None:
        # The sign-in page also asks what it may show.
        caller = caller_of_user(cast(User, request.user)) if is_staff(request.user) else ANONYMOUS
        request._caller = caller  # type: ignore[attr-defined]
    return cast(Caller, caller)


def tenant_path(model: type[Model]) -> str | None:
    """Return the lookup from a row of ``model`` to the id of its restaurant; None where it belongs to none.

    A model declares it as its attribute ``tenant_path``, e.g. ``"sector__restaurant_id"``.
    """
    return getattr(model, "tenant_path", None)


def visible(rows: QuerySet[Row], caller: Caller, permission: Permission) -> QuerySet[Row]:
    """Narrow ``rows`` to the restaurants where the caller holds ``permission``."""
    return rows.filter(_at(caller.restaurants(permission), rows.model))


def _at(restaurants: frozenset[str] | None, model: type[Model]) -> Q:
    """Return the condition for rows of these restaurants; None stands for all of them."""
    path = tenant_path(model)
    assert path is not None, f"{model.__name__} declares no tenant_path"
    return Q() if restaurants is None else Q(**{f"{path}__in": restaurants})


def private_permission(model: type[Model], path: str) -> Permission | None:
    """Return the permission that a column, lookup or ordering such as ``guest__name`` needs besides seeing the row.

    A model declares it as its attribute ``private_fields``, a map from names of fields to permissions.
    """
    for step in path.lstrip("-^=@").split(LOOKUP_SEP):
        try:
            field = model._meta.get_field(step)
        except FieldDoesNotExist:
            return None
        private: Mapping[str, Permission] = getattr(model, "private_fields", {})
        if field.name in private:
            return private[field.name]
        if field.related_model is None:
            return None
        model = field.related_model
    return None


def restaurant_id_of(row: Model) -> str:
    """Return the id of the row's restaurant, following its model's ``tenant_path``."""
    path = tenant_path(type(row))
    assert path is not None, f"{type(row).__name__} declares no tenant_path"
    value: Any = row
    for step in path.split("__"):
        value = getattr(value, step)
    return str(value)


def show_at_fields(form: forms.BaseForm, error: DomainError, fields: Mapping[str, str]) -> None:
    """Show each issue of an error at its form field, or above the form where there is no such field.

    ``fields`` maps the API's field names to the form's; names that are the same may be left out.
    """
    if not error.issues:
        form.add_error(None, str(error.detail))
    for issue in error.issues:
        name = fields.get(issue.path, issue.path)
        form.add_error(name if name in form.fields else None, str(issue.message))


Method = TypeVar("Method", bound=Callable[..., Any])


def display(**options: Any) -> Callable[[Method], Method]:
    """Unfold's decorator for columns, typed."""
    return cast(Callable[[Method], Method], decorators.display(**options))


def action(**options: Any) -> Callable[[Method], Method]:
    """Unfold's decorator for buttons, typed."""
    return cast(Callable[[Method], Method], decorators.action(**options))


class OfficeAdmin(ModelAdmin):  # type: ignore[misc]
    """The base of every admin page: what does not exist, or is not the caller's to see, is a 404."""

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> NoReturn:
        """Raise Http404 where Django redirects to the first page, with a message that repeats the id."""
        raise Http404


class TenantScoped:
    """Limits an admin to the rows of the caller's restaurants, and actions to the caller's roles there.

    The model must declare its ``tenant_path``. An action whose permission is None is never available.
    """

    may_view: ClassVar[Permission] = Permission.RESTAURANT_READ
    may_add: ClassVar[Permission | None] = None
    may_change: ClassVar[Permission | None] = None
    may_delete: ClassVar[Permission | None] = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return visible(rows, caller_for(request), self.may_view)

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
            return caller.may(permission, restaurant_id_of(obj))
        return caller.restaurants(permission) != frozenset()

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        """Offer in pickers only what the caller may use."""
        target = db_field.remote_field.model
        if tenant_path(target) and "queryset" not in kwargs:
            permission = self.may_change or self.may_add or self.may_view
            kwargs["queryset"] = visible(target._default_manager.all(), caller_for(request), permission)
        field: forms.ModelChoiceField[Any] | None = super().formfield_for_foreignkey(  # type: ignore[misc]
            db_field, request, **kwargs
        )
        return field


class TenantRelatedFilter(admin.RelatedFieldListFilter):
    """Filters a list by restaurant or sector, offering only those whose rows the caller may see.

    Django's own filter offers every row of the table.
    """

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        restaurants = caller_for(request).restaurants(model_admin.may_view)
        return field.get_choices(
            include_blank=False,
            limit_choices_to=_at(restaurants, field.remote_field.model),
            ordering=self.field_admin_ordering(field, request, model_admin),
        )

    def has_output(self) -> bool:
        """Also show the filter while it is in use: an active filter is never hidden."""
        return self.lookup_val is not None or super().has_output()


class TenantAdmin(TenantScoped, OfficeAdmin):
    """A page whose private fields are shown, searched and filtered by only where the caller has their permissions.

    A person may have a permission at one restaurant and lack it at another: then a column is empty in the rows of the
    other one, and a search or filter by it leaves those rows out.
    """

    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    warn_unsaved_form = True
    searched: list[str] | None = None
    """The only fields to search by; None for those that the caller may search by."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the rows of which a lookup in the address would tell more than the caller may see."""
        rows = super().get_queryset(request)
        for lookup in request.GET:
            if permission := self._lacking(request, lookup):
                rows = visible(rows, caller_for(request), permission)
        return rows

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        caller = caller_for(request)
        columns: list[Any] = []
        for name in super().get_list_display(request):
            permission = self._lacking(
                request, name, getattr(getattr(self, name, None), "admin_order_field", "")
            )
            if permission is None:
                columns.append(name)
            elif caller.restaurants(permission):
                columns.append(self._column(name, permission, caller))
        return columns

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Return the filters without those that would list private values."""
        filters = super().get_list_filter(request)
        return [
            filter_
            for filter_ in filters
            if not self._lacking(request, str(filter_[0] if isinstance(filter_, list | tuple) else filter_))
        ]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the fields by which the caller may search somewhere."""
        if self.searched is not None:
            return self.searched
        caller = caller_for(request)
        lacking = {name: self._lacking(request, name) for name in super().get_search_fields(request)}
        return [name for name, lack in lacking.items() if lack is None or caller.restaurants(lack)]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by private fields only where the caller may see them, and by the others everywhere."""
        lacking = {name: self._lacking(request, name) for name in self.get_search_fields(request)}
        if not search_term or not any(lacking.values()):
            return cast(
                tuple[QuerySet[Any], bool], super().get_search_results(request, queryset, search_term)
            )
        seen = queryset
        for permission in filter(None, lacking.values()):
            seen = visible(seen, caller_for(request), permission)
        matches, repeated = super().get_search_results(request, seen, search_term)
        plain = copy(self)
        plain.searched = [name for name, lack in lacking.items() if lack is None]
        if plain.searched:
            others, again = super(TenantAdmin, plain).get_search_results(request, queryset, search_term)
            matches, repeated = matches | others, repeated or again
        return matches, repeated

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the form's fields without the private ones that the caller may not see of this row."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        permissions = caller_for(request).permissions_at(restaurant_id_of(obj))
        hidden = {
            name
            for name in flatten_fieldsets(fieldsets)
            if (needed := private_permission(self.model, name)) and needed not in permissions
        }
        return [
            (title, options | {"fields": _without(options["fields"], hidden)}) for title, options in fieldsets
        ]

    def _lacking(self, request: HttpRequest, *paths: str) -> Permission | None:
        """Return the permission that one of the paths needs and that the caller lacks where it sees rows, if any."""
        caller = caller_for(request)
        seen = caller.restaurants(self.may_view)
        for path in paths:
            permission = private_permission(self.model, path)
            if permission is None:
                continue
            allowed = caller.restaurants(permission)
            if allowed is not None and (seen is None or not seen <= allowed):
                return permission
        return None

    def _column(self, name: str, permission: Permission, caller: Caller) -> Callable[[Any], Any]:
        """Return a column that is empty where the caller lacks the permission, and that sorts nothing."""

        def column(row: Any) -> Any:
            allowed = caller.may(permission, restaurant_id_of(row))
            return lookup_field(name, row, self)[2] if allowed else None

        column.__name__ = name
        column.short_description = label_for_field(name, self.model, self)  # type: ignore[attr-defined]
        return column


def _without(fields: Sequence[Any], names: Set[str]) -> list[Any]:
    """Return a fieldset's fields, some of which are in lines of several, without those of these names."""
    lines = [_without(line, names) if isinstance(line, list | tuple) else line for line in fields]
    return [line for line in lines if line and (isinstance(line, list) or line not in names)]


class TenantInline(TenantScoped, TabularInline):  # type: ignore[misc]
    """Rows below a restaurant or a sector; the page above has checked whose they are."""

    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Label each field for screen readers, which do not read out the table's head."""
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
