"""REST for bookings: thin views over the services and selectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson
from django.http import HttpResponse
from rest_framework.request import Request

from bookings.api.schemas import (
    AsOfQuery,
    BookingOut,
    BookingsOut,
    ChangeBody,
    DiscoverQuery,
    DiscoveryOut,
    HistoryOut,
    ListQuery,
    NewBookingBody,
    SeatBody,
    booking_out,
    bookings_json,
    discovery_json,
    history_json,
    page_out,
    past_booking_out,
)
from bookings.repository.records import BookingRecord, Ticket, seen_by
from bookings.selectors import bookings as selectors
from bookings.selectors import discover, history
from bookings.selectors.bookings import DayList
from bookings.selectors.discover import Search
from bookings.services.change import update_booking
from bookings.services.create import create_booking
from bookings.services.guests import PRIVATE_FIELDS
from bookings.services.lifecycle import cancel_booking, complete_booking, no_show_booking, seat_booking
from bookings.services.reopen import reopen_booking
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Code
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay
from wokibrain.rest.fields import BodyModel
from wokibrain.rest.idempotency import Idempotency, replayed, ticket_of
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, caller_of, parse_body, parse_query, reply_json

SEATING: Final = (Code.NO_CAPACITY, Code.CONFLICT, Code.OUTSIDE_SERVICE_WINDOW)


class DiscoverView(ApiView):
    @operation(
        "discoverTables",
        "Find free tables",
        """Lists the best candidates of a service date: single tables, and combinations of 2 to 4 tables of one sector,
        in the order in which a booking would take them. Without `sectorId` all sectors are searched.""",
        query=DiscoverQuery,
        out=DiscoveryOut,
        errors=(Code.NOT_FOUND, Code.NO_CAPACITY, Code.OUTSIDE_SERVICE_WINDOW),
    )
    def get(self, request: Request) -> HttpResponse:
        query = parse_query(DiscoverQuery, request)
        search = Search(
            restaurant_id=query.restaurant_id,
            sector_id=query.sector_id,
            service_date=query.date,
            party_size=query.party_size,
            duration=query.duration,
            window_start=query.window_start,
            window_end=query.window_end,
            limit=query.limit,
        )
        return reply_json(
            discover.discover_rendered(caller=caller_of(request), search=search, render=discovery_json)
        )


class BookingsView(ApiView):
    @operation(
        "listBookings",
        "List the bookings of a day",
        "The day is a service date in the restaurant's time zone. Bookings are in order of start.",
        query=ListQuery,
        out=BookingsOut,
        errors=(Code.NOT_FOUND,),
    )
    def get(self, request: Request) -> HttpResponse:
        query = parse_query(ListQuery, request)
        day_list = DayList(
            restaurant_id=query.restaurant_id,
            sector_id=query.sector_id,
            service_date=query.date,
            status=query.status,
            page=query.page,
            limit=query.limit,
        )
        caller = caller_of(request)
        if query.as_of is not None:
            states, total, zone = history.list_as_of(caller=caller, day_list=day_list, instant=query.as_of)
            bookings = [past_booking_out(state, zone) for state in states]
            return reply_json(orjson.dumps(page_out(day_list, bookings, total)))
        return reply_json(selectors.list_rendered(caller=caller, day_list=day_list, render=bookings_json))

    @operation(
        "createBooking",
        "Book a table",
        """Books the best candidate or, with `start` and `tableIds`, exactly that one. Send an
        `Idempotency-Key` so that a request repeated after a time-out, for example, books only once.""",
        body=NewBookingBody,
        out=BookingOut,
        status=201,
        errors=(Code.NOT_FOUND, *SEATING),
        idempotency=Idempotency.SERVICE,
        creates="booking",
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(NewBookingBody, request.data)
        caller = caller_of(request)
        ticket = _ticket(self, request, _answer(caller, 201), body)
        result = create_booking(caller=caller, new=body.new_booking(), ticket=ticket)
        return _response(caller, result, 201)


class BookingView(ApiView):
    @operation(
        "getBooking",
        "Get a booking",
        "By id or reference. With `asOf`, as it was at that instant.",
        query=AsOfQuery,
        out=BookingOut,
        errors=(Code.NOT_FOUND,),
    )
    def get(self, request: Request, booking: str) -> HttpResponse:
        caller = caller_of(request)
        as_of = parse_query(AsOfQuery, request).as_of
        if as_of is not None:
            state, zone = history.booking_as_of(caller=caller, booking=booking, instant=as_of)
            return reply_json(orjson.dumps(past_booking_out(state, zone)))
        return reply_json(orjson.dumps(booking_out(selectors.get_booking(caller=caller, booking=booking))))

    @operation(
        "changeBooking",
        "Change a booking",
        """The party keeps its tables unless they no longer fit or the request names others; a seated one is never
        moved unless the request names `tableIds`. For another length or another start on its day it keeps them, or
        the request fails and names the party in the way. The start stays unless the request has a `start`, a window or
        a `date`; a `start` on another date moves the booking to that date. If the request fails, the booking stays as
        it was.""",
        body=ChangeBody,
        out=BookingOut,
        errors=(Code.NOT_FOUND, *SEATING, Code.ALREADY_CANCELLED, Code.INVALID_TRANSITION),
        idempotency=Idempotency.SERVICE,
    )
    def patch(self, request: Request, booking: str) -> HttpResponse:
        body = parse_body(ChangeBody, request.data)
        caller = caller_of(request)
        ticket = _ticket(self, request, _answer(caller, 200), body)
        result = update_booking(booking, caller=caller, change=body.change(), ticket=ticket)
        return _response(caller, result, 200)

    @operation(
        "cancelBooking",
        "Cancel a booking",
        "Frees its tables. Cancelling again fails with ALREADY_CANCELLED, unless the `Idempotency-Key` is the same.",
        status=204,
        errors=(Code.NOT_FOUND, Code.ALREADY_CANCELLED, Code.INVALID_TRANSITION, Code.CONFLICT),
        idempotency=Idempotency.SERVICE,
    )
    def delete(self, request: Request, booking: str) -> HttpResponse:
        caller = caller_of(request)
        ticket = _ticket(self, request, lambda _: Replay(204, ""))
        result = cancel_booking(booking, caller=caller, ticket=ticket)
        return _response(caller, result, 204)


class HistoryView(ApiView):
    @operation(
        "getBookingHistory",
        "Get a booking's history",
        """Its events, oldest first. They contain no contact data or notes, and the guest's id only for a caller with
        `guest:read`.""",
        out=HistoryOut,
        errors=(Code.NOT_FOUND,),
    )
    def get(self, request: Request, booking: str) -> HttpResponse:
        events, zone = history.booking_history(caller=caller_of(request), booking=booking)
        return reply_json(history_json(events, zone))


Step = Callable[..., BookingRecord | Replay]


class _StepView(ApiView):
    """A view that moves a booking one step through its life-cycle; for staff."""

    step: Step

    def post(self, request: Request, booking: str) -> HttpResponse:
        caller = caller_of(request)
        ticket = _ticket(self, request, _answer(caller, 200))
        result = type(self).step(booking, caller=caller, ticket=ticket)
        return _response(caller, result, 200)


STEP_ERRORS: Final = (Code.NOT_FOUND, Code.INVALID_TRANSITION, Code.CONFLICT)


class SeatView(ApiView):
    @operation(
        "seatBooking",
        "Mark a party as seated",
        """From CONFIRMED, or from NO_SHOW if the party came after all and its tables are still free; only on the
        booking's service day. Where another party sits, CONFLICT names it and lists `alternatives`: send one of them
        as `tableIds` to seat the party there.""",
        body=SeatBody,
        out=BookingOut,
        errors=STEP_ERRORS,
        idempotency=Idempotency.SERVICE,
    )
    def post(self, request: Request, booking: str) -> HttpResponse:
        body = parse_body(SeatBody, request.data or {})
        caller = caller_of(request)
        ticket = _ticket(self, request, _answer(caller, 200), body)
        result = seat_booking(booking, caller=caller, table_ids=body.tables(), ticket=ticket)
        return _response(caller, result, 200)


class CompleteView(_StepView):
    step = staticmethod(complete_booking)

    @operation(
        "completeBooking",
        "Mark a booking as completed",
        "From SEATED. If the party leaves early, the rest of its time becomes free.",
        out=BookingOut,
        errors=STEP_ERRORS,
        idempotency=Idempotency.SERVICE,
    )
    def post(self, request: Request, booking: str) -> HttpResponse:
        return super().post(request, booking)


class NoShowView(_StepView):
    step = staticmethod(no_show_booking)

    @operation(
        "markNoShow",
        "Mark a party as a no-show",
        "From CONFIRMED, from the booking's start on. Frees the tables.",
        out=BookingOut,
        errors=STEP_ERRORS,
        idempotency=Idempotency.SERVICE,
    )
    def post(self, request: Request, booking: str) -> HttpResponse:
        return super().post(request, booking)


class ReopenView(_StepView):
    step = staticmethod(reopen_booking)

    @operation(
        "reopenBooking",
        "Put a booking back",
        """Takes back the latest step of a booking that is SEATED, COMPLETED, CANCELLED or NO_SHOW, where its tables
        allow; back to SEATED only on its own service day. The tables, the time and the guest stay as they are.""",
        out=BookingOut,
        errors=STEP_ERRORS,
        idempotency=Idempotency.SERVICE,
    )
    def post(self, request: Request, booking: str) -> HttpResponse:
        return super().post(request, booking)


def _answer(caller: Caller, status: int) -> Callable[[BookingRecord], Replay]:
    def respond(booking: BookingRecord) -> Replay:
        return Replay(status, _body(caller, booking).decode())

    return respond


def _replay(caller: Caller, stored: Replay) -> Replay:
    """Return a stored answer without what the caller may not see any more."""
    if not stored.body:
        return stored
    booking = orjson.loads(stored.body)
    if caller.may(Permission.GUEST_READ, booking["restaurantId"]):
        return stored
    return Replay(stored.status, orjson.dumps(booking | dict.fromkeys(PRIVATE_FIELDS)).decode())


def _body(caller: Caller, booking: BookingRecord) -> bytes:
    return orjson.dumps(booking_out(seen_by(caller, booking.restaurant_id, [booking])[0]))


def _response(caller: Caller, result: BookingRecord | Replay, status: int) -> HttpResponse:
    if isinstance(result, Replay):
        return replayed(_replay(caller, result))
    return reply_json(None if status == 204 else _body(caller, result), status)


def _ticket(
    view: ApiView, request: Request, respond: Callable[[BookingRecord], Replay], body: BodyModel | None = None
) -> Ticket | None:
    return Ticket.of(ticket_of(view, request, body), respond)
