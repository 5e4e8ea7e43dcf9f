"""Set-up for a first look: a few endpoints guarded by one secret instead of a caller."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from restaurants.api.schemas.restaurants import RestaurantBody, RestaurantOut, restaurant_out
from restaurants.api.schemas.sectors import SectorBody, SectorOut, sector_out
from restaurants.api.schemas.setup import InfoOut
from restaurants.api.schemas.tables import TableBody, TableOut, table_out
from restaurants.services import restaurants
from restaurants.services.calendar import DEFAULT_HOURS
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import Code, Unauthorized
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, parse_body, reply


class SetUpView(ApiView):
    """Lets in who knows ADMIN_SECRET: header ``X-Admin-Secret``, or ``?secret=`` outside production."""

    authentication_classes = []

    def key_owner(self, request: Request) -> str:
        return "set-up"

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "OPTIONS":
            return
        header = request.META.get("HTTP_X_ADMIN_SECRET")
        given = [] if header is None else [header]
        if not settings.PRODUCTION:
            given += request.query_params.getlist("secret")
        right = [hmac.compare_digest(each.encode(), settings.ADMIN_SECRET.encode()) for each in given]
        if not right or not all(right):
            raise Unauthorized


class InfoView(ApiView):
    authentication_classes = []

    @operation("info", "What this is", "Open to all.", out=InfoOut, tag="set-up", open_to_all=True)
    def get(self, request: Request) -> HttpResponse:
        return reply(
            InfoOut(
                name="WokiBrain", version=settings.VERSION, environment=settings.ENVIRONMENT, docs="/docs"
            )
        )


class RestaurantsView(SetUpView):
    @operation(
        "setUpRestaurant",
        "Make a restaurant",
        "For a first look: takes bookings in the past too. Without `windows`: 12:00-16:00 and 20:00-23:45.",
        body=RestaurantBody,
        out=RestaurantOut,
        status=201,
        tag="set-up",
        secret=True,
        creates="restaurant",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(RestaurantBody, request.data)
        calendar = body.calendar()
        made = restaurants.create_restaurant(
            caller=SYSTEM,
            id=body.id,
            hours=DEFAULT_HOURS if calendar.hours is None else calendar.hours,
            special=calendar.special or (),
            turns=calendar.turns or (),
            **({"refuse_past": False} | body.settings()),
        )
        return reply(restaurant_out(made), 201)


class SectorsView(SetUpView):
    @operation(
        "setUpSector",
        "Make a sector",
        "A room or terrace of a restaurant.",
        body=SectorBody,
        out=SectorOut,
        status=201,
        errors=(Code.NOT_FOUND,),
        tag="set-up",
        secret=True,
        creates="sector",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(SectorBody, request.data)
        made = restaurants.create_sector(
            caller=SYSTEM, id=body.id, restaurant_id=body.restaurant_id, name=body.name
        )
        return reply(sector_out(made), 201)


class TablesView(SetUpView):
    @operation(
        "setUpTable",
        "Make a table",
        "In a sector.",
        body=TableBody,
        out=TableOut,
        status=201,
        errors=(Code.NOT_FOUND,),
        tag="set-up",
        secret=True,
        creates="table",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(TableBody, request.data)
        least, most = body.capacity()
        made = restaurants.create_table(
            caller=SYSTEM,
            id=body.id,
            sector_id=body.sector_id,
            capacity_min=least,
            capacity_max=most,
            **body.settings(),
        )
        return reply(table_out(made), 201)
