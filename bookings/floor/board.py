"""The floor board's day: one restaurant's service day as the browser draws it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from bookings import statuses
from bookings.availability import plan as plans
from bookings.availability.plan import Plan, service_date_at
from bookings.floor.bookings import Stay, booking_json, milliseconds, stays
from bookings.floor.offsets import offsets_json
from bookings.models import Booking, Seating, TableBlock
from bookings.repository.records import BookingRecord, seen_by
from bookings.repository.statements import fetch_day
from restaurants.models import ComboTable, Restaurant, Sector, Table, TableJoin
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission
from wokibrain.events.models import StoredEvent

MARGIN: Final = timedelta(minutes=45)
"""How much the timeline shows before the first opening and after the last closing."""
DAY: Final = timedelta(days=1)
CLOSED_DAY_FROM, CLOSED_DAY_TO = time(12), time(23)
"""What the timeline shows of a day without service."""


def restaurants(caller: Caller) -> list[Restaurant]:
    """Return the restaurants whose floor the caller may see, by name."""
    ids = caller.restaurants(Permission.BOOKING_READ)
    rows = Restaurant.objects.all()
    return list(rows if ids is None else rows.filter(pk__in=ids))


def today(restaurant_id: str) -> date:
    """Return the restaurant's present service date; after midnight it is last night's until closing."""
    return service_date_at(plans.current(restaurant_id), clock.now())


def opening(visible: Iterable[Restaurant], last_chosen: str) -> Restaurant | None:
    """Return the restaurant that a board without a choice opens on: the one chosen last, if it is visible.

    Else the first that expects or had a party on its present service date, else the first of all.
    """
    visible = list(visible)
    for restaurant in visible:
        if restaurant.pk == last_chosen:
            return restaurant
    about_now = clock.now().date()
    nearby = set(
        Booking.objects.filter(
            restaurant__in=visible,
            service_date__range=(about_now - DAY, about_now + DAY),
            status__in=statuses.COUNTED,
        )
        .values_list("restaurant_id", "service_date")
        .distinct()
    )
    with_some = {restaurant_id for restaurant_id, _ in nearby}
    for restaurant in visible:
        if (
            restaurant.pk in with_some
            # Without its zone's rules nobody knows which date it is there.
            and clock.is_known_zone(restaurant.zone)
            and (restaurant.pk, today(restaurant.pk)) in nearby
        ):
            return restaurant
    return visible[0] if visible else None


def day_json(*, caller: Caller, restaurant_id: str, service_date: date) -> dict[str, Any]:
    """Return the whole board. ``cursor`` is the event that it is as new as. Raises NotFound, Forbidden."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    # Read before the rest: an event in between is then received twice rather than never.
    cursor = latest_event_id()
    restaurant = Restaurant.objects.get(pk=restaurant_id)
    plan = plans.current(restaurant_id)
    service = plan.day(service_date)
    bookings = fetch_day(restaurant_id, service_date)
    came = stays(restaurant_id, service_date)
    now, present_date = clock.now(), service_date_at(plan, clock.now())
    begin, end = _shown_period(plan, service_date, bookings, came.values())
    if service_date == present_date and any(stay.left_at is None for stay in came.values()):
        end = max(end, now + MARGIN)
    taken = {
        table for booking in bookings if booking.status in statuses.COUNTED for table in booking.table_ids
    }
    return {
        "restaurant": {"id": restaurant.pk, "name": restaurant.name, "zone": restaurant.zone},
        "date": service_date.isoformat(),
        "today": present_date.isoformat(),
        "now": milliseconds(now),
        "offsets": offsets_json(plan.zone, (begin, end), (now, now)),
        "from": milliseconds(begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0)),
        "to": milliseconds(end),
        "open": [
            [milliseconds(service.instant_of(opens)), milliseconds(service.instant_of(closes))]
            for opens, closes in service.opened()
        ],
        "sectors": _sectors_json(restaurant_id, taken),
        "bookings": [
            booking_json(booking, came.get(booking.id))
            for booking in seen_by(caller, restaurant_id, bookings)
        ],
        "heldTables": _held_tables(restaurant_id, service_date),
        "blocks": _blocks_json(restaurant_id, begin, end),
        "turns": [list(turn) for turn in plan.turn_times],
        "occupiedMarginMinutes": plan.occupied_margin,
        "bounds": {
            "party": [plan.min_party, plan.max_party],
            "minutes": [plan.min_duration, plan.max_duration],
        },
        "cursor": cursor,
        "may": {
            "create": caller.may(Permission.BOOKING_CREATE, restaurant_id),
            "update": caller.may(Permission.BOOKING_UPDATE, restaurant_id),
            "cancel": caller.may(Permission.BOOKING_DELETE, restaurant_id),
            "tables": caller.may(Permission.TABLE_UPDATE, restaurant_id),
        },
    }


def latest_event_id() -> str | None:
    """Return the id of the newest event, from which the board's live connection goes on."""
    newest = StoredEvent.objects.order_by("-position").values_list("event_id", flat=True).first()
    return str(newest) if newest else None


def _shown_period(
    plan: Plan, service_date: date, bookings: Collection[BookingRecord], came: Iterable[Stay]
) -> tuple[datetime, datetime]:
    """Return what the timeline spans: the opening hours with a margin, every booking, and every party's stay."""
    service = plan.day(service_date)
    if service.spans:
        begin, end = service.origin - MARGIN, service.instant_of(service.slots) + MARGIN
    else:
        begin = datetime.combine(service_date, CLOSED_DAY_FROM, plan.zone)
        end = datetime.combine(service_date, CLOSED_DAY_TO, plan.zone)
    begins = [begin, *(booking.start for booking in bookings)]
    ends = [end, *(booking.end for booking in bookings)]
    for stay in came:
        begins += [stay.seated_at] if stay.seated_at else []
        ends += [stay.left_at] if stay.left_at else []
    return min(begins), max(ends)


def _held_tables(restaurant_id: str, service_date: date) -> list[str]:
    """Return the tables at which a party of another service day still sits."""
    sitting = Seating.objects.filter(booking__restaurant=restaurant_id, period__upper_inf=True)
    return list(
        sitting.exclude(booking__service_date=service_date).order_by("table").values_list("table", flat=True)
    )


def _sectors_json(restaurant_id: str, taken: Collection[str]) -> list[dict[str, Any]]:
    """Return the sectors with their tables in use, and those out of use that are ``taken`` nevertheless."""
    tables: dict[str, list[dict[str, Any]]] = {}
    rows = Table.objects.filter(sector__restaurant_id=restaurant_id)
    for table in rows.filter(Q(active=True) | Q(pk__in=taken)):
        tables.setdefault(table.sector_id, []).append(_table_json(table))
    joins: dict[str, list[list[str]]] = {}
    for join in TableJoin.objects.filter(sector__restaurant_id=restaurant_id):
        joins.setdefault(join.sector_id, []).append([join.first_id, join.second_id])
    combos: dict[str, dict[UUID, list[str]]] = {}
    for member in ComboTable.objects.filter(sector__restaurant_id=restaurant_id).order_by("combo", "table"):
        combos.setdefault(member.sector_id, {}).setdefault(member.combo_id, []).append(member.table_id)
    return [
        {
            "id": sector.pk,
            "name": sector.name,
            "tables": tables.get(sector.pk, []),
            "joins": joins.get(sector.pk, []),
            "combos": list(combos.get(sector.pk, {}).values()),
        }
        for sector in Sector.objects.filter(restaurant_id=restaurant_id)
    ]


def _table_json(table: Table) -> dict[str, Any]:
    return {
        "id": table.pk,
        "name": str(table),
        "min": table.capacity_min,
        "max": table.capacity_max,
        "combinable": table.combinable and table.active,
        "retired": not table.active,
        "x": table.x,
        "y": table.y,
        "w": table.width,
        "h": table.height,
        "shape": table.shape,
    }


def _blocks_json(restaurant_id: str, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    blocks = TableBlock.objects.filter(
        table__sector__restaurant_id=restaurant_id, start__lt=end, end__gt=begin
    )
    return [
        {
            "id": str(block.pk),
            "table": block.table_id,
            "start": milliseconds(block.start),
            "end": milliseconds(block.end),
            "reason": block.reason,
        }
        for block in blocks
    ]
