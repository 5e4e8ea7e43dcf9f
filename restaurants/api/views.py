"""REST for restaurants, sectors and tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol, TypeVar

from django.db.models import Model
from django.http import HttpResponse
from rest_framework.request import Request

from restaurants import selectors
from restaurants.api.schemas.common import AcknowledgeQuery
from restaurants.api.schemas.restaurants import (
    RestaurantBody,
    RestaurantOut,
    RestaurantPatch,
    RestaurantsOut,
    restaurant_out,
)
from restaurants.api.schemas.sectors import NewSectorBody, SectorOut, SectorPatch, SectorsOut, sector_out
from restaurants.api.schemas.tables import TableBody, TableOut, TablePatch, TablesOut, table_out
from restaurants.services import restaurants
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Code
from wokibrain.rest.openapi import operation
from wokibrain.rest.paging import PageQuery, Pagination, pagination
from wokibrain.rest.views import ApiView, caller_of, parse_body, parse_query, reply

ACKNOWLEDGE_BOOKINGS = """If future bookings no longer fit after the change, 409 lists them with a token. Repeat the
request with `?acknowledge=` and the token to make the change; the bookings are then flagged for staff."""


Row = TypeVar("Row", bound=Model)


class Lister(Protocol[Row]):
    """A selector that reads one page of the rows that a caller may see."""

    def __call__(self, *, caller: Caller, page: int, limit: int) -> selectors.Page[Row]: ...


def page_of(request: Request, read: Lister[Row]) -> tuple[Sequence[Row], Pagination]:
    """Return the rows that `read` finds on the page that the request names, and the response's pagination."""
    query = parse_query(PageQuery, request)
    page = read(caller=caller_of(request), page=query.page, limit=query.limit)
    return page.rows, pagination(query.page, query.limit, page.total)


class RestaurantsView(ApiView):
    @operation(
        "listRestaurants",
        "List restaurants",
        "Those that the caller may read, by name.",
        query=PageQuery,
        out=RestaurantsOut,
        tag="management",
    )
    def get(self, request: Request) -> HttpResponse:
        rows, pages = page_of(request, selectors.list_restaurants)
        return reply(RestaurantsOut(restaurants=list(map(restaurant_out, rows)), pagination=pages))

    @operation(
        "createRestaurant",
        "Create a restaurant",
        """Without `windows`: 12:00-16:00 and 20:00-23:45, every day. It refuses bookings in the past unless
        `refusePast` is false. Ids are unique across all restaurants of the installation: a taken `id` is refused.""",
        body=RestaurantBody,
        out=RestaurantOut,
        status=201,
        tag="management",
        creates="restaurant",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(RestaurantBody, request.data)
        restaurant = restaurants.create_restaurant(caller=caller_of(request), **body.new_restaurant())
        return reply(restaurant_out(restaurant), 201)


class RestaurantView(ApiView):
    @operation(
        "getRestaurant",
        "Get a restaurant",
        "With its hours, special days, turn times and limits.",
        out=RestaurantOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, restaurant: str) -> HttpResponse:
        return reply(
            restaurant_out(selectors.get_restaurant(caller=caller_of(request), restaurant_id=restaurant))
        )

    @operation(
        "changeRestaurant",
        "Change a restaurant",
        ACKNOWLEDGE_BOOKINGS,
        query=AcknowledgeQuery,
        body=RestaurantPatch,
        out=RestaurantOut,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def patch(self, request: Request, restaurant: str) -> HttpResponse:
        query = parse_query(AcknowledgeQuery, request)
        body = parse_body(RestaurantPatch, request.data)
        caller = caller_of(request)
        restaurants.update_restaurant(
            caller=caller,
            restaurant_id=restaurant,
            settings=body.settings(),
            calendar=body.calendar(),
            acknowledge=query.acknowledge,
        )
        return reply(restaurant_out(selectors.get_restaurant(caller=caller, restaurant_id=restaurant)))

    @operation(
        "deleteRestaurant",
        "Delete a restaurant",
        "Deletes its sectors and tables too. Once it had a booking, it cannot be deleted: CONFLICT.",
        status=204,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def delete(self, request: Request, restaurant: str) -> HttpResponse:
        restaurants.delete_restaurant(caller=caller_of(request), restaurant_id=restaurant)
        return HttpResponse(status=204)


class RestaurantSectorsView(ApiView):
    @operation(
        "listSectors",
        "List the sectors of a restaurant",
        "In order of position.",
        query=PageQuery,
        out=SectorsOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, restaurant: str) -> HttpResponse:
        rows, pages = page_of(request, partial(selectors.list_sectors, restaurant_id=restaurant))
        return reply(SectorsOut(sectors=list(map(sector_out, rows)), pagination=pages))

    @operation(
        "createSector",
        "Create a sector",
        "A room or terrace. Tables combine only within a sector.",
        body=NewSectorBody,
        out=SectorOut,
        status=201,
        errors=(Code.NOT_FOUND,),
        tag="management",
        creates="sector",
    )
    def post(self, request: Request, restaurant: str) -> HttpResponse:
        body = parse_body(NewSectorBody, request.data)
        sector = restaurants.create_sector(
            caller=caller_of(request),
            id=body.id,
            restaurant_id=restaurant,
            name=body.name,
            position=body.position,
        )
        return reply(sector_out(sector), 201)


class SectorView(ApiView):
    @operation(
        "getSector",
        "Get a sector",
        "With the pairs of tables that join, and the combos that have a capacity of their own.",
        out=SectorOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, sector: str) -> HttpResponse:
        return reply(sector_out(selectors.get_sector(caller=caller_of(request), sector_id=sector)))

    @operation(
        "changeSector",
        "Change a sector",
        ACKNOWLEDGE_BOOKINGS,
        query=AcknowledgeQuery,
        body=SectorPatch,
        out=SectorOut,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def patch(self, request: Request, sector: str) -> HttpResponse:
        query = parse_query(AcknowledgeQuery, request)
        body = parse_body(SectorPatch, request.data)
        changed = restaurants.update_sector(
            caller=caller_of(request),
            sector_id=sector,
            settings=body.settings(),
            joins=None if body.joins is None else [frozenset(pair) for pair in body.joins],
            combos=None if body.combos is None else [combo.joined() for combo in body.combos],
            acknowledge=query.acknowledge,
        )
        return reply(sector_out(changed))

    @operation(
        "deleteSector",
        "Delete a sector",
        "Deletes its tables too. Once it had a booking, it cannot be deleted: CONFLICT; deactivate its tables instead.",
        status=204,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def delete(self, request: Request, sector: str) -> HttpResponse:
        restaurants.delete_sector(caller=caller_of(request), sector_id=sector)
        return HttpResponse(status=204)


class SectorTablesView(ApiView):
    @operation(
        "listTables",
        "List the tables of a sector",
        "In order of position, then of name, as people count: 2 before 10.",
        query=PageQuery,
        out=TablesOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, sector: str) -> HttpResponse:
        rows, pages = page_of(request, partial(selectors.list_tables, sector_id=sector))
        return reply(TablesOut(tables=list(map(table_out, rows)), pagination=pages))


class TablesView(ApiView):
    @operation(
        "createTable",
        "Create a table",
        "Its capacity is `capacityMin` and `capacityMax`, or `minSize` and `maxSize`.",
        body=TableBody,
        out=TableOut,
        status=201,
        errors=(Code.NOT_FOUND,),
        tag="management",
        creates="table",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(TableBody, request.data)
        table = restaurants.create_table(caller=caller_of(request), **body.new_table())
        return reply(table_out(table), 201)


class TableView(ApiView):
    @operation(
        "getTable",
        "Get a table",
        "With its capacity and its position on the floor plan.",
        out=TableOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, table: str) -> HttpResponse:
        return reply(table_out(selectors.get_table(caller=caller_of(request), table_id=table)))

    @operation(
        "changeTable",
        "Change a table",
        "The sector of a table cannot change. " + ACKNOWLEDGE_BOOKINGS,
        query=AcknowledgeQuery,
        body=TablePatch,
        out=TableOut,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def patch(self, request: Request, table: str) -> HttpResponse:
        query = parse_query(AcknowledgeQuery, request)
        body = parse_body(TablePatch, request.data)
        changed = restaurants.update_table(
            caller=caller_of(request),
            table_id=table,
            settings=body.settings(),
            acknowledge=query.acknowledge,
        )
        return reply(table_out(changed))

    @operation(
        "deleteTable",
        "Delete a table",
        "Once it was booked or blocked, it cannot be deleted: CONFLICT; set `active` to false instead.",
        query=AcknowledgeQuery,
        status=204,
        errors=(Code.NOT_FOUND, Code.CONFLICT),
        tag="management",
    )
    def delete(self, request: Request, table: str) -> HttpResponse:
        query = parse_query(AcknowledgeQuery, request)
        restaurants.delete_table(caller=caller_of(request), table_id=table, acknowledge=query.acknowledge)
        return HttpResponse(status=204)
