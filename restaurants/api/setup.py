"""Set-up endpoints for a first look, guarded by one secret instead of a caller's credentials."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from restaurants.api.schemas.restaurants import RestaurantBody, RestaurantOut, restaurant_out
from restaurants.api.schemas.sectors import SectorOut, SetUpSectorBody, sector_out
from restaurants.api.schemas.setup import InfoOut
from restaurants.api.schemas.tables import TableBody, TableOut, table_out
from restaurants.services import restaurants
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import Code, Unauthorized
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, parse_body, reply


class SetUpView(ApiView):
    """Admits requests with ADMIN_SECRET: header ``X-Admin-Secret``, or ``?secret=`` outside production."""

    authentication_classes = []

    def key_owner(self, request: Request) -> str:
        return "set-up"

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "OPTIONS":
            return
        header = request.META.get("HTTP_X_ADMIN_SECRET")
        secrets = [] if header is None else [header]
        if not settings.PRODUCTION:
            secrets += request.query_params.getlist("secret")
        matches = [hmac.compare_digest(secret.encode(), settings.ADMIN_SECRET.encode()) for secret in secrets]
        if not matches or not all(matches):
            raise Unauthorized


class InfoView(ApiView):
    authentication_classes = []

    @operation(
        "info",
        "Get the name and version",
        "Needs no credentials.",
        out=InfoOut,
        tag="set-up",
        open_to_all=True,
    )
    def get(self, request: Request) -> HttpResponse:
        return reply(
            InfoOut(
                name="WokiBrain", version=settings.VERSION, environment=settings.ENVIRONMENT, docs="/docs"
            )
        )


class RestaurantsView(SetUpView):
    @operation(
        "setUpRestaurant",
        "Create a restaurant",
        "For a first look: it accepts bookings in the past too. Without `windows`: 12:00-16:00 and 20:00-23:45.",
        body=RestaurantBody,
        out=RestaurantOut,
        status=201,
        tag="set-up",
        secret=True,
        creates="restaurant",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(RestaurantBody, request.data)
        restaurant = restaurants.create_restaurant(
            caller=SYSTEM, **({"refuse_past": False} | body.new_restaurant())
        )
        return reply(restaurant_out(restaurant), 201)


class SectorsView(SetUpView):
    @operation(
        "setUpSector",
        "Create a sector",
        "A room or terrace of a restaurant.",
        body=SetUpSectorBody,
        out=SectorOut,
        status=201,
        errors=(Code.NOT_FOUND,),
        tag="set-up",
        secret=True,
        creates="sector",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(SetUpSectorBody, request.data)
        sector = restaurants.create_sector(
            caller=SYSTEM, id=body.id, restaurant_id=body.restaurant_id, name=body.name
        )
        return reply(sector_out(sector), 201)


class TablesView(SetUpView):
    @operation(
        "setUpTable",
        "Create a table",
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
        table = restaurants.create_table(caller=SYSTEM, **body.new_table())
        return reply(table_out(table), 201)
