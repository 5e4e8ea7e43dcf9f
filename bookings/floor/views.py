"""The floor board's requests, for signed-in staff: JSON in and out. The services decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from bookings.api.schemas import ChangeBody, NewBookingBody, SeatBody
from bookings.floor.actions import ACTIONS
from bookings.floor.board import day_json
from bookings.floor.bookings import booking_with_story
from bookings.floor.bookings import search as search_bookings
from bookings.floor.idempotency import once
from bookings.floor.room_plan import place_tables
from bookings.floor.schemas import (
    BlockBody,
    DayQuery,
    SearchQuery,
    SuggestQuery,
    SwapBody,
    TablePositionsBody,
    UnblockBody,
    UndoBody,
    WalkInBody,
)
from bookings.floor.suggestions import Inquiry
from bookings.floor.suggestions import suggest as suggest_tables
from bookings.models import Booking
from bookings.repository.records import BookingRecord
from bookings.services import swap as swaps
from bookings.services.change import update_booking
from bookings.services.create import create_booking
from bookings.services.reopen import reopen_booking
from bookings.services.table_blocks import block_table, unblock_table
from bookings.services.undo import undo_booking
from bookings.services.walk_in import seat_walk_in
from wokibrain.access.staff import is_staff
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, NotFound, Unauthorized, ValidationFailed
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay
from wokibrain.office.base import caller_for
from wokibrain.rest.fields import BodyModel
from wokibrain.rest.views import domain_error, error_response, parse_body, parse_query

Model = TypeVar("Model", bound=BodyModel)


def json_view(view: Callable[..., Any]) -> Callable[..., HttpResponse]:
    """Call ``view`` with the signed-in caller and answer with its result as JSON, or with the API's error shape."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            if not is_staff(request.user):
                raise Unauthorized
            result = view(request, caller_for(request), *args, **kwargs)
        except (DomainError, OperationalError, InterfaceError) as error:
            return error_response(domain_error(error), request)
        response = HttpResponse(orjson.dumps(result), content_type="application/json")
        response["Cache-Control"] = "no-store"
        return response

    return inner


def body_of(model: type[Model], request: HttpRequest) -> Model:
    """Return the request's body as ``model``. Raises ValidationFailed."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise ValidationFailed.at("body", _("Expected a JSON object.")) from None
    return parse_body(model, body)


def _result(caller: Caller, booking: BookingRecord | Replay) -> dict[str, Any]:
    assert isinstance(booking, BookingRecord), "without a ticket nothing is replayed"
    return booking_with_story(caller=caller, booking=str(booking.id))


# --- Reading ---------------------------------------------------------------------------------------------------


@require_GET
@json_view
def token(request: HttpRequest, caller: Caller) -> Any:
    """A valid CSRF token, and the person it is for: signing in again in another tab changes both."""
    return {"token": get_token(request), "user": request.user.pk}


@require_GET
@json_view
def day(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(DayQuery, request)
    caller.require(Permission.BOOKING_READ, query.restaurant)
    return day_json(caller=caller, restaurant_id=query.restaurant, service_date=query.day())


@require_GET
@json_view
def search(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(SearchQuery, request)
    results = search_bookings(
        caller=caller, restaurant_id=query.restaurant, text=query.q, service_date=query.day()
    )
    return {"bookings": results}


@require_GET
@json_view
def suggest(request: HttpRequest, caller: Caller) -> Any:
    query = parse_query(SuggestQuery, request)
    inquiry = Inquiry(query.restaurant, query.date, query.start, query.party, query.minutes, query.sector)
    return suggest_tables(caller=caller, inquiry=inquiry)


@require_GET
@json_view
def booking(request: HttpRequest, caller: Caller, booking: str) -> Any:
    return booking_with_story(caller=caller, booking=booking)


# --- Bookings --------------------------------------------------------------------------------------------------


@require_POST
@json_view
def create(request: HttpRequest, caller: Caller) -> Any:
    new = replace(body_of(NewBookingBody, request).new_booking(), channel=Booking.Channel.STAFF)
    return once(request, caller, create_booking, new=new)


@require_POST
@json_view
def walk_in(request: HttpRequest, caller: Caller) -> Any:
    return once(request, caller, seat_walk_in, party=body_of(WalkInBody, request).walk_in())


@require_POST
@json_view
def change(request: HttpRequest, caller: Caller, booking: str) -> Any:
    changes = body_of(ChangeBody, request).change()
    return _result(caller, update_booking(booking, caller=caller, change=changes))


@require_POST
@json_view
def act(request: HttpRequest, caller: Caller, booking: str, act: str) -> Any:
    if act not in ACTIONS:
        raise NotFound
    named = (
        {"table_ids": body_of(SeatBody, request).tables()}
        if act == "seat" and request.content_type == "application/json"
        else {}
    )
    return once(request, caller, ACTIONS[act].service, booking, **named)


@require_POST
@json_view
def reopen(request: HttpRequest, caller: Caller, booking: str) -> Any:
    return once(request, caller, reopen_booking, booking)


@require_POST
@json_view
def undo(request: HttpRequest, caller: Caller, booking: str) -> Any:
    version = body_of(UndoBody, request).version
    return _result(caller, undo_booking(booking, caller=caller, version=version))


@require_POST
@json_view
def swap(request: HttpRequest, caller: Caller, booking: str) -> Any:
    body = body_of(SwapBody, request)
    swapped = swaps.swap_bookings(
        caller=caller,
        first=swaps.BookingVersion(booking, body.version),
        second=swaps.BookingVersion(body.with_booking, body.with_version),
    )
    return {"bookings": [_result(caller, booking) for booking in swapped]}


# --- Tables ----------------------------------------------------------------------------------------------------


@require_POST
@json_view
def block(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(BlockBody, request)
    block = block_table(
        caller=caller, table_id=body.table_id, start=body.start, end=body.end, reason=body.reason
    )
    return {"id": str(block.pk), "table": block.table_id}


@require_POST
@json_view
def unblock(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(UnblockBody, request)
    return {"freed": unblock_table(caller=caller, table_id=body.table_id, block_id=body.block_id)}


@require_POST
@json_view
def tables(request: HttpRequest, caller: Caller) -> Any:
    body = body_of(TablePositionsBody, request)
    positions = {table.id: (table.x, table.y) for table in body.tables}
    place_tables(caller=caller, restaurant_id=body.restaurant_id, positions=positions)
    return {}
