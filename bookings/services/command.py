"""The one wrapper around every service that writes bookings: idempotency, counting of refusals, metric."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prometheus_client import Counter

from bookings.availability.turned_away import Door, counted
from bookings.repository.records import BookingRecord
from bookings.repository.ticket import Ticket
from wokibrain.idempotency.keys import settle

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def command(
    *, door: Door | None = None, metric: Counter | None = None
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Make a service with a ``ticket`` a command.

    A refusal is marked at the ticket's key, or replaced by the stored answer of a twin that took effect. Only a
    refusal that the caller sees is counted, at ``door``, and only a booking that this call wrote adds to ``metric``.
    The service checks the permission first, at the restaurant of the request or of the booking that it names.
    """

    def wrap(service: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(service)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            ticket = cast(Ticket | None, kwargs.get("ticket"))
            with counted(_restaurant_id(kwargs), door) if door else nullcontext():
                result = settle(ticket, lambda: service(*args, **kwargs))
            if metric and isinstance(result, BookingRecord):
                metric.inc()
            return cast(Result, result)

        return run

    return wrap


def _restaurant_id(arguments: dict[str, Any]) -> str:
    """Return the restaurant of the request among a service's arguments."""
    return next(str(value.restaurant_id) for value in arguments.values() if hasattr(value, "restaurant_id"))
