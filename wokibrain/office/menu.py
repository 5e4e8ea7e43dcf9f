"""The admin's sidebar: the pages a person may see, in the order of a day's work."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

GROUPS: tuple[tuple[Any, tuple[tuple[str, str], ...]], ...] = (
    (
        _("Day to day"),
        (("bookings.Booking", "event_seat"), ("bookings.Guest", "person"), ("bookings.TableBlock", "block")),
    ),
    (
        _("Restaurant"),
        (
            ("restaurants.Restaurant", "storefront"),
            ("restaurants.SpecialDay", "event"),
            ("restaurants.Sector", "deck"),
            ("restaurants.Table", "table_restaurant"),
            ("restaurants.TableJoin", "link"),
            ("restaurants.Combo", "workspaces"),
        ),
    ),
    (
        _("People and programs"),
        (("auth.User", "badge"), ("access.ApiKey", "key"), ("webhooks.Webhook", "webhook")),
    ),
    (
        _("Under the hood"),
        (
            ("events.AuditEntry", "history"),
            ("events.Failure", "mail_off"),
            ("events.StoredEvent", "receipt_long"),
            ("webhooks.Delivery", "outbox"),
            ("waffle.Flag", "flag"),
            ("waffle.Switch", "toggle_on"),
        ),
    ),
)


def stylesheet(request: HttpRequest) -> str:
    return static("floor/admin.css")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar for unfold, without models that are not registered or that the person may not see."""
    groups: list[dict[str, Any]] = [
        {
            "items": [
                {"title": _("Floor"), "icon": "grid_view", "link": reverse("floor")},
                {"title": _("Dashboard"), "icon": "monitoring", "link": reverse("admin:index")},
            ]
        }
    ]
    for title, entries in GROUPS:
        if items := [item for entry in entries if (item := _item(request, *entry))]:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def _item(request: HttpRequest, name: str, icon: str) -> dict[str, Any] | None:
    try:
        model = apps.get_model(name)
    except LookupError:
        return None
    model_admin = admin.site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return None
    return {
        "title": capfirst(model._meta.verbose_name_plural),
        "icon": icon,
        "link": reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),
    }
