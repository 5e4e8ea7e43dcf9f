"""Admin pages of table blocks. Every write goes through the services."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSplitDateTimeWidget,
)

from bookings.models import TableBlock
from bookings.repository.records import local_period
from bookings.services import table_blocks
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission
from wokibrain.office.base import TenantAdmin, TenantRelatedFilter, caller_for, display, show_at_fields


class BlockForm(forms.ModelForm):  # type: ignore[type-arg]
    """A block in the restaurant's local time. Cleaning the form calls the service."""

    caller: ClassVar[Caller]
    start = forms.SplitDateTimeField(label=_("start"), widget=UnfoldAdminSplitDateTimeWidget)
    end = forms.SplitDateTimeField(label=_("end"), widget=UnfoldAdminSplitDateTimeWidget)
    block: TableBlock | None = None

    class Meta:
        model = TableBlock
        fields = ("table", "start", "end", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            zone = clock.zone(data["table"].sector.restaurant.zone)
            start, end = (data[name].replace(tzinfo=zone) for name in ("start", "end"))
            self.block = table_blocks.block_table(
                caller=self.caller, table_id=data["table"].pk, start=start, end=end, reason=data["reason"]
            )
        except DomainError as error:
            show_at_fields(self, error, {"tableId": "table"})
        return data

    def _post_clean(self) -> None:
        """Nothing: the service has validated and saved the block."""

    def save(self, commit: bool = True) -> TableBlock:
        assert self.block is not None, "only a clean form is saved"
        self.instance = self.block
        self.save_m2m = self._save_nothing  # type: ignore[method-assign]
        return self.block

    def _save_nothing(self) -> None:
        """A block has no many-to-many fields."""


@admin.register(TableBlock)
class TableBlockAdmin(TenantAdmin):
    form = BlockForm
    may_view = Permission.TABLE_READ
    may_add = may_delete = Permission.TABLE_UPDATE
    list_display = ("table", "from_", "to", "reason")
    readonly_fields = ("from_", "to")
    list_filter = (("table__sector__restaurant", TenantRelatedFilter), ("table__sector", TenantRelatedFilter))
    list_select_related = ("table__sector__restaurant",)

    def get_fields(self, request: HttpRequest, obj: TableBlock | None = None) -> tuple[str, ...]:
        """Show an existing block by the restaurant's clocks; Django would show instants in the server's zone."""
        return ("table", "start", "end", "reason") if obj is None else ("table", "from_", "to", "reason")

    def get_form(self, request: HttpRequest, obj: TableBlock | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.caller = caller_for(request)
        return form

    def save_model(self, request: HttpRequest, obj: TableBlock, form: Any, change: bool) -> None:
        """Nothing: the service saved the block while the form was cleaned."""

    def delete_model(self, request: HttpRequest, obj: TableBlock) -> None:
        table_blocks.unblock_table(caller=caller_for(request), table_id=obj.table_id, block_id=str(obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TableBlock]) -> None:
        for block in queryset:
            self.delete_model(request, block)

    @display(description=_("start"), ordering="start")
    def from_(self, obj: TableBlock) -> str:
        return self._local(obj)[0]

    @display(description=_("end"), ordering="end")
    def to(self, obj: TableBlock) -> str:
        return self._local(obj)[1]

    @staticmethod
    def _local(obj: TableBlock) -> list[str]:
        return [f"{at:%d/%m/%Y %H:%M}" for at in local_period(obj, obj.table.sector.restaurant.zone)]
