"""REST for taking tables out of service; in this app and not with the tables, because a block is an allocation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from django.http import HttpResponse
from pydantic import Field
from rest_framework.request import Request

from bookings.models import TableBlock
from bookings.repository.records import local_period
from bookings.services import table_blocks as blocks
from restaurants.models import Table
from restaurants.selectors import get_table
from wokibrain.core import clock
from wokibrain.core.errors import Code
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Line, QueryModel, example
from wokibrain.rest.openapi import operation
from wokibrain.rest.paging import ONE_PAGE, PageQuery, Pagination, pagination
from wokibrain.rest.views import ApiView, caller_of, parse_body, parse_query, reply


class BlockBody(BodyModel):
    """The table is out of service from `start` up to `end`."""

    model_config = example(
        {"start": "2025-10-23T12:00:00-03:00", "end": "2025-10-23T16:00:00-03:00", "reason": "Wobbly leg"}
    )

    start: fields.Instant
    end: fields.Instant
    reason: Annotated[Line, Field(max_length=200)] = ""


class UnblockQuery(QueryModel):
    block_id: UUID | None = Field(
        None, description="End only this block; without it, all present and future ones."
    )


BLOCK: Final = {
    "id": "019a0b5e-6d2a-7c3f-9a41-0c5d8e7f1b22",
    "tableId": "T2",
    "start": "2025-10-23T12:00:00-03:00",
    "end": "2025-10-23T16:00:00-03:00",
    "reason": "Wobbly leg",
    "createdAt": "2025-10-20T09:00:00.000-03:00",
}


class BlockOut(ApiModel):
    model_config = example(BLOCK)

    id: UUID
    table_id: str = Field(examples=["T2"])
    start: datetime
    end: datetime
    reason: str
    created_at: fields.Stamp


class BlocksOut(ApiModel):
    model_config = example({"blocks": [BLOCK], "pagination": ONE_PAGE})

    blocks: list[BlockOut]
    pagination: Pagination


def block_out(block: TableBlock, table: Table) -> BlockOut:
    restaurant = table.sector.restaurant
    start, end = local_period(block, restaurant.zone)
    return BlockOut(
        id=block.id,
        table_id=block.table_id,
        start=start,
        end=end,
        reason=block.reason,
        created_at=block.created_at.astimezone(clock.zone_or_utc(restaurant.zone)),
    )


class BlocksView(ApiView):
    @operation(
        "listTableBlocks",
        "List a table's blocks",
        "The intervals in which it is out of service, present and future, in order of start.",
        query=PageQuery,
        out=BlocksOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, table: str) -> HttpResponse:
        query = parse_query(PageQuery, request)
        caller = caller_of(request)
        page = blocks.list_blocks(caller=caller, table_id=table, page=query.page, limit=query.limit)
        row = get_table(caller=caller, table_id=table)
        return reply(
            BlocksOut(
                blocks=[block_out(block, row) for block in page.rows],
                pagination=pagination(query.page, query.limit, page.total),
            )
        )

    @operation(
        "blockTable",
        "Take a table out of service",
        "A block cannot overlap bookings: 409 names those that it would overlap.",
        body=BlockBody,
        out=BlockOut,
        status=201,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def post(self, request: Request, table: str) -> HttpResponse:
        body = parse_body(BlockBody, request.data)
        block = blocks.block_table(
            caller=caller_of(request), table_id=table, start=body.start, end=body.end, reason=body.reason
        )
        return reply(block_out(block, block.table), 201)

    @operation(
        "unblockTable",
        "Put a table back into service",
        "Ends one block, or all present and future ones.",
        query=UnblockQuery,
        status=204,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def delete(self, request: Request, table: str) -> HttpResponse:
        query = parse_query(UnblockQuery, request)
        blocks.unblock_table(
            caller=caller_of(request),
            table_id=table,
            block_id=str(query.block_id) if query.block_id else None,
        )
        return HttpResponse(status=204)
