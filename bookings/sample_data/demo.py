"""Two restaurants with a life: rooms, guests, and three weeks of bookings around today.

Everything goes through the services, with the clock held at the moment each thing would have
happened, so that events, allocations and statuses are what a real month would have left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from bookings.availability import plan
from bookings.models import Booking, TableBlock
from bookings.repository.records import BookingRecord
from bookings.services import create, table_blocks, walk_in
from bookings.services import lifecycle as services
from bookings.services.create import NewBooking
from bookings.services.guests import Contact
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

DAYS_BACK: Final = 10
DAYS_AHEAD: Final = 10
SEED: Final = 20_251_022

Progress = Callable[[int, int], None]
Spot = tuple[str, int, int, int, int, int, int, str]
"""Name, least, most, x, y, width, height, shape: centimetres from the room's top left."""


@dataclass(frozen=True, slots=True)
class Room:
    id: str
    name: str
    spots: tuple[Spot, ...]
    joins: tuple[tuple[str, str], ...] = ()
    combos: tuple[tuple[tuple[str, ...], int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class House:
    """A restaurant of the demo: its services as (first arrival, last arrival, how full, 0-1)."""

    id: str
    name: str
    zone: str
    hours: tuple[Hours, ...]
    services: tuple[tuple[time, time, time, float], ...]
    rooms: tuple[Room, ...]
    people: tuple[tuple[str, ...], tuple[str, ...], str]
    notes: tuple[str, ...]


def _two(name: str, x: int, y: int) -> Spot:
    return (name, 1, 2, x, y, 100, 100, "round")


def _four(name: str, x: int, y: int) -> Spot:
    return (name, 2, 4, x, y, 115, 115, "square")


def _six(name: str, x: int, y: int) -> Spot:
    return (name, 4, 6, x, y, 190, 110, "square")


def _eight(name: str, x: int, y: int) -> Spot:
    return (name, 6, 8, x, y, 170, 170, "round")


LUMBRE: Final = House(
    id="LUMBRE",
    name="La Lumbre",
    zone="America/Argentina/Buenos_Aires",
    hours=(Hours(time(13), time(16, 30), time(15, 30)), Hours(time(20), time(0, 30), time(23, 15))),
    services=((time(13), time(14), time(15), 0.55), (time(20), time(21, 30), time(23), 0.85)),
    rooms=(
        Room(
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
        Room(
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

HARBOUR: Final = House(
    id="HARBOUR",
    name="Harbour House",
    zone="Europe/London",
    hours=(Hours(time(12), time(15), time(14)), Hours(time(17, 30), time(23), time(21, 30))),
    services=((time(12), time(12, 45), time(13, 45), 0.5), (time(17, 30), time(19, 30), time(21, 15), 0.8)),
    rooms=(
        Room(
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
        Room("HARBOUR-BAR", "Bar", tuple(_two(f"B{number}", 140 * number - 80, 60) for number in range(1, 5))),
        Room(
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

HOUSES: Final = (LUMBRE, HARBOUR)
PARTIES: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 10), (4, 42, 13, 24, 6, 6, 2, 2, 1))
LEADS: Final = ((0.1, 1, 3, 7, 14), (20, 30, 25, 15, 10))
"""Days ahead that people book, and how often."""


def demo(progress: Progress = lambda done, total: None) -> int:
    """Make the demo's restaurants and the days around today that have no booking yet.

    Returns how many bookings were made: none where nothing was missing. ``progress`` is told
    (done, total) after each day of a restaurant.
    """
    made = 0
    total = len(HOUSES) * (DAYS_BACK + DAYS_AHEAD + 1)
    done = 0
    for house in HOUSES:
        _build(house)
        today = clock.now().astimezone(clock.zone(house.zone)).date()
        booked = set(
            Booking.objects.filter(restaurant_id=house.id).values_list("service_date", flat=True).distinct()
        )
        for offset in range(-DAYS_BACK, DAYS_AHEAD + 1):
            service_date = today + timedelta(days=offset)
            if service_date not in booked:
                made += _fill(house, service_date, offset)
            done += 1
            progress(done, total)
        _block(house, today)
    return made


def _build(house: House) -> None:
    """The restaurant with its rooms, where it is not there yet."""
    if Restaurant.objects.filter(pk=house.id).exists():
        return
    create_restaurant(caller=SYSTEM, id=house.id, name=house.name, zone=house.zone, hours=house.hours)
    place = Restaurant.objects.get(pk=house.id)
    for party, minutes in ((2, 90), (4, 105), (6, 120), (50, 150)):
        TurnTime.objects.create(restaurant=place, party_up_to=party, minutes=minutes)
    year = clock.now().year
    SpecialDay.objects.create(restaurant=place, date=date(year, 12, 25), name="Navidad / Christmas")
    eve = SpecialDay.objects.create(
        restaurant=place, date=date(year, 12, 31), name="Nochevieja / New Year's Eve"
    )
    SpecialWindow.objects.create(day=eve, opens=time(19), closes=time(1))
    for position, room in enumerate(house.rooms):
        create_sector(caller=SYSTEM, id=room.id, restaurant_id=house.id, name=room.name)
        sector = Sector.objects.get(pk=room.id)
        Sector.objects.filter(pk=room.id).update(position=position)
        for place_in_order, (name, least, most, x, y, width, height, shape) in enumerate(room.spots):
            create_table(
                caller=SYSTEM,
                id=f"{house.id}-{name}",
                sector_id=room.id,
                capacity_min=least,
                capacity_max=most,
                name=name,
                position=place_in_order,
                x=x,
                y=y,
                width=width,
                height=height,
                shape=shape,
            )
        for pair in room.joins:
            first, second = sorted(f"{house.id}-{name}" for name in pair)
            TableJoin.objects.create(sector=sector, first_id=first, second_id=second)
        for names, least, most in room.combos:
            tables = sorted(f"{house.id}-{name}" for name in names)
            combo = Combo.objects.create(
                sector=sector, key="+".join(tables), capacity_min=least, capacity_max=most
            )
            for table_id in tables:
                ComboTable.objects.create(combo=combo, sector=sector, table_id=table_id)


def _fill(house: House, service_date: date, offset: int) -> int:
    """One service day: bookings, walk-ins where it is past, and what became of them."""
    dice = random.Random(f"{SEED} {house.id} {service_date}")  # noqa: S311
    zone = clock.zone(house.zone)
    present = clock.now()
    seats = sum(len(room.spots) for room in house.rooms)
    weekend = 1.0 if service_date.weekday() in (4, 5) else 0.72
    # Further ahead, fewer have booked so far.
    known = max(0.25, 1 - max(offset, 0) * 0.085)
    made = 0
    for first, peak, last, full in house.services:
        wanted = round(seats * 1.35 * full * weekend * known)
        for start in sorted(_arrivals(dice, service_date, first, peak, last, wanted)):
            instant = start.replace(tzinfo=zone)
            if offset <= 0 and dice.random() < 0.12:
                arrival = instant + timedelta(minutes=dice.randrange(1, 14))
                if arrival < present:
                    made += _walk_in(house, dice, arrival)
            else:
                made += _booking(house, dice, service_date, instant, present)
    return made


def _arrivals(
    dice: random.Random, service_date: date, first: time, peak: time, last: time, count: int
) -> Iterator[datetime]:
    """Wall times on the grid, thickest around ``peak``."""
    low, top, high = (each.hour * 4 + each.minute // 15 for each in (first, peak, last))
    for _ in range(count):
        slot = round(dice.triangular(low, high, top))
        yield datetime.combine(service_date, time(slot // 4, slot % 4 * 15))


def _contact(house: House, dice: random.Random) -> Contact:
    first_names, last_names, phone = house.people
    # A few regulars among many: the index is squared towards its small end.
    number = int(dice.random() ** 2 * 240)
    person = random.Random(f"{house.id} {number}")  # noqa: S311
    first, last = person.choice(first_names), person.choice(last_names)
    digits = (person.randrange(100), person.randrange(10), person.randrange(100))
    return Contact(
        name=f"{first} {last}",
        email=f"guest{number:03d}@example.com" if number % 3 else "",
        phone=phone.format(*digits),
    )


def _party(dice: random.Random) -> int:
    return dice.choices(*PARTIES)[0]


def _booking(
    house: House, dice: random.Random, service_date: date, start: datetime, present: datetime
) -> int:
    booked = min(start - timedelta(days=dice.choices(*LEADS)[0], minutes=dice.randrange(180)), present)
    wanted = NewBooking(
        restaurant_id=house.id,
        party_size=_party(dice),
        date=service_date,
        start=start,
        contact=_contact(house, dice),
        notes=dice.choice(house.notes) if dice.random() < 0.14 else "",
        channel=Booking.Channel.STAFF if dice.random() < 0.35 else Booking.Channel.API,
    )
    fate = dice.random()
    late = timedelta(minutes=dice.randrange(-5, 14))
    stayed = dice.uniform(0.8, 1.0)
    if start < present and booked >= start:
        return 0
    try:
        with clock.frozen(booked):
            made = create.create_booking(caller=SYSTEM, wanted=wanted)
    except DomainError:
        return 0
    assert isinstance(made, BookingRecord), "there is no ticket to replay"
    _live(made, fate, late, stayed, present)
    return 1


def _live(made: BookingRecord, fate: float, late: timedelta, stayed: float, present: datetime) -> None:
    """What became of a booking up to ``present``."""
    name = made.reference
    if fate < 0.07:
        moment = made.created_at + (made.start - made.created_at) * 0.6
        if moment < present:
            with clock.frozen(moment):
                services.cancel_booking(caller=SYSTEM, booking=name)
        return
    if fate < 0.11:
        moment = made.start + timedelta(minutes=20)
        if moment < present:
            with clock.frozen(moment):
                services.no_show_booking(caller=SYSTEM, booking=name)
        return
    seated = made.start + late
    if seated < present:
        with clock.frozen(seated):
            services.seat_booking(caller=SYSTEM, booking=name)
        _leave(made, seated, stayed, present)


def _leave(made: BookingRecord, seated: datetime, stayed: float, present: datetime) -> None:
    left = max(seated, made.start) + (made.end - max(seated, made.start)) * stayed
    if left < present:
        with clock.frozen(left):
            services.complete_booking(caller=SYSTEM, booking=made.reference)


def _walk_in(house: House, dice: random.Random, arrival: datetime) -> int:
    present = clock.now()
    party, stayed = min(_party(dice), 6), dice.uniform(0.7, 1.0)
    try:
        with clock.frozen(arrival):
            made = walk_in.seat_walk_in(caller=SYSTEM, wanted=walk_in.WalkIn(house.id, party))
    except DomainError:
        return 0
    _leave(made, made.start, stayed, present)
    return 1


def _block(house: House, today: date) -> None:
    """A wobbly table tonight and a private party's corner the day after tomorrow."""
    zone = clock.zone(house.zone)
    room = house.rooms[-1]
    for days, (name, *_), reason in (
        (0, room.spots[-1], "Pata rota / broken leg"),
        (2, room.spots[0], "Reservado"),
    ):
        day = plan.recent(house.id).day(today + timedelta(days=days))
        table_id = f"{house.id}-{name}"
        if not day.slots or TableBlock.objects.filter(table_id=table_id, start__date=day.date).exists():
            continue
        start = datetime.combine(day.date, house.services[-1][0], zone)
        # Where a booking has the table already, it keeps it.
        with suppress(DomainError):
            table_blocks.block_table(
                caller=SYSTEM, table_id=table_id, start=start, end=start + timedelta(hours=2), reason=reason
            )
