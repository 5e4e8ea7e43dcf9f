"""Looking into events, dead letters and the audit trail. Only dead letters can be acted upon."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin

from wokibrain.events import deadletters
from wokibrain.events.models import AuditEntry, Failure, Rebuild, StoredEvent


class ReadOnly(ModelAdmin):  # type: ignore[misc]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StoredEvent)
class StoredEventAdmin(ReadOnly):
    list_display = (
        "position",
        "event_type",
        "aggregate_type",
        "aggregate_id",
        "version",
        "occurred_at",
        "published_at",
    )
    list_filter = ("aggregate_type", "event_type")
    search_fields = ("=aggregate_id", "=event_id")
    ordering = ("-position",)
    show_full_result_count = False


ACTIONS: Final = {
    "BookingCreated": _("booking made"),
    "BookingUpdated": _("booking changed"),
    "BookingCancelled": _("booking cancelled"),
    "BookingSeated": _("party seated"),
    "BookingCompleted": _("party left"),
    "BookingNoShow": _("party did not come"),
    "TableBlocked": _("table taken out of service"),
    "TableUnblocked": _("table put back into service"),
    "RestaurantCreated": _("restaurant made"),
    "RestaurantUpdated": _("restaurant changed"),
    "RestaurantDeleted": _("restaurant deleted"),
    "SectorCreated": _("sector made"),
    "SectorUpdated": _("sector changed"),
    "SectorDeleted": _("sector deleted"),
    "TableCreated": _("table made"),
    "TableUpdated": _("table changed"),
    "TableDeleted": _("table deleted"),
    "UserCreated": _("user made"),
    "UserUpdated": _("user changed"),
    "UserPasswordChanged": _("password of a user changed"),
    "MembershipCreated": _("role given"),
    "MembershipUpdated": _("role changed"),
    "MembershipDeleted": _("role taken away"),
    "WebhookCreated": _("webhook made"),
    "WebhookUpdated": _("webhook changed"),
    "WebhookDeleted": _("webhook deleted"),
    "WebhookSecretRotated": _("webhook's secret changed"),
    "WebhookRedelivered": _("webhook delivery repeated"),
    "WebhookRecovered": _("webhook's missed deliveries repeated"),
    "WebhookDeactivated": _("webhook given up"),
    "api-key.created": _("API key made"),
    "api-key.revoked": _("API key revoked"),
    "api-key.used": _("API key used"),
    "sign-in": _("signed in"),
    "sign-in.failed": _("sign-in failed"),
    "sign-in.blocked": _("sign-in blocked"),
}
"""What the audit trail calls an action -> what a person reads."""


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("occurred_at", "actor", "said", "target_type", "target_id", "restaurant_id", "source")
    list_filter = ("action", "source")
    search_fields = ("=actor", "=target_id", "=restaurant_id", "=request_id")
    show_full_result_count = False

    @admin.display(description=_("what"), ordering="action")
    def said(self, entry: AuditEntry) -> str:
        return str(ACTIONS.get(entry.action, entry.action))


@admin.register(Rebuild)
class RebuildAdmin(ReadOnly):
    list_display = ("read_model", "finished_at", "events", "repaired")


@admin.register(Failure)
class FailureAdmin(ReadOnly):
    list_display = ("consumer", "origin", "attempts", "error", "retry_at", "dead_at", "discarded_at")
    list_filter = (
        "consumer",
        ("dead_at", admin.EmptyFieldListFilter),
        ("discarded_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("=event_id", "error")
    actions = ("replay", "discard")

    @admin.action(description=_("Try again"))
    def replay(self, request: HttpRequest, letters: QuerySet[Failure]) -> None:
        outcomes = [deadletters.replay(letter) for letter in letters]
        if done := sum(outcome.done for outcome in outcomes):
            text = ngettext("%(count)d handled.", "%(count)d handled.", done)
            self.message_user(request, text % {"count": done})
        for outcome in outcomes:
            if not outcome.done:
                self.message_user(request, outcome.error, messages.ERROR)

    @admin.action(description=_("Discard"))
    def discard(self, request: HttpRequest, letters: QuerySet[Failure]) -> None:
        if kept := sum(not deadletters.discard(letter) for letter in letters):
            text = ngettext(
                "%(count)d is not dead: it will be tried again by itself.",
                "%(count)d are not dead: they will be tried again by themselves.",
                kept,
            )
            self.message_user(request, text % {"count": kept}, messages.WARNING)
