"""Read-only pages of events and dead letters; dead letters can be replayed and discarded."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from wokibrain.events import deadletters
from wokibrain.events.models import Failure, Rebuild, StoredEvent
from wokibrain.office.base import OfficeAdmin


class ReadOnly(OfficeAdmin):
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
        if handled := sum(outcome.done for outcome in outcomes):
            text = ngettext("%(count)d handled.", "%(count)d handled.", handled)
            self.message_user(request, text % {"count": handled})
        for outcome in outcomes:
            if not outcome.done:
                self.message_user(request, outcome.error, messages.ERROR)

    @admin.action(description=_("Discard"))
    def discard(self, request: HttpRequest, letters: QuerySet[Failure]) -> None:
        if pending := sum(not deadletters.discard(letter) for letter in letters):
            text = ngettext(
                "%(count)d is not dead: it will be tried again by itself.",
                "%(count)d are not dead: they will be tried again by themselves.",
                pending,
            )
            self.message_user(request, text % {"count": pending}, messages.WARNING)
