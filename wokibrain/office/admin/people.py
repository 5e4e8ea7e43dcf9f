"""People and programs: users and their memberships, API keys, and feature switches."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from waffle.models import Flag, Sample, Switch

from wokibrain.access import audit
from wokibrain.access.credentials import caller_of_user
from wokibrain.access.keys import create_key, revoke_key
from wokibrain.access.models import ApiKey, Membership
from wokibrain.core import clock
from wokibrain.core.permissions import Permission, Role
from wokibrain.office.base import (
    OfficeAdmin,
    TenantAdmin,
    TenantInline,
    TenantRelatedFilter,
    caller_for,
    display,
)

AUDIT_NAMES: Final = {"username": "name", "first_name": "name", "last_name": "name", "email": "email"}
"""A user's personal fields -> the names under which the audit trail omits their values."""

for model in (User, Group, Flag, Sample, Switch):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Membership
        fields = ("restaurant", "role")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "restaurant" not in data or not data.get("role"):
            return data
        everywhere = data["role"] == Role.SUPER_ADMIN
        if data["restaurant"] is None and not everywhere:
            self.add_error("restaurant", _("Choose a restaurant for this role."))
        elif data["restaurant"] is not None and everywhere:
            self.add_error("restaurant", _("A super administrator has this role everywhere: leave it empty."))
        return data


class MembershipInline(TenantInline):
    model = Membership
    form = MembershipForm
    may_view = may_add = may_change = may_delete = Permission.RESTAURANT_UPDATE
    fields = ("restaurant", "role")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the role of super administrator only to those who have all its rights."""
        if (
            db_field.name == "role"
            and caller_for(request).restaurants(Permission.RESTAURANT_UPDATE) is not None
        ):
            kwargs["choices"] = [choice for choice in Role.choices if choice[0] != Role.SUPER_ADMIN]
        return super().formfield_for_choice_field(db_field, request, **kwargs)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, OfficeAdmin):  # type: ignore[type-arg]
    """A restaurant's administrator manages the people of that restaurant; a superuser manages everyone.

    Nobody changes an account that has more rights than their own.
    """

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "is_active", "workplaces")
    list_filter = ("is_active", "memberships__role")
    search_fields = ("username", "first_name", "last_name", "email")
    inlines = (MembershipInline,)
    filter_horizontal = ()
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2")}),)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        rights = ("is_active", "is_superuser") if request.user.is_superuser else ("is_active",)
        return (
            (None, {"fields": ("username", "password")}),
            (_("Person"), {"fields": (("first_name", "last_name"), "email")}),
            (_("May sign in"), {"fields": rights}),
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request).prefetch_related("memberships__restaurant")
        restaurants = caller_for(request).restaurants(Permission.RESTAURANT_UPDATE)
        if restaurants is None:
            return rows
        # An administrator must not change people who also work elsewhere.
        elsewhere = Membership.objects.exclude(restaurant__in=restaurants).values("user")
        return (
            rows.filter(memberships__restaurant__in=restaurants, is_superuser=False)
            .exclude(pk__in=elsewhere)
            .distinct()
        )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = True
        super().save_model(request, obj, form, change)
        caller = caller_for(request)
        if change:
            before = {name: form.initial.get(name) for name in form.changed_data}
            after = {name: getattr(obj, name) for name in form.changed_data}
            if after:
                audit.person_changed(caller, "UserUpdated", obj, _for_audit(before), _for_audit(after))
        else:
            audit.person_changed(caller, "UserCreated", obj, {}, {"is_active": obj.is_active})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change and not form.instance.memberships.exists():
            self._add_to_restaurants(request, form.instance)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Audit a password change: Django's page for it saves by itself and calls only this hook."""
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            audit.person_changed(caller_for(request), "UserPasswordChanged", obj, {}, {})
        return super().log_change(request, obj, message)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        caller = caller_for(request)
        for membership in formset.new_objects:
            audit.membership_changed(caller, "MembershipCreated", membership, {}, _role(membership))
        for membership, fields in formset.changed_objects:
            initial = next(row.initial for row in formset.forms if row.instance is membership)
            before = {"restaurantId": initial["restaurant"], "role": initial["role"]}
            if fields:
                audit.membership_changed(caller, "MembershipUpdated", membership, before, _role(membership))
        for membership in formset.deleted_objects:
            audit.membership_changed(caller, "MembershipDeleted", membership, _role(membership), {})

    def _add_to_restaurants(self, request: HttpRequest, user: User) -> None:
        """Make a new user without a role staff at the administrator's restaurants; administrators see no others."""
        restaurants = caller_for(request).restaurants(Permission.RESTAURANT_UPDATE)
        for restaurant_id in restaurants or ():
            membership = Membership.objects.create(user=user, restaurant_id=restaurant_id, role=Role.STAFF)
            audit.membership_changed(
                caller_for(request), "MembershipCreated", membership, {}, _role(membership)
            )

    def _administers(self, request: HttpRequest) -> bool:
        return caller_for(request).restaurants(Permission.RESTAURANT_UPDATE) != frozenset()

    def _may_manage(self, request: HttpRequest, obj: User | None) -> bool:
        return self._administers(request) and (
            obj is None or self.get_queryset(request).filter(pk=obj.pk).exists()
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._administers(request)

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_manage(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._administers(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_manage(request, obj) and (obj is None or self._covers(request, obj))

    def _covers(self, request: HttpRequest, obj: User) -> bool:
        if obj.is_superuser:
            return bool(request.user.is_superuser)
        return caller_for(request).covers(caller_of_user(obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    @display(description=_("works at"))
    def workplaces(self, obj: User) -> str:
        # Outside the braces: makemessages does not look inside f-strings.
        everywhere = _("everywhere")
        return ", ".join(
            f"{membership.restaurant or everywhere} ({membership.get_role_display()})"
            for membership in obj.memberships.all()
        )


def _role(membership: Membership) -> dict[str, Any]:
    return {"restaurantId": membership.restaurant_id, "role": membership.role}


def _for_audit(values: dict[str, Any]) -> dict[str, Any]:
    """Rename fields as the audit trail knows them, so that it omits personal values."""
    return {AUDIT_NAMES.get(name, name): value for name, value in values.items()}


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ApiKey
        fields = ("name", "restaurant", "role", "expires_at")

    def clean_expires_at(self) -> Any:
        expires = self.cleaned_data["expires_at"]
        if expires and expires <= clock.now():
            raise forms.ValidationError(_("The expiry date must be in the future."))
        return expires


@admin.register(ApiKey)
class ApiKeyAdmin(TenantAdmin):
    """Keys are created and revoked, never changed; the secret is shown on creation and never again."""

    form = ApiKeyForm
    may_view = may_add = Permission.RESTAURANT_UPDATE
    list_display = (
        "name",
        "prefix",
        "restaurant",
        "role",
        "created_at",
        "expires_at",
        "last_used_at",
        "state",
    )
    list_filter = (("restaurant", TenantRelatedFilter), "role")
    list_select_related = ("restaurant",)
    actions = ("revoke",)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if obj is None and caller_for(request).restaurants(Permission.RESTAURANT_UPDATE) is not None:
            form.base_fields["restaurant"].required = True
            form.base_fields["role"].choices = [
                choice for choice in Role.choices if choice[0] != Role.SUPER_ADMIN
            ]
        return form

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key, token = create_key(
            caller=caller_for(request),
            name=obj.name,
            role=obj.role,
            restaurant_id=obj.restaurant_id,
            expires_at=obj.expires_at,
        )
        obj.pk = key.pk
        self.message_user(
            request,
            format_html(
                '{} <code class="select-all font-mono font-semibold" data-token>{}</code>',
                _("Copy the key now; it is not shown again:"),
                token,
            ),
            messages.WARNING,
        )

    @display(description=_("state"), label={"live": "success", "revoked": "danger", "expired": "warning"})
    def state(self, obj: ApiKey) -> tuple[str, str]:
        if obj.revoked_at:
            return "revoked", str(_("revoked"))
        if obj.expires_at and obj.expires_at <= clock.now():
            return "expired", str(_("expired"))
        return "live", str(_("in use"))

    @admin.action(description=_("Revoke"))
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        live = list(keys.filter(revoked_at__isnull=True))
        for key in live:
            revoke_key(caller=caller_for(request), key_id=str(key.pk))
        self.message_user(request, _("Revoked: %(count)d.") % {"count": len(live)})


class SuperusersOnly(OfficeAdmin):
    """Pages that concern the whole installation."""

    def _super(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    has_module_permission = has_view_permission = has_add_permission = _super
    has_change_permission = has_delete_permission = _super


@admin.register(Flag)
class FlagAdmin(SuperusersOnly):
    list_display = ("name", "everyone", "percent", "superusers", "staff", "note")
    fields = (
        "name",
        "note",
        "everyone",
        "percent",
        ("superusers", "staff", "authenticated"),
        "languages",
        "users",
    )


@admin.register(Switch)
class SwitchAdmin(SuperusersOnly):
    list_display = ("name", "active", "note")
    fields = ("name", "active", "note")
