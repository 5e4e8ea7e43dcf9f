"""What the floor board shows: one restaurant's service day as the browser draws it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Wish
from bookings.availability.plan import check_bounds, service_date_at
from bookings.availability.refusals import refuse
from bookings.models import Booking, TableBlock
from bookings.repository.records import BookingRecord, fetch, seen_by
from bookings.selectors.bookings import get_booking
from restaurants.models import FALLBACK_TURN_MINUTES, ComboTable, Restaurant, Sector, Table, TableJoin
from restaurants.services.restaurants import update_tables
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, NotFound
from wokibrain.core.permissions import Permission
from wokibrain.events.models import StoredEvent
from wokibrain.office.actors import actors_named

AROUND: Final = timedelta(minutes=45)
"""What the timeline shows before the first opening and after the last closing."""
CLOSED_FROM, CLOSED_TO = time(12), time(23)
FOUND: Final = 20
OPEN: Final = (Booking.Status.CONFIRMED, Booking.Status.SEATED)
DRAWN: Final = (*OPEN, Booking.Status.COMPLETED)
"""Who stands at a table on the board."""
DAY: Final = "WHERE booking.restaurant_id = %(restaurant)s AND booking.service_date = %(date)s "
LEFT: Final = """
SELECT allocation.booking_id, max(upper(allocation.period))
FROM bookings_allocation AS allocation JOIN bookings_booking AS booking ON booking.id = allocation.booking_id
WHERE booking.restaurant_id = %s AND booking.service_date = %s AND booking.status = 'COMPLETED'
GROUP BY allocation.booking_id
"""


def restaurants(caller: Caller) -> list[Restaurant]:
    """Those whose floor the caller may see, by name."""
    places = caller.restaurants(Permission.BOOKING_READ)
    rows = Restaurant.objects.all()
    return list(rows if places is None else rows.filter(pk__in=places))


def today(restaurant_id: str) -> date:
    """The service date it is at the restaurant; after midnight still last night's while it is open."""
    return service_date_at(plans.current(restaurant_id), clock.now())


def day(*, caller: Caller, restaurant_id: str, service_date: date) -> dict[str, Any]:
    """The whole board: rooms, bookings, blocks, hours, and the event it is as new as."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    # Before the rest, so that what happens meanwhile is told again rather than not at all.
    cursor = latest_event()
    plan = plans.current(restaurant_id)
    service = plan.day(service_date)
    bookings = fetch(
        f"{DAY} ORDER BY booking.start, booking.id",
        {"restaurant": restaurant_id, "date": service_date},
    )
    if service.spans:
        begin, end = service.origin - AROUND, service.instant_of(service.slots) + AROUND
    else:
        begin = datetime.combine(service_date, CLOSED_FROM, plan.zone)
        end = datetime.combine(service_date, CLOSED_TO, plan.zone)
    begin = min([begin, *(each.start for each in bookings)])
    end = max([end, *(each.end for each in bookings)])
    left = _left(restaurant_id, service_date)
    flags = _flags(restaurant_id=restaurant_id, service_date=service_date)
    restaurant = Restaurant.objects.get(pk=restaurant_id)
    return {
        "restaurant": {"id": restaurant.pk, "name": restaurant.name, "zone": restaurant.zone},
        "date": service_date.isoformat(),
        "today": today(restaurant_id).isoformat(),
        "now": ms(clock.now()),
        "from": ms(_whole_hour(begin)),
        "to": ms(end),
        "open": [[ms(service.instant_of(lo)), ms(service.instant_of(hi))] for lo, hi in service.opened()],
        "sectors": _sectors(
            restaurant_id, [table for each in bookings if each.status in DRAWN for table in each.table_ids]
        ),
        "bookings": [
            shown(each, left.get(each.id), flags.get(each.id, ""))
            for each in seen_by(caller, restaurant_id, bookings)
        ],
        "blocks": _blocks(restaurant_id, begin, end),
        "turns": [list(each) for each in plan.turn_times],
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


def one(*, caller: Caller, booking: str) -> dict[str, Any]:
    """One booking as the board draws it, with its story: who did what when."""
    found = get_booking(caller=caller, booking=booking)
    left = _left(found.restaurant_id, found.service_date) if found.status == Booking.Status.COMPLETED else {}
    flag = _flags(pk=found.id).get(found.id, "")
    return shown(found, left.get(found.id), flag) | {"story": story(found)}


def shown(booking: BookingRecord, left: datetime | None = None, attention: str = "") -> dict[str, Any]:
    """A booking for the board; ``left`` is when a completed party freed its tables.

    ``attention`` is why somebody must look at it (Booking.Attention), empty for nothing.
    """
    return {
        "id": str(booking.id),
        "reference": booking.reference,
        "sector": booking.sector_id,
        "tables": list(booking.table_ids),
        "date": booking.service_date.isoformat(),
        "start": ms(booking.start),
        "end": ms(booking.end),
        "left": ms(left) if left else None,
        "minutes": booking.duration_minutes,
        "party": booking.party_size,
        "status": booking.status.value,
        "attention": attention,
        "channel": booking.channel.value,
        "name": booking.guest.name if booking.guest else "",
        "phone": booking.guest.phone if booking.guest else "",
        "email": booking.guest.email if booking.guest else "",
        "notes": booking.notes,
        "version": booking.version,
    }


def story(booking: BookingRecord) -> list[dict[str, Any]]:
    """The booking's events, oldest first, each with who did it."""
    events = list(
        StoredEvent.objects.filter(aggregate_type="booking", aggregate_id=str(booking.id)).order_by("version")
    )
    names = actors_named(event.metadata.get("actor", "") for event in events)
    return [
        {
            "event": event.event_type,
            "at": ms(event.occurred_at),
            "by": names[event.metadata.get("actor", "")],
            "undone": bool(event.payload.get("undoes")),
            "changed": sorted(event.payload.get("changes") or {}),
        }
        for event in events
    ]


def search(*, caller: Caller, restaurant_id: str, text: str, service_date: date) -> list[dict[str, Any]]:
    """Bookings by guest's name, phone or reference, those nearest to the date shown first."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    text = text.strip()
    if len(text) < 2 or "\x00" in text:
        return []
    wanted = Q(reference__istartswith=text)
    if caller.may(Permission.GUEST_READ, restaurant_id):
        wanted |= Q(guest__name__icontains=text) | Q(guest__phone__icontains=text)
    ids = list(
        Booking.objects.filter(wanted, restaurant_id=restaurant_id)
        .order_by("-service_date")
        .values_list("id", flat=True)[: FOUND * 5]
    )
    found = fetch("WHERE booking.id = ANY (%(ids)s)", {"ids": ids})
    found.sort(key=lambda each: (abs((each.service_date - service_date).days), each.start))
    found = found[:FOUND]
    flags = _flags(pk__in=[each.id for each in found])
    return [shown(each, attention=flags.get(each.id, "")) for each in seen_by(caller, restaurant_id, found)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A party and a time, for the engine's suggestions."""

    restaurant_id: str
    service_date: date
    start: datetime
    party: int
    minutes: int | None
    sector_id: str | None
    tables: frozenset[str] | None = None


def suggest(*, caller: Caller, asked: Asked) -> dict[str, Any]:
    """The best tables for a party at a time, or why there are none and the nearest times that work."""
    caller.require(Permission.BOOKING_READ, asked.restaurant_id)
    found = days.read(asked.restaurant_id, asked.sector_id, asked.service_date)
    minutes = asked.minutes or found.plan.turn_time(asked.party) or FALLBACK_TURN_MINUTES
    wish = Wish(party=asked.party, duration=minutes, start=asked.start, tables=asked.tables)
    try:
        check_bounds(found.plan, asked.party, minutes, asked.service_date)
        candidates = found.candidates(wish, 6)
        if not candidates:
            raise refuse(found, wish)
    except DomainError as error:
        nearest = found.refusal(wish).nearest
        return {
            "minutes": minutes,
            "candidates": [],
            "why": str(error.detail),
            "nearest": [ms(at) for at in nearest],
        }
    return {
        "minutes": minutes,
        "candidates": [
            {
                "tables": list(each.table_ids),
                "sector": found.sector_of(each.table_ids),
                "score": each.score,
                "seats": each.capacity,
            }
            for each in candidates
        ],
        "why": "",
        "nearest": [],
    }


def latest_event() -> str | None:
    """The newest event there is: where a board takes up again."""
    newest = StoredEvent.objects.order_by("-position").values_list("event_id", flat=True).first()
    return str(newest) if newest else None


def _left(restaurant_id: str, service_date: date) -> dict[UUID, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [restaurant_id, service_date])
        return dict(cursor.fetchall())


def _flags(**which: Any) -> dict[UUID, str]:
    """Of the bookings that are not over: those that somebody must look at, and why."""
    rows = Booking.objects.filter(status__in=OPEN, **which).exclude(attention="")
    return dict(rows.values_list("pk", "attention"))


def _sectors(restaurant_id: str, held: Collection[str]) -> list[dict[str, Any]]:
    """The rooms with the tables in use, and those out of use that somebody is ``held`` at all the same."""
    tables: dict[str, list[dict[str, Any]]] = {}
    rows = Table.objects.filter(sector__restaurant_id=restaurant_id)
    for table in rows.filter(Q(active=True) | Q(pk__in=held)):
        tables.setdefault(table.sector_id, []).append(
            {
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
        )
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


def _blocks(restaurant_id: str, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    rows = TableBlock.objects.filter(
        table__sector__restaurant_id=restaurant_id, start__lt=end, end__gt=begin
    ).values_list("id", "table_id", "start", "end", "reason")
    return [
        {"id": str(id_), "table": table, "start": ms(start), "end": ms(until), "reason": reason}
        for id_, table, start, until, reason in rows
    ]


def place_tables(*, caller: Caller, restaurant_id: str, spots: dict[str, tuple[int, int]]) -> None:
    """Where tables stand on the plan, in centimetres. Raises NotFound for one of another restaurant."""
    caller.require(Permission.TABLE_UPDATE, restaurant_id)
    tables = Table.objects.filter(pk__in=spots, sector__restaurant_id=restaurant_id)
    sectors = dict(tables.values_list("pk", "sector_id"))
    if len(sectors) != len(spots):
        raise NotFound.at("tableId")
    with transaction.atomic():
        for sector_id in sorted(set(sectors.values())):
            moved = {
                table_id: {"x": x, "y": y}
                for table_id, (x, y) in spots.items()
                if sectors[table_id] == sector_id
            }
            update_tables(caller=caller, sector_id=sector_id, changes=moved)


def _whole_hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ms(instant: datetime) -> int:
    """Milliseconds of the Unix epoch, as browsers count."""
    return int(instant.timestamp() * 1000)
