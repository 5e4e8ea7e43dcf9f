"""Block a table, that is take it out of service for an interval; list its blocks; unblock it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.event_types import TABLE_BLOCKED, TABLE_UNBLOCKED
from bookings.models import Allocation, Seating, TableBlock
from bookings.repository import statements
from bookings.repository.records import Promise, local_period, plain_offset
from bookings.transactions import lock_sectors
from restaurants.models import Table
from restaurants.selectors import Page, get_table
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, Issue, NotFound, ValidationFailed
from wokibrain.core.ids import as_uuid, uuid7
from wokibrain.core.permissions import Permission
from wokibrain.events.types import EventType
from wokibrain.postgres.advisory import advisory_number
from wokibrain.postgres.diagnosis import sqlstate


def block_table(
    *, caller: Caller, table_id: str, start: datetime, end: datetime, reason: str = ""
) -> TableBlock:
    """Take a table out of service from ``start`` up to ``end`` (aware instants).

    Raises NotFound, Forbidden, ValidationFailed; Conflict, which names the bookings, if any overlap the interval.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_UPDATE)
    if end <= start:
        raise ValidationFailed.at("end", _("A block ends after it starts."))
    try:
        with transaction.atomic():
            # A party may sit at a time for which it holds no allocation; none may sit down while this looks.
            lock_sectors([table.sector_id])
            lock_table(table_id)
            overlapping = Allocation.objects.filter(
                table_id=table_id, active=True, period__overlap=(start, end)
            ).values_list("booking__reference", flat=True)
            if references := [reference or "" for reference in overlapping]:
                raise _conflict(references)
            _check_nobody_sits(table, start, end)
            zone = table.sector.restaurant.zone
            promised_start, promised_end = Promise.of(start, zone), Promise.of(end, zone)
            block = TableBlock.objects.create(
                id=uuid7(),
                table=table,
                start=start,
                end=end,
                promised_start=promised_start.wall,
                promised_start_fold=promised_start.fold,
                promised_end=promised_end.wall,
                promised_end_fold=promised_end.fold,
                promised_zone=zone,
                reason=reason,
                created_at=clock.now_to_millisecond(),
            )
            Allocation.objects.create(
                table=table,
                sector_id=table.sector_id,
                period=(start, end),
                utc_offset=plain_offset(promised_start, end),
                block=block,
            )
            append_event(caller, TABLE_BLOCKED, block, table)
    except IntegrityError as error:
        if sqlstate(error) != "23P01":
            raise
        raise _conflict([]) from error
    return block


def list_blocks(*, caller: Caller, table_id: str, page: int = 1, limit: int = 50) -> Page[TableBlock]:
    """Return a page of the table's present and future blocks, in order of start. Raises NotFound, Forbidden."""
    table = get_table(caller=caller, table_id=table_id)
    rows = TableBlock.objects.filter(table=table, end__gt=clock.now()).order_by("start", "id")
    first = (page - 1) * limit
    return Page(list(rows[first : first + limit]), rows.count())


def unblock_table(*, caller: Caller, table_id: str, block_id: str | None = None) -> int:
    """End one block of a table, or all present and future ones, and return how many there were.

    Raises NotFound if there were none, Forbidden.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_UPDATE)
    condition = Q(table_id=table_id) & (Q(pk=as_uuid(block_id)) if block_id else Q(end__gt=clock.now()))
    with transaction.atomic():
        lock_table(table_id)
        blocks = list(TableBlock.objects.select_for_update().filter(condition).order_by("start", "id"))
        if not blocks:
            raise NotFound
        for block in blocks:
            append_event(caller, TABLE_UNBLOCKED, block, table)
        TableBlock.objects.filter(pk__in=[block.pk for block in blocks]).delete()
    return len(blocks)


def lock_table(table_id: str) -> None:
    """Lock the table's events until the transaction ends, so that concurrent writers leave no gap in their versions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_number(f"table:{table_id}")])


def _check_nobody_sits(table: Table, start: datetime, end: datetime) -> None:
    """Raise Conflict for a block of the present or the near future while a party sits at the table.

    A party that sat down early stays at least until the plan holds its table.
    """
    sitting = (
        Seating.objects.filter(table=table, period__upper_inf=True, period__startswith__lt=end)
        .values_list("booking__reference", "booking__start")
        .first()
    )
    if sitting is None:
        return
    reference, planned = sitting
    margin = timedelta(minutes=table.sector.restaurant.occupied_margin)
    if start < max(clock.now() + margin, planned):
        raise Conflict(
            format_lazy(_("A party still sits at the table ({reference})."), reference=reference),
            issues=[Issue(f"bookings.{reference}", _("A party still sits at the table."))],
        )


def _conflict(references: list[str]) -> Conflict:
    names = ", ".join(sorted(reference for reference in references if reference))
    if names:
        return Conflict(format_lazy(_("The table is booked at that time: {bookings}."), bookings=names))
    return Conflict(_("The table is taken or blocked at that time."))


def append_event(
    caller: Caller,
    event_type: EventType,
    block: TableBlock,
    table: Table,
    more: Mapping[str, str] | None = None,
) -> None:
    """Append the event of a block, with ``more`` in its payload; the caller holds the table's lock."""
    start, end = local_period(block, table.sector.restaurant.zone)
    payload: dict[str, Any] = dict(more or {}) | {
        "tableId": table.id,
        "sectorId": table.sector_id,
        "restaurantId": table.sector.restaurant_id,
        "blockId": str(block.id),
        "start": clock.iso_local(start),
        "end": clock.iso_local(end),
    }
    statements.append(
        aggregate_id=table.id,
        event_type=event_type,
        payload=payload,
        actor=caller,
        at=clock.now_to_millisecond(),
    )
