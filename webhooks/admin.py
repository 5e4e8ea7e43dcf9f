"""Webhooks in the admin: each endpoint's health, its deliveries, and redelivery.

All changes go through the services, with the signed-in person as the caller; ``selectors`` decide what a person
may see, as in the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.decorators import display

from webhooks import selectors, services, signing
from webhooks.event_types import WebhookEvent
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.selectors import Hour
from wokibrain.access.credentials import caller_of_user
from wokibrain.access.staff import is_staff
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission
from wokibrain.office.base import OfficeAdmin

WIDTH, HEIGHT = 96, 24
"""Of a sparkline, in pixels."""


def caller_of(request: HttpRequest) -> Caller:
    """Return the signed-in person as a caller with the permissions of their memberships; none if they are not staff."""
    if is_staff(request.user):
        return caller_of_user(cast(User, request.user))
    return Caller(CallerKind.USER, str(request.user.pk))


def may_manage(request: HttpRequest) -> bool:
    managed = caller_of(request).restaurants(Permission.WEBHOOK_MANAGE)
    return managed is None or bool(managed)


def sparkline(hours: list[Hour]) -> SafeString:
    """Return a bar per hour: successful deliveries, and failed ones on top."""
    most = max([hour.delivered + hour.failed for hour in hours] + [1])
    step = WIDTH / len(hours)
    bars = []
    for place, hour in enumerate(hours):
        good, bad = (round(count / most * HEIGHT, 1) for count in (hour.delivered, hour.failed))
        for y, height, colour in ((HEIGHT - good, good, "#16a34a"), (HEIGHT - good - bad, bad, "#dc2626")):
            if height:
                bars.append((round(place * step, 1), round(y, 1), round(step - 1, 1), height, colour))
    return format_html(
        '<svg width="{}" height="{}" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>',
        WIDTH,
        HEIGHT,
        WIDTH,
        HEIGHT,
        _("Delivered and failed in the last 24 hours"),
        format_html_join("", '<rect x="{}" y="{}" width="{}" height="{}" fill="{}"/>', bars),
    )


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    events = forms.MultipleChoiceField(
        label=_("events"), choices=WebhookEvent.choices, widget=forms.CheckboxSelectMultiple
    )
    new_secret = forms.CharField(
        label=_("new secret"),
        required=False,
        min_length=signing.MIN_SECRET_LENGTH,
        max_length=signing.MAX_SECRET_LENGTH,
        help_text=format_lazy(
            _(
                "Empty: a new webhook gets a generated secret, shown once; an existing one keeps its own. "
                "After a change both secrets sign for {hours} hours."
            ),
            hours=f"{settings.WEBHOOK_GRACE_HOURS:g}",
        ),
    )

    class Meta:
        model = Webhook
        fields = ("restaurant", "url", "events", "status")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            services.check_url(url)
        except DomainError as error:
            raise forms.ValidationError(str(error.detail)) from None
        return url

    def clean_new_secret(self) -> str:
        secret: str = self.cleaned_data["new_secret"]
        if secret:
            try:
                services.check_secret(secret)
            except DomainError as error:
                raise forms.ValidationError(str(error.detail)) from None
        return secret


class Managed(OfficeAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_manage(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request)


@admin.register(Webhook)
class WebhookAdmin(Managed):
    form = WebhookForm
    list_display = ("url", "restaurant", "shown_status", "health", "failing_since")
    list_filter = ("status",)
    search_fields = ("url", "=restaurant__id", "restaurant__name")
    list_select_related = ("restaurant",)
    list_per_page = 50
    readonly_fields = ("reason", "dropping_before", "health", "failing_since", "created_at", "updated_at")
    actions = ("send_test",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return selectors.webhooks(caller_of(request)) if may_manage(request) else Webhook.objects.none()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        hours = selectors.last_day([webhook.pk for webhook in changelist.result_list])
        for webhook in changelist.result_list:
            webhook.hours = hours[webhook.pk]
        return changelist

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        editable = ("restaurant", "url", "events", "status", "new_secret")
        return editable if obj is None else editable + self.readonly_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        # A webhook keeps its restaurant: its pending deliveries are about that one.
        return self.readonly_fields if obj is None else (*self.readonly_fields, "restaurant")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        managed = caller_of(request).restaurants(Permission.WEBHOOK_MANAGE)
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and managed is not None:
            field.queryset = field.queryset.filter(pk__in=managed)
            field.required = True
        return field

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_manage(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request)

    def save_model(self, request: HttpRequest, obj: Webhook, form: WebhookForm, change: bool) -> None:
        fields = form.cleaned_data
        secret = fields["new_secret"] or None
        if change:
            services.update_webhook(
                caller=caller_of(request),
                webhook_id=str(obj.pk),
                url=fields["url"],
                events=fields["events"],
                secret=secret,
                status=Webhook.Status(fields["status"]),
            )
            return
        created, shown_secret = services.create_webhook(
            caller=caller_of(request),
            restaurant_id=fields["restaurant"].pk if fields["restaurant"] else None,
            url=fields["url"],
            events=fields["events"],
            secret=secret,
            status=Webhook.Status(fields["status"]),
        )
        obj.pk = created.pk
        text = _("The secret, shown only now: %(secret)s")
        self.message_user(request, text % {"secret": shown_secret}, messages.WARNING)

    def get_deleted_objects(
        self, objs: Iterable[Webhook], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # The default reads and lists every dependent row, and requires the permission to delete each kind.
        listed = [str(webhook) for webhook in objs]
        deliveries = Delivery.objects.filter(webhook__in=[webhook.pk for webhook in objs]).count()
        counts = {
            str(Webhook._meta.verbose_name_plural): len(listed),
            str(Delivery._meta.verbose_name_plural): deliveries,
        }
        return listed, counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        services.delete_webhook(caller=caller_of(request), webhook_id=str(obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            self.delete_model(request, webhook)

    @display(  # type: ignore[untyped-decorator]
        description=_("status"),
        ordering="status",
        label={"ACTIVE": "success", "PAUSED": "warning", "INACTIVE": "danger"},
    )
    def shown_status(self, webhook: Webhook) -> tuple[str, str]:
        return webhook.status, webhook.get_status_display()

    @display(description=_("last 24 hours"))  # type: ignore[untyped-decorator]
    def health(self, webhook: Webhook) -> SafeString | str:
        hours: list[Hour] = getattr(webhook, "hours", None) or selectors.last_day([webhook.pk])[webhook.pk]
        delivered = sum(hour.delivered for hour in hours)
        total = delivered + sum(hour.failed for hour in hours)
        if not total:
            return "–"
        return format_html("{} {} %", sparkline(hours), round(100 * delivered / total))

    @admin.action(description=_("Send a test"))
    def send_test(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            services.send_test(caller=caller_of(request), webhook_id=str(webhook.pk))
        self.message_user(request, _("Tests are queued; see the deliveries."))


class AttemptInline(TabularInline):  # type: ignore[misc]
    model = Attempt
    fields = readonly_fields = (
        "number",
        "started_at",
        "milliseconds",
        "status_code",
        "error",
        "response_head",
    )
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request)


@admin.register(Delivery)
class DeliveryAdmin(Managed):
    list_display = ("booking", "event", "webhook", "shown_status", "attempts", "due_at", "created_at")
    list_filter = ("status", "message__event")
    search_fields = ("=message__reference",)
    search_help_text = _("A booking's reference, or the id of a delivery or an event")
    list_select_related = ("webhook", "message")
    show_full_result_count = False
    inlines = (AttemptInline,)
    actions = ("redeliver",)
    fields = readonly_fields = (
        "id", "webhook", "event", "booking", "sequence", "status", "attempts", "due_at", "created_at",
        "finished_at", "body",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        if not may_manage(request):
            return Delivery.objects.none()
        return Delivery.objects.filter(webhook__in=selectors.webhooks(caller_of(request)))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        try:
            id = UUID(search_term.strip())
        except ValueError:
            return queryset.filter(
                message__reference=search_term.strip().upper()
            ) if search_term else queryset, False
        return queryset.filter(Q(pk=id) | Q(message_id=id)), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("booking"), ordering="message__reference")  # type: ignore[untyped-decorator]
    def booking(self, delivery: Delivery) -> str:
        return delivery.message.reference or "–"

    @display(description=_("event"))  # type: ignore[untyped-decorator]
    def event(self, delivery: Delivery) -> str:
        return delivery.message.event

    @display(  # type: ignore[untyped-decorator]
        description=_("status"),
        ordering="status",
        label={"PENDING": "info", "SUCCEEDED": "success", "FAILED": "danger", "DROPPED": "warning"},
    )
    def shown_status(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.status, delivery.get_status_display()

    @display(description=_("body"))  # type: ignore[untyped-decorator]
    def body(self, delivery: Delivery) -> str:
        return bytes(delivery.message.body).decode()

    @admin.action(description=_("Deliver again"))
    def redeliver(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        queued = 0
        for delivery in queryset:
            try:
                services.redeliver(
                    caller=caller_of(request),
                    webhook_id=str(delivery.webhook_id),
                    delivery_id=str(delivery.pk),
                )
                queued += 1
            except DomainError as error:
                self.message_user(request, str(error.detail), messages.ERROR)
        if queued:
            text = ngettext("%(count)d delivery is queued.", "%(count)d deliveries are queued.", queued)
            self.message_user(request, text % {"count": queued})
