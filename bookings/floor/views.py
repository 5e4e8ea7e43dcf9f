"""The floor board's page and its JSON, for signed-in staff. Thin: the services decide."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

import orjson
from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib.auth.views import redirect_to_login
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from pydantic import Field

from bookings.api.schemas import (
    ChangeBody,
    Duration,
    GuestName,
    NewBookingBody,
    Notes,
    Party,
    QueryDuration,
    QueryParty,
)
from bookings.floor import board as floor
from bookings.floor import day_sheet as sheet
from bookings.floor import idempotency
from bookings.floor.words import words
from bookings.models import Booking
from bookings.repository.records import BookingRecord
from bookings.services import change as changes
from bookings.services import lifecycle, table_blocks, undo
from bookings.services import swap as swaps
from bookings.services import walk_in as walkins
from bookings.services.create import create_booking
from bookings.services.guests import Contact
from wokibrain.access.staff import is_staff
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, NotFound, Unauthorized, ValidationFailed
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay
from wokibrain.office.actors import called
from wokibrain.office.base import caller_for
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, Instant, Line, ServiceDate
from wokibrain.rest.views import domain_error, error_response, parse_body, parse_query

View = Callable[..., HttpResponseBase]
Model = TypeVar("Model", bound=BodyModel)
STRICT: Final = {"script-src": [SELF], "style-src": [SELF]}
"""Our own pages need neither inline code nor eval, as unfold's do."""
ACTS: Final[dict[str, Callable[..., BookingRecord | Replay]]] = {
    "seat": lifecycle.seat_booking,
    "complete": lifecycle.complete_booking,
    "no-show": lifecycle.no_show_booking,
    "cancel": lifecycle.cancel_booking,
}


def page(view: View) -> View:
    """For people: whoever is not signed in is sent to do so and comes back."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_staff(request.user):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        return view(request, *args, **kwargs)

    return require_GET(inner)


def data(view: Callable[..., Any]) -> View:
    """For the board's scripts: JSON out, and every refusal in the API's shape and the person's language."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not is_staff(request.user):
                raise Unauthorized
            answer = view(request, caller_for(request), *args, **kwargs)
        except (DomainError, OperationalError, InterfaceError) as error:
            return error_response(domain_error(error), request)
        response = HttpResponse(orjson.dumps(answer), content_type="application/json")
        response["Cache-Control"] = "no-store"
        return response

    return inner


def body_of(model: type[Model], request: HttpRequest) -> Model:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise ValidationFailed.at("body", _("Expected a JSON object.")) from None
    return parse_body(model, body)


class DayQuery(ApiModel):
    restaurant: Identifier
    date: ServiceDate | None = None
    q: Annotated[str, Field(max_length=100)] = ""
    by: Annotated[str, Field(pattern="^(time|table)$")] = "time"

    def day(self) -> dt.date:
        return self.date or floor.today(self.restaurant)


@page
@csp_replace(STRICT)
def board(request: HttpRequest) -> HttpResponseBase:
    caller = caller_for(request)
    places = floor.restaurants(caller)
    wanted = request.GET.get("restaurant") or (places[0].pk if places else "")
    chosen = next((each for each in places if each.pk == wanted), None)
    if places and chosen is None:
        return HttpResponseRedirect(reverse("floor"))
    start = {
        "restaurant": wanted,
        "me": called(request.user),  # type: ignore[arg-type]
        "user": request.user.pk,
        "language": get_language(),
        "urls": {"floor": reverse("floor"), "login": reverse("admin:login"), "admin": reverse("admin:index")},
        "words": words(),
    }
    context = {"places": places, "chosen": chosen, "start": start}
    return render(request, "floor/board.html", context)


@require_GET
@data
def token(request: HttpRequest, caller: Caller) -> Any:
    """What the board's requests need since somebody signed in again in another tab, and who that is."""
    return {"token": get_token(request), "user": request.user.pk}


@require_GET
@data
def day(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(DayQuery, request)
    caller.require(Permission.BOOKING_READ, query.restaurant)
    return floor.day(caller=caller, restaurant_id=query.restaurant, service_date=query.day())


@require_GET
@data
def search(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(DayQuery, request)
    return {
        "bookings": floor.search(
            caller=caller, restaurant_id=query.restaurant, text=query.q, service_date=query.day()
        )
    }


class SuggestQuery(ApiModel):
    restaurant: Identifier
    date: ServiceDate
    start: fields.Start
    party: QueryParty
    minutes: QueryDuration | None = None
    sector: Identifier | None = None


@require_GET
@data
def suggest(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(SuggestQuery, request)
    asked = floor.Asked(query.restaurant, query.date, query.start, query.party, query.minutes, query.sector)
    return floor.suggest(caller=caller, asked=asked)


@require_POST
@data
def create(request: HttpRequest, caller: Caller) -> Any:
    wanted = replace(body_of(NewBookingBody, request).wanted(), channel=Booking.Channel.STAFF)
    return idempotency.once(
        request, caller, lambda ticket: create_booking(caller=caller, wanted=wanted, ticket=ticket)
    )


class WalkInBody(BodyModel):
    restaurant_id: Identifier
    party_size: Party
    sector_id: Identifier | None = None
    table_ids: fields.TableIds | None = None
    duration_minutes: Duration | None = None
    guest_name: GuestName | None = None
    notes: Notes | None = None


@require_POST
@data
def walk_in(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(WalkInBody, request)
    wanted = walkins.WalkIn(
        restaurant_id=body.restaurant_id,
        party_size=body.party_size,
        sector_id=body.sector_id,
        table_ids=frozenset(body.table_ids) if body.table_ids else None,
        duration_minutes=body.duration_minutes,
        contact=Contact(name=body.guest_name or ""),
        notes=body.notes or "",
    )
    return idempotency.once(
        request, caller, lambda ticket: walkins.seat_walk_in(caller=caller, wanted=wanted, ticket=ticket)
    )


@require_GET
@data
def booking(request: HttpRequest, caller: Caller, booking: str) -> Any:
    return floor.one(caller=caller, booking=booking)


@require_POST
@data
def change(request: HttpRequest, caller: Caller, booking: str) -> Any:
    asked = body_of(ChangeBody, request).change()
    return _shown(caller, changes.update_booking(caller=caller, booking=booking, change=asked))


@require_POST
@data
def act(request: HttpRequest, caller: Caller, booking: str, act: str) -> Any:
    if act not in ACTS:
        raise NotFound
    return idempotency.once(
        request, caller, lambda ticket: ACTS[act](caller=caller, booking=booking, ticket=ticket)
    )


class UndoBody(BodyModel):
    version: Annotated[int, Field(ge=1)]


@require_POST
@data
def take_back(request: HttpRequest, caller: Caller, booking: str) -> Any:
    version = body_of(UndoBody, request).version
    return _shown(caller, undo.undo_booking(caller=caller, booking=booking, version=version))


class SwapBody(BodyModel):
    version: Annotated[int, Field(ge=1)]
    with_booking: fields.Line
    with_version: Annotated[int, Field(ge=1)]


@require_POST
@data
def swap(request: HttpRequest, caller: Caller, booking: str) -> Any:
    body = body_of(SwapBody, request)
    swapped = swaps.swap_bookings(
        caller=caller,
        first=swaps.Seen(booking, body.version),
        second=swaps.Seen(body.with_booking, body.with_version),
    )
    return {"bookings": [_shown(caller, each) for each in swapped]}


class BlockBody(BodyModel):
    table_id: Identifier
    start: Instant
    end: Instant
    reason: Annotated[Line, Field(max_length=200)] = ""


@require_POST
@data
def block(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(BlockBody, request)
    made = table_blocks.block_table(
        caller=caller, table_id=body.table_id, start=body.start, end=body.end, reason=body.reason
    )
    return {"id": str(made.pk), "table": made.table_id}


class UnblockBody(BodyModel):
    table_id: Identifier
    block_id: fields.Line


@require_POST
@data
def unblock(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(UnblockBody, request)
    return {
        "freed": table_blocks.unblock_table(caller=caller, table_id=body.table_id, block_id=body.block_id)
    }


class SpotBody(BodyModel):
    id: Identifier
    x: Annotated[int, Field(ge=0, le=10_000)]
    y: Annotated[int, Field(ge=0, le=10_000)]


class SpotsBody(BodyModel):
    restaurant_id: Identifier
    tables: Annotated[list[SpotBody], Field(min_length=1, max_length=500)]


@require_POST
@data
def spots(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(SpotsBody, request)
    floor.place_tables(
        caller=caller,
        restaurant_id=body.restaurant_id,
        spots={each.id: (each.x, each.y) for each in body.tables},
    )
    return {}


@page
@csp_replace(STRICT)
def day_sheet(request: HttpRequest) -> HttpResponseBase:
    """The list a host prints before service."""
    try:
        query = parse_query(DayQuery, request)
        found = sheet.read(
            caller=caller_for(request), restaurant_id=query.restaurant, service_date=query.day()
        )
    except DomainError as error:
        return error_response(error, request)
    return render(request, "floor/day_sheet.html", {"sheet": found, "by": query.by})


def export(render_as: Callable[[sheet.Sheet], str], kind: str, ending: str) -> View:
    @page
    def inner(request: HttpRequest) -> HttpResponseBase:
        try:
            query = parse_query(DayQuery, request)
            found = sheet.read(
                caller=caller_for(request), restaurant_id=query.restaurant, service_date=query.day()
            )
        except DomainError as error:
            return error_response(error, request)
        response = HttpResponse(render_as(found), content_type=f"{kind}; charset=utf-8")
        name = f"{query.restaurant}-{found.date.isoformat()}.{ending}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    return inner


as_csv = export(sheet.as_csv, "text/csv", "csv")
as_ical = export(sheet.as_ical, "text/calendar", "ics")


def _shown(caller: Caller, result: BookingRecord | Replay) -> dict[str, Any]:
    assert isinstance(result, BookingRecord), "there is no ticket to replay"
    return floor.one(caller=caller, booking=str(result.id))
