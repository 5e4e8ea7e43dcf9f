"""How long `find` and `explain` take. ``python -m tests.benchmarks.engine`` prints a markdown table.

CPU time, so that other processes on the machine weigh less.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from statistics import median, quantiles
from time import process_time
from zoneinfo import ZoneInfo

from bookings.engine import Busy, Occupancy, Sector, ServiceDay, Table, Window, explain, find
from bookings.engine import sector as sector_module

ZONE = ZoneInfo("America/Argentina/Buenos_Aires")
DATE = date(2025, 10, 22)
WINDOWS = (Window(time(12), time(16)), Window(time(20), time(23, 45)))
ALL_DAY = (Window(time(8), time(6)),)
LIMIT = 10
MAX_JOINS = 8  # restaurants.models has it, and Django with it
SEED = 7

Find = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds of one kind of call over ``runs`` calls."""

    case: str
    tables: int
    party: int
    median_ms: float
    p99_ms: float
    runs: int


def run(rounds: int = 200) -> list[Row]:
    """Half-booked days of 5 to 500 tables, busy intervals converted in each call; then the worst cases."""
    rows = []
    day = ServiceDay.build(DATE, ZONE, WINDOWS)
    for count in (5, 20, 60, 100, 500):
        sector, busy = half_booked(count)
        for party in (2, 5, 8, 14):
            rows.append(_timed("half booked", count, party, rounds, _finder(sector, day, busy, party)))
    for count in (20, 500):
        rows.append(_timed("explain: full when asked", count, 5, rounds, full_at_requested_time(count, day)))
    for name, count, party, call in adversaries():
        rows.append(_timed(name, count, party, max(5, rounds // 20), call))
    return rows


def half_booked(count: int) -> tuple[Sector, list[Busy]]:
    """A sector of 2-, 4-, 6- and 8-tops, every table booked for about half of both services."""
    dice = random.Random(SEED)
    sizes = dice.choices([(1, 2), (2, 4), (4, 6), (6, 8)], weights=[4, 4, 2, 1], k=count)
    tables = [Table(f"T{n + 1}", *size) for n, size in enumerate(sizes)]
    busy = []
    for table in tables:
        for opens, slots in ((time(12), 16), (time(20), 15)):
            begin = datetime.combine(DATE, opens, ZONE).astimezone(UTC)
            first = dice.randrange(slots - 7)
            start = begin + first * timedelta(minutes=15)
            busy.append(Busy(table.id, start, start + timedelta(minutes=15 * dice.choice([6, 8, 8]))))
    return Sector.build(tables), busy


def full_at_requested_time(count: int, day: ServiceDay) -> Find:
    """No table is left from 20:30 to 22:00; the rest of the day is half booked."""
    sector, busy = half_booked(count)
    begin = datetime.combine(DATE, time(20, 30), ZONE)
    busy += [Busy(table.id, begin, begin + timedelta(minutes=90)) for table in sector.tables]

    def call() -> object:
        early, late = time(20), time(22)
        sectors = [(sector, busy)]
        return explain(day, sectors, party=5, duration_minutes=60, window_start=early, window_end=late)

    return call


def adversaries() -> Iterator[tuple[str, int, int, Find]]:
    """Return name, tables, party and call of each worst case."""
    dice = random.Random(SEED)
    day = ServiceDay.build(DATE, ZONE, ALL_DAY)
    origin = day.origin

    def sliver(tables: list[Table], share: float, apart: frozenset[str]) -> list[Busy]:
        # Each start leaves another random handful of tables free; those apart take turns.
        return [
            Busy(table.id, origin + timedelta(minutes=15 * slot), origin + timedelta(minutes=15 * slot + 15))
            for table in tables
            for slot in range(day.slots)
            if (
                slot % len(apart) != sorted(apart).index(table.id)
                if table.id in apart
                else dice.random() > share
            )
        ]

    def case(
        name: str,
        tables: list[Table],
        party: int,
        *,
        share: float = 1.0,
        apart: frozenset[str] = frozenset(),
        joins: list[tuple[str, str]] | None = None,
        combos: dict[frozenset[str], tuple[int, int]] | None = None,
        minutes: int = 15,
        limit: int = 50,
        why: bool = False,
    ) -> tuple[str, int, int, Find]:
        sector = Sector.build(tables, joins or (), combos or {})
        occupancy = Occupancy.of(sector, day, sliver(tables, share, apart))
        if why:
            return f"explain: {name}", len(tables), party, _explainer(sector, day, occupancy, party, minutes)
        return name, len(tables), party, _finder(sector, day, occupancy, party, minutes, limit)

    def tables_of(sizes: list[tuple[int, int]]) -> list[Table]:
        return [Table(f"T{n + 1}", *size) for n, size in enumerate(sizes)]

    mins = tables_of([(n % 12 + 1, n % 12 + 1 + n // 12) for n in range(500)])
    yield case("distinct capacities, all free", mins, 50)
    yield case("distinct capacities, half free at each start", mins, 50, share=0.5)
    yield case("distinct capacities, 2 % free", mins, 50, share=0.02)
    yield case(
        "smallest parties never add up", tables_of([(26, 26 + n % 25) for n in range(500)]), 51, share=0.5
    )
    yield case("one short of four", tables_of([(13, 13 + n % 30) for n in range(500)]), 50, share=0.5)
    yield case(
        "quads only, few", tables_of([(12, 12), *[(13, 13 + n % 30) for n in range(499)]]), 50, share=0.5
    )
    yield case(
        "all even, party odd",
        tables_of([(n % 25 // 2 + 1, 2 * (n % 25) + 2) for n in range(500)]),
        49,
        share=0.5,
    )
    yield case("halls", tables_of([(1 + n % 20, 200 + 7 * n) for n in range(500)]), 50, share=0.5)
    yield case("twelve tops, nothing that large", tables_of([(1, 12)] * 500), 49, share=0.5)
    # Nothing seats them at any start, though the tables it would take are free at one time or another.
    never = tables_of([(1 + n % 12, 1 + n % 12) for n in range(490)] + [(12, 24)] * 10)
    apart = frozenset(table.id for table in never[490:])
    for why in (False, True):
        yield case("only together, never together", never, 50, share=0.5, apart=apart, why=why)
    tens = tables_of([(1, 10)] * 60)
    pairs = {frozenset((a.id, b.id)): (19, 19) for a, b in combinations(tens, 2)}
    yield case("every pair has its own capacity", tens, 20, share=0.7, combos=pairs)
    fives = tables_of([(5, 5)] * 16)
    quads = {frozenset(t.id for t in four): (1, 3) for four in combinations(fives, 4)}
    yield case("every quad has its own capacity", fives, 20, share=0.7, combos=quads)

    grid = tables_of([dice.choice([(1, 2), (2, 4), (4, 6)]) for _ in range(500)])
    near = [
        (f"T{r * 20 + c + 1}", f"T{(r + dr) * 20 + c + dc + 1}")
        for r in range(25)
        for c in range(20)
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1))
        if r + dr < 25 and 0 <= c + dc < 20
    ]
    yield case("floor plan, 8 neighbours", grid, 20, share=0.5, joins=near)
    yield case(
        "floor plan, smallest parties never add up", tables_of([(9, 9)] * 500), 17, share=0.5, joins=near
    )
    # As many connected sets as MAX_JOINS allows, about 133,000; most of them in one level, or none ever free.
    alike = tables_of([(1, 5)] * 500)
    several = tables_of([(1 + n % 3, 1 + n % 3 + n % 4) for n in range(500)])
    most = full_joins(500, dice)
    for share in (1.0, 0.5, 0.1, 0.02):
        yield case(f"eight joins each, all alike, {share:.0%} free", alike, 20, share=share, joins=most)
    yield case("eight joins each, half free", several, 12, share=0.5, joins=most)
    yield case("eight joins each, 2 % free", several, 12, share=0.02, joins=most)
    yield case("eight joins each, almost never free", alike, 20, share=0.005, joins=most)
    yield case("eight joins each, almost never free", alike, 20, share=0.005, joins=most, why=True)
    yield case("eight joins each, smallest parties never add up", tables_of([(9, 9)] * 500), 17, joins=most)

    def build() -> object:
        sector_module._build.cache_clear()
        return Sector.build(several, most)

    yield "building a sector: eight joins each", 500, 0, build


def full_joins(count: int, dice: random.Random) -> list[tuple[str, str]]:
    """MAX_JOINS joins for each of ``count`` tables, with few rings, so that connected sets abound."""
    order = dice.sample(range(1, count + 1), count)
    jumps = dice.sample(range(2, count // 2), MAX_JOINS // 2)
    return [(f"T{order[at]}", f"T{order[(at + jump) % count]}") for at in range(count) for jump in jumps]


def _finder(
    sector: Sector,
    day: ServiceDay,
    busy: list[Busy] | Occupancy,
    party: int,
    minutes: int = 90,
    limit: int = LIMIT,
) -> Find:
    return lambda: find(sector, day, busy, party=party, duration_minutes=minutes, limit=limit)


def _explainer(sector: Sector, day: ServiceDay, occupancy: Occupancy, party: int, minutes: int) -> Find:
    return lambda: explain(day, [(sector, occupancy)], party=party, duration_minutes=minutes)


def _timed(case: str, tables: int, party: int, rounds: int, call: Find) -> Row:
    call()
    gc.collect()
    gc.disable()
    times = []
    for _ in range(rounds):
        begin = process_time()
        call()
        times.append(1000 * (process_time() - begin))
    gc.enable()
    return Row(case, tables, party, median(times), quantiles(times, n=100, method="inclusive")[98], rounds)


def main() -> None:
    """Print every row."""
    print("| case | tables | party | median ms | p99 ms |\n|---|---:|---:|---:|---:|")
    for row in run():
        print(
            f"| {row.case} | {row.tables} | {row.party} | {row.median_ms:.3f} | {row.p99_ms:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
