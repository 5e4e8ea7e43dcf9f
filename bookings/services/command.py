"""The wrappers around every service that writes bookings: permission, idempotency, counting of refusals, metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from prometheus_client import Counter

from bookings.availability import turned_away
from bookings.availability.turned_away import TURNED_AWAY, Door
from bookings.repository.records import BookingRecord, Ticket
from bookings.repository.statements import find_booking
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import settle

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def command(
    permission: Permission, *, door: Door, metric: Counter
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Make a command of a service that takes ``caller``, a request that names its restaurant, and ``ticket``.

    The caller needs ``permission`` at that restaurant. A refusal is marked at the ticket's key, or replaced by the
    stored answer of a twin that took effect. Only a refusal that the caller sees is counted, at ``door``, and only a
    booking that this call wrote adds to ``metric``.
    """

    def wrap(service: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(service)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            caller, restaurant_id = cast(Caller, kwargs["caller"]), _restaurant_id(kwargs)

            def act() -> Result:
                caller.require(permission, restaurant_id)
                return service(*args, **kwargs)

            try:
                return _run(act, kwargs, metric)
            except TURNED_AWAY as refusal:
                turned_away.note(restaurant_id, door, refusal)
                raise

        return run

    return wrap


def booking_command(
    permission: Permission, *, metric: Counter | None = None, or_own: bool = False
) -> Callable[
    [Callable[Concatenate[BookingRecord, Parameters], Result]],
    Callable[Concatenate[str, Parameters], Result],
]:
    """Make a command of a service about an existing booking; it takes the booking, ``caller`` and perhaps ``ticket``.

    Callers of the command name the booking by its id or reference. It is found here, and the service gets the record
    as it was before any lock. The caller needs ``permission`` at its restaurant. Refusals and ``metric`` as in
    ``command``.
    """

    def wrap(
        service: Callable[Concatenate[BookingRecord, Parameters], Result],
    ) -> Callable[Concatenate[str, Parameters], Result]:
        @wraps(service)
        def run(booking: str, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            def act() -> Result:
                caller = cast(Caller, kwargs["caller"])
                record = find_booking(caller=caller, booking=booking, permission=permission, or_own=or_own)
                return service(record, *args, **kwargs)

            return _run(act, kwargs, metric)

        return run

    return wrap


def _run(act: Callable[[], Result], arguments: Mapping[str, Any], metric: Counter | None) -> Result:
    result = settle(cast(Ticket | None, arguments.get("ticket")), act)
    if metric and isinstance(result, BookingRecord):
        metric.inc()
    # A stored answer comes back only for a ticket, and a service with a ticket says so in its type.
    return cast(Result, result)


def _restaurant_id(arguments: Mapping[str, Any]) -> str:
    """Return the restaurant of the request among a service's arguments."""
    return next(str(value.restaurant_id) for value in arguments.values() if hasattr(value, "restaurant_id"))
