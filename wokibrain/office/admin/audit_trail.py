"""The audit trail for a restaurant's administrators: who did what, in words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wokibrain.core.permissions import Permission
from wokibrain.events import actions
from wokibrain.events.models import AuditEntry
from wokibrain.office.actors import actors_named
from wokibrain.office.base import TenantAdmin, display


@admin.register(AuditEntry)
class AuditEntryAdmin(TenantAdmin):
    """Read-only. Entries without a restaurant, such as sign-ins, are for superusers."""

    may_view = Permission.RESTAURANT_UPDATE
    list_display = ("occurred_at", "who", "what", "target_type", "target_id", "restaurant_id", "source")
    list_filter = ("action", "source")
    search_fields = ("=actor", "=target_id", "=restaurant_id", "=request_id")
    ordering = ("-occurred_at", "-id")
    fields = (
        ("occurred_at", "who"), "what", ("target_type", "target_id"), ("restaurant_id", "source"),
        "changes", "request_id",
    )  # fmt: skip
    readonly_fields = ("who", "what", "changes")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Look up the names of all the page's actors with one set of queries."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        names = actors_named(row.actor for row in rows)
        for row in rows:
            row.actor_name = names[row.actor]
        changelist.result_list = rows
        return changelist

    @display(description=_("who"), ordering="actor")
    def who(self, obj: Any) -> str:
        return str(getattr(obj, "actor_name", None) or actors_named([obj.actor])[obj.actor])

    @display(description=_("what"), ordering="action")
    def what(self, obj: AuditEntry) -> str:
        return str(actions.words().get(obj.action, obj.action))

    @display(description=_("what changed"))
    def changes(self, obj: AuditEntry) -> SafeString | str:
        """Show each field before and after; for personal data, only that it changed."""
        fields = sorted({*obj.before, *obj.after})
        lines = [(field, _as_text(obj.before.get(field)), _as_text(obj.after.get(field))) for field in fields]
        hidden = [(field, "…", "…") for field in obj.touched]
        return format_html_join("", "<div>{}: {} → {}</div>", lines + hidden) or "–"


def _as_text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
