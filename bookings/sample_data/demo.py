"""The demo: two restaurants with sectors, guests and three weeks of bookings around today.

Seats are found and bookings written as the services do, with the clock frozen at the moment it would have happened, so
that events, allocations and statuses are those of a restaurant in use. But a service day is decided in memory and
written in one transaction, since one for each step takes minutes; and a party without a seat is not counted as refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from django.db import transaction

from bookings.availability import day as days
from bookings.availability import plan
from bookings.engine import Busy
from bookings.event_types import BOOKING_CREATED
from bookings.models import Booking, Guest, TableBlock
from bookings.repository import statements
from bookings.repository.records import BookingRecord, Contact, GuestRecord
from bookings.services import create, lifecycle, table_blocks, walk_in
from bookings.services.create import NewBooking
from bookings.services.walk_in import WalkIn
from bookings.statuses import CANCEL, COMPLETE, MARK_NO_SHOW, SEAT, Step
from bookings.transactions import SectorDay, in_transaction_for
from restaurants.models import (
    Combo,
    ComboTable,
    Restaurant,
    Sector,
    SpecialDay,
    SpecialWindow,
    TableJoin,
    TurnTime,
)
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import DomainError
from wokibrain.core.ids import uuid7
from wokibrain.postgres.pipeline import pipelined

DAYS_BACK: Final = 10
DAYS_AHEAD: Final = 10
SEED: Final = 20_251_022

Progress = Callable[[int, int], None]
DemoTable = tuple[str, int, int, int, int, int, int, str]
"""Name, capacity_min, capacity_max, x, y, width, height (cm from the sector's top left), shape."""


@dataclass(frozen=True, slots=True)
class DemoSector:
    id: str
    name: str
    tables: tuple[DemoTable, ...]
    joins: tuple[tuple[str, str], ...] = ()
    combos: tuple[tuple[tuple[str, ...], int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DemoRestaurant:
    """A restaurant of the demo.

    ``services`` are (first, busiest, last arrival, share of seats booked 0-1); ``people`` are first names,
    last names and a pattern of phone numbers.
    """

    id: str
    name: str
    zone: str
    hours: tuple[Hours, ...]
    services: tuple[tuple[time, time, time, float], ...]
    sectors: tuple[DemoSector, ...]
    people: tuple[tuple[str, ...], tuple[str, ...], str]
    notes: tuple[str, ...]


def _two(name: str, x: int, y: int) -> DemoTable:
    return (name, 1, 2, x, y, 100, 100, "round")


def _four(name: str, x: int, y: int) -> DemoTable:
    return (name, 2, 4, x, y, 115, 115, "square")


def _six(name: str, x: int, y: int) -> DemoTable:
    return (name, 4, 6, x, y, 190, 110, "square")


def _eight(name: str, x: int, y: int) -> DemoTable:
    return (name, 6, 8, x, y, 170, 170, "round")


LUMBRE: Final = DemoRestaurant(
    id="LUMBRE",
    name="La Lumbre",
    zone="America/Argentina/Buenos_Aires",
    hours=(Hours(time(13), time(16, 30), time(15, 30)), Hours(time(20), time(0, 30), time(23, 15))),
    services=((time(13), time(14), time(15), 0.55), (time(20), time(21, 30), time(23), 0.85)),
    sectors=(
        DemoSector(
            "LUMBRE-SALON",
            "Salón",
            (
                _two("1", 60, 60), _two("2", 220, 60), _two("3", 380, 60), _two("4", 540, 60),
                _four("5", 60, 230), _four("6", 220, 230), _four("7", 380, 230), _four("8", 540, 230),
                _four("9", 60, 420), _four("10", 220, 420),
                _six("11", 400, 420), _six("12", 640, 420),
                _eight("13", 760, 150), _six("14", 60, 600),
            ),
            joins=(
                ("1", "2"), ("2", "3"), ("3", "4"), ("5", "6"), ("6", "7"), ("7", "8"),
                ("9", "10"), ("11", "12"),
            ),
            combos=((("11", "12"), 8, 12), (("5", "6"), 5, 8)),
        ),
        DemoSector(
            "LUMBRE-TERRAZA",
            "Terraza",
            (
                _two("T1", 60, 60), _two("T2", 220, 60), _four("T3", 380, 50), _four("T4", 540, 50),
                _four("T5", 60, 230), _four("T6", 220, 230), _four("T7", 380, 230), _six("T8", 540, 230),
            ),
        ),
    ),
    people=(
        (
            "Lucía", "Martín", "Sofía", "Hugo", "Carmen", "Pablo", "Inés", "Álvaro", "Nuria", "Javier",
            "Paula", "Diego", "Elena", "Íñigo", "Marta", "Andrés", "Rocío", "Sergio", "Beatriz", "Óscar",
        ),
        (
            "García", "Fernández", "López", "Muñoz", "Álvarez", "Romero", "Navarro", "Torres", "Domínguez",
            "Gil", "Ramos", "Serrano", "Ortega", "Núñez", "Iglesias", "Peña", "Castro", "Vidal",
        ),
        "+54 9 11 5{:02d}{:01d} {:02d}00",
    ),
    notes=("Alergia a los frutos secos", "Cumpleaños", "Silla de bebé", "Prefiere ventana", "Celíaca"),
)  # fmt: skip

HARBOUR: Final = DemoRestaurant(
    id="HARBOUR",
    name="Harbour House",
    zone="Europe/London",
    hours=(Hours(time(12), time(15), time(14)), Hours(time(17, 30), time(23), time(21, 30))),
    services=((time(12), time(12, 45), time(13, 45), 0.5), (time(17, 30), time(19, 30), time(21, 15), 0.8)),
    sectors=(
        DemoSector(
            "HARBOUR-DINING",
            "Dining room",
            (
                _two("1", 60, 60), _two("2", 210, 60), _two("3", 360, 60),
                _four("4", 60, 220), _four("5", 220, 220), _four("6", 380, 220),
                _four("7", 60, 400), _six("8", 220, 400), _eight("9", 560, 80), _six("10", 460, 400),
            ),
            joins=(("1", "2"), ("2", "3"), ("4", "5"), ("5", "6"), ("7", "8")),
            combos=((("7", "8"), 7, 10),),
        ),
        DemoSector("HARBOUR-BAR", "Bar", tuple(_two(f"B{number}", 140 * number - 80, 60) for number in range(1, 5))),
        DemoSector(
            "HARBOUR-GARDEN",
            "Garden",
            (_four("G1", 60, 80), _four("G2", 240, 80), _four("G3", 420, 80), _six("G4", 600, 80)),
        ),
    ),
    people=(
        (
            "Amelia", "Oliver", "Isla", "George", "Ava", "Harry", "Grace", "Jack", "Freya", "Leo", "Maya",
            "Arthur", "Priya", "Noah", "Zara", "Callum", "Niamh", "Rhys",
        ),
        (
            "Smith", "Jones", "Patel", "Taylor", "Brown", "Davies", "Evans", "Walker", "Hughes", "Khan",
            "Murphy", "Campbell", "Wright", "O'Brien", "Clarke", "Ellis",
        ),
        "+44 7700 9{:02d}{:01d}{:02d}",
    ),
    notes=("Nut allergy", "Birthday", "High chair", "Window if possible", "Coeliac", "Anniversary"),
)  # fmt: skip

RESTAURANTS: Final = (LUMBRE, HARBOUR)
PARTY_SIZES: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 10), (4, 42, 13, 24, 6, 6, 2, 2, 1))
DAYS_BOOKED_AHEAD: Final = ((0.1, 1, 3, 7, 14), (20, 30, 25, 15, 10))
"""Days ahead that guests book, and the weight of each."""


def demo(progress: Progress = lambda done, total: None) -> int:
    """Create the demo's restaurants, and bookings on the days around today that have none yet.

    Returns the number of new bookings and walk-ins. ``progress`` is called with (days done, days in total).
    """
    count = 0
    total = len(RESTAURANTS) * (DAYS_BACK + DAYS_AHEAD + 1)
    done = 0
    for restaurant in RESTAURANTS:
        _build(restaurant)
        today = clock.now().astimezone(clock.zone(restaurant.zone)).date()
        filled_dates = set(
            Booking.objects.filter(restaurant_id=restaurant.id)
            .values_list("service_date", flat=True)
            .distinct()
        )
        for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
            service_date = today + timedelta(days=offset)
            if service_date not in filled_dates:
                count += _fill(restaurant, service_date, offset)
            done += 1
            progress(done, total)
        _block(restaurant, today)
    return count


@transaction.atomic
def _build(restaurant: DemoRestaurant) -> None:
    """Create the restaurant with its sectors, unless it exists."""
    if Restaurant.objects.filter(pk=restaurant.id).exists():
        return
    create_restaurant(
        caller=SYSTEM, id=restaurant.id, name=restaurant.name, zone=restaurant.zone, hours=restaurant.hours
    )
    row = Restaurant.objects.get(pk=restaurant.id)
    for party, minutes in ((2, 90), (4, 105), (6, 120), (50, 150)):
        TurnTime.objects.create(restaurant=row, party_up_to=party, minutes=minutes)
    year = clock.now().year
    SpecialDay.objects.create(restaurant=row, date=date(year, 12, 25), name="Navidad / Christmas")
    eve = SpecialDay.objects.create(
        restaurant=row, date=date(year, 12, 31), name="Nochevieja / New Year's Eve"
    )
    SpecialWindow.objects.create(day=eve, opens=time(19), closes=time(1))
    for position, demo_sector in enumerate(restaurant.sectors):
        create_sector(caller=SYSTEM, id=demo_sector.id, restaurant_id=restaurant.id, name=demo_sector.name)
        sector = Sector.objects.get(pk=demo_sector.id)
        Sector.objects.filter(pk=demo_sector.id).update(position=position)
        for table_position, (name, least, most, x, y, width, height, shape) in enumerate(demo_sector.tables):
            create_table(
                caller=SYSTEM,
                id=f"{restaurant.id}-{name}",
                sector_id=demo_sector.id,
                capacity_min=least,
                capacity_max=most,
                name=name,
                position=table_position,
                x=x,
                y=y,
                width=width,
                height=height,
                shape=shape,
            )
        for pair in demo_sector.joins:
            first, second = sorted(f"{restaurant.id}-{name}" for name in pair)
            TableJoin.objects.create(sector=sector, first_id=first, second_id=second)
        for names, least, most in demo_sector.combos:
            tables = sorted(f"{restaurant.id}-{name}" for name in names)
            combo = Combo.objects.create(
                sector=sector, key="+".join(tables), capacity_min=least, capacity_max=most
            )
            for table_id in tables:
                ComboTable.objects.create(combo=combo, sector=sector, table_id=table_id)


class _ServiceDay:
    """A service day while it is filled: what is still free, and the guests of the restaurant.

    Everything is decided in memory and nothing read, so that the statements of a whole day share one round trip.
    """

    def __init__(self, restaurant: DemoRestaurant, service_date: date) -> None:
        self.restaurant = restaurant
        self.date = service_date
        self.now = clock.now()
        self.count = 0
        self._day = days.read(restaurant.id, None, service_date)
        self._guests = {
            Contact(guest.name, guest.email, guest.phone): GuestRecord(
                guest.pk, guest.name, guest.email, guest.phone
            )
            for guest in Guest.objects.filter(restaurant_id=restaurant.id, erased_at__isnull=True)
        }

    def book(self, new: NewBooking, booked_at: datetime) -> BookingRecord | None:
        """Write a booking made at ``booked_at``; return None where there is no seat."""
        with clock.frozen(booked_at), suppress(DomainError):
            seat = create.best_seat(self._day, new)
            known = self._guests.get(new.contact)
            guest = known or GuestRecord(uuid7(), new.contact.name, new.contact.email, new.contact.phone)
            self._guests[new.contact] = guest
            return self._insert(create.booked(self._day, new, seat, guest), new_guest=known is None)
        return None

    def walk_in(self, party: int, arrival: datetime) -> BookingRecord | None:
        """Write a walk-in at ``arrival``; return None where there is no seat."""
        with clock.frozen(arrival), suppress(DomainError):
            return self._insert(walk_in.seated(self._day, WalkIn(self.restaurant.id, party), None))
        return None

    def step(self, booking: BookingRecord, step: Step, at: datetime, reason: str = "") -> BookingRecord:
        with clock.frozen(at):
            if step in (CANCEL, MARK_NO_SHOW):
                statements.free(booking.id)
            if step is COMPLETE:
                statements.shorten(booking.id, lifecycle.quarter_of(at))
            more = {"reason": reason} if reason else None
            return lifecycle.write_step(booking, booking, step, caller=SYSTEM, more=more)

    def hold(self, booking: BookingRecord, until: datetime) -> None:
        """Take the booking's tables from those that come later: to the minute, for two parties never share a table."""
        self._day = self._day.holding(Busy(table_id, booking.start, until) for table_id in booking.table_ids)

    def _insert(self, booking: BookingRecord, *, new_guest: bool = False) -> BookingRecord:
        statements.insert(booking, event_type=BOOKING_CREATED, actor=SYSTEM, new_guest=new_guest, ticket=None)
        self.count += 1
        return booking


def _fill(restaurant: DemoRestaurant, service_date: date, offset: int) -> int:
    """Create one service day: bookings and, up to now, walk-ins and what became of them. Returns their number."""

    def write() -> int:
        day = _ServiceDay(restaurant, service_date)
        with pipelined():
            _take_place(day, offset)
        return day.count

    return in_transaction_for([SectorDay(sector.id, service_date) for sector in restaurant.sectors], write)


def _take_place(day: _ServiceDay, offset: int) -> None:
    restaurant = day.restaurant
    rng = random.Random(f"{SEED} {restaurant.id} {day.date}")  # noqa: S311
    zone = clock.zone(restaurant.zone)
    seats = sum(len(demo_sector.tables) for demo_sector in restaurant.sectors)
    weekend = 1.0 if day.date.weekday() in (4, 5) else 0.72
    # The further ahead a day is, the fewer guests have booked it so far.
    booked_share = max(0.25, 1 - max(offset, 0) * 0.085)
    for first, peak, last, full in restaurant.services:
        arrivals = round(seats * 1.35 * full * weekend * booked_share)
        for start in sorted(_arrivals(rng, day.date, first, peak, last, arrivals)):
            instant = start.replace(tzinfo=zone)
            if offset <= 0 and rng.random() < 0.12:
                arrival = instant + timedelta(minutes=rng.randrange(1, 14))
                if arrival < day.now:
                    _walk_in(day, rng, arrival)
            else:
                _booking(day, rng, instant)


def _arrivals(
    rng: random.Random, service_date: date, first: time, peak: time, last: time, count: int
) -> Iterator[datetime]:
    """Yield ``count`` wall times on the grid, most of them around ``peak``."""
    low, top, high = (wall.hour * 4 + wall.minute // 15 for wall in (first, peak, last))
    for _ in range(count):
        slot = round(rng.triangular(low, high, top))
        yield datetime.combine(service_date, time(slot // 4, slot % 4 * 15))


def _contact(restaurant: DemoRestaurant, rng: random.Random) -> Contact:
    first_names, last_names, phone = restaurant.people
    # Squaring favours small numbers: a few guests come often.
    number = int(rng.random() ** 2 * 240)
    person = random.Random(f"{restaurant.id} {number}")  # noqa: S311
    first, last = person.choice(first_names), person.choice(last_names)
    digits = (person.randrange(100), person.randrange(10), person.randrange(100))
    return Contact(
        name=f"{first} {last}",
        email=f"guest{number:03d}@example.com" if number % 3 else "",
        phone=phone.format(*digits),
    )


def _party(rng: random.Random) -> int:
    return rng.choices(*PARTY_SIZES)[0]


def _booking(day: _ServiceDay, rng: random.Random, start: datetime) -> None:
    restaurant = day.restaurant
    booked_at = min(
        start - timedelta(days=rng.choices(*DAYS_BOOKED_AHEAD)[0], minutes=rng.randrange(180)), day.now
    )
    request = NewBooking(
        restaurant_id=restaurant.id,
        party_size=_party(rng),
        date=day.date,
        start=start,
        contact=_contact(restaurant, rng),
        notes=rng.choice(restaurant.notes) if rng.random() < 0.14 else "",
        channel=Booking.Channel.STAFF if rng.random() < 0.35 else Booking.Channel.API,
    )
    fate = rng.random()
    late = timedelta(minutes=rng.randrange(14))
    stayed = rng.uniform(0.8, 1.0)
    if start < day.now and booked_at >= start:
        return
    booking = day.book(request, booked_at)
    if booking:
        _play_out(day, booking, fate, late, stayed)


def _play_out(day: _ServiceDay, booking: BookingRecord, fate: float, late: timedelta, stayed: float) -> None:
    """Cancel, seat, complete or mark the booking a no-show, as far as that happens before now."""
    if fate < 0.07:
        moment = booking.created_at + (booking.start - booking.created_at) * 0.6
        if moment < day.now:
            day.step(booking, CANCEL, moment, "requested")
            return
    elif fate < 0.11:
        moment = booking.start + timedelta(minutes=20)
        if moment < day.now:
            day.step(booking, MARK_NO_SHOW, moment)
            return
    else:
        seated = booking.start + late
        if seated < day.now:
            _leave(day, day.step(booking, SEAT, seated), seated, stayed)
            return
    day.hold(booking, booking.end)


def _leave(day: _ServiceDay, booking: BookingRecord, seated: datetime, stayed: float) -> None:
    left = max(seated, booking.start) + (booking.end - max(seated, booking.start)) * stayed
    if left < day.now:
        day.step(booking, COMPLETE, left)
    day.hold(booking, left if left < day.now else booking.end)


def _walk_in(day: _ServiceDay, rng: random.Random, arrival: datetime) -> None:
    party, stayed = min(_party(rng), 6), rng.uniform(0.7, 1.0)
    booking = day.walk_in(party, arrival)
    if booking:
        _leave(day, booking, booking.start, stayed)


def _block(restaurant: DemoRestaurant, today: date) -> None:
    """Block one table tonight and another the day after tomorrow."""
    zone = clock.zone(restaurant.zone)
    last_sector = restaurant.sectors[-1]
    for offset, (name, *_), reason in (
        (0, last_sector.tables[-1], "Pata rota / broken leg"),
        (2, last_sector.tables[0], "Reservado"),
    ):
        day = plan.recent(restaurant.id).day(today + timedelta(days=offset))
        table_id = f"{restaurant.id}-{name}"
        start = datetime.combine(day.date, restaurant.services[-1][0], zone)
        if not day.slots or TableBlock.objects.filter(table_id=table_id, start=start).exists():
            continue
        # A booking that already has the table keeps it.
        with suppress(DomainError):
            table_blocks.block_table(
                caller=SYSTEM, table_id=table_id, start=start, end=start + timedelta(hours=2), reason=reason
            )
