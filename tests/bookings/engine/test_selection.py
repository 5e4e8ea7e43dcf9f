"""What fits, its score, and the order of candidates."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

import pytest

from bookings.engine import (
    Busy,
    Candidate,
    Occupancy,
    Sector,
    ServiceDay,
    Table,
    Window,
    find,
    listing,
    merge,
    natural_key,
    rank_key,
)
from bookings.engine.listing import connected_sets
from bookings.engine.sector import connected

ZONE = ZoneInfo("America/Argentina/Buenos_Aires")
DAY = ServiceDay.build(date(2025, 10, 22), ZONE, (Window(time(12), time(16)), Window(time(20), time(23, 45))))
SHORT = ServiceDay.build(date(2025, 10, 22), ZONE, (Window(time(20), time(20, 30)),))
TABLES = [Table("T1", 2, 2), Table("T2", 2, 4), Table("T3", 2, 4), Table("T4", 4, 6), Table("T5", 2, 2)]
SEEDED = Sector.build(TABLES)
B1 = Busy("T2", datetime(2025, 10, 22, 20, 30, tzinfo=ZONE), datetime(2025, 10, 22, 21, 15, tzinfo=ZONE))


def summarize(candidates: list[Candidate]) -> list[tuple[str, str, float]]:
    return [
        ("+".join(candidate.table_ids), candidate.start.astimezone(ZONE).strftime("%H:%M"), candidate.score)
        for candidate in candidates
    ]


def names(sector: Sector, party: int, limit: int = 100) -> list[str]:
    """Return the candidates of a day with one start."""
    day = ServiceDay.build(date(2025, 10, 22), ZONE, (Window(time(20), time(20, 15)),))
    return [
        "+".join(candidate.table_ids)
        for candidate in find(sector, day, (), party=party, duration_minutes=15, limit=limit)
    ]


def test_the_five_scores_of_the_contract() -> None:
    candidates = find(SEEDED, DAY, [B1], party=4, duration_minutes=90, limit=1000)
    scores = {"+".join(candidate.table_ids): (candidate.kind, candidate.score) for candidate in candidates}
    assert scores == {
        "T2": ("single", 100.0),
        "T3": ("single", 100.0),
        "T4": ("single", 53.3),
        "T1+T5": ("combo", 80.0),
        "T1+T2": ("combo", 33.3),
        "T1+T3": ("combo", 33.3),
        "T2+T5": ("combo", 33.3),
        "T3+T5": ("combo", 33.3),
        "T2+T3": ("combo", 25.0),
    }


def test_the_order_of_the_seeded_evening() -> None:
    candidates = find(SEEDED, DAY, [B1], party=4, duration_minutes=90, limit=12, window_start=time(20))
    assert summarize(candidates) == [
        ("T3", "20:00", 100.0),
        ("T3", "20:15", 100.0),
        ("T3", "20:30", 100.0),
        ("T3", "20:45", 100.0),
        ("T3", "21:00", 100.0),
        ("T2", "21:15", 100.0),
        ("T3", "21:15", 100.0),
        ("T2", "21:30", 100.0),
        ("T3", "21:30", 100.0),
        ("T2", "21:45", 100.0),
        ("T3", "21:45", 100.0),
        ("T2", "22:00", 100.0),
    ]


def test_the_first_candidate_in_full() -> None:
    candidates = find(SEEDED, DAY, [B1], party=4, duration_minutes=90, limit=1)
    start = datetime(2025, 10, 22, 15, tzinfo=UTC)
    assert candidates == [Candidate("single", ("T2",), start, start + timedelta(minutes=90), 100.0, 4)]
    assert (candidates[0].start.tzinfo, candidates[0].capacity) == (UTC, 4)


def test_scores_round_half_up() -> None:
    candidates = find(Sector.build([Table("A", 1, 8)]), SHORT, (), party=5, duration_minutes=30, limit=1)
    assert summarize(candidates) == [("A", "20:00", 51.3)]


def test_single_comes_before_combo_of_the_same_score() -> None:
    # 50 x 4/10 + 20 = 50 x 4/5.
    sector = Sector.build([Table("A", 2, 3), Table("B", 1, 2), Table("Z", 4, 10, combinable=False)])
    assert names(sector, 4) == ["Z", "A+B"]


def test_exact_scores_break_ties_of_rounded_ones() -> None:
    sector = Sector.build([Table("A", 1, 1000), Table("B", 1, 999)])
    candidates = find(sector, SHORT, (), party=1, duration_minutes=30, limit=2)
    assert summarize(candidates) == [("B", "20:00", 20.1), ("A", "20:00", 20.1)]


def test_fewer_tables_come_first_then_natural_order() -> None:
    tables = [Table(table_id, 1, 2) for table_id in ("T10", "T2", "T1")]
    sector = Sector.build([*tables, Table("Z", 1, 4)], combos={frozenset(("T10", "Z")): (1, 6)})
    assert names(sector, 6) == [
        "T1+Z",
        "T2+Z",
        "T10+Z",
        "T1+T2+T10",
        "T1+T2+Z",
        "T1+T10+Z",
        "T2+T10+Z",
        "T1+T2+T10+Z",
    ]


def test_natural_order_is_total() -> None:
    ids = ["b", "T10", "T01", "", "T1", "7", "T2", "T1a", "10", "B", "T001", "T1-2", "T1-10"]
    expected = ["", "7", "10", "B", "T001", "T01", "T1", "T1-2", "T1-10", "T1a", "T2", "T10", "b"]
    assert sorted(ids, key=natural_key) == expected
    assert len({natural_key(name) for name in ids}) == len(ids)


def test_a_combo_seats_the_sum_of_its_capacities() -> None:
    sector = Sector.build([Table("A", 3, 4), Table("B", 3, 4), Table("C", 3, 4)])
    assert names(sector, 5) == []
    assert names(sector, 6) == ["A+B", "A+C", "B+C"]
    assert names(sector, 9) == ["A+B+C"]
    assert names(sector, 13) == []


def test_five_tables_are_never_combined() -> None:
    sector = Sector.build([Table(table_id, 1, 2) for table_id in "ABCDE"])
    assert len(names(sector, 8)) == 5
    assert names(sector, 9) == []


def test_tables_that_do_not_combine_stay_single() -> None:
    sector = Sector.build([Table("A", 1, 2, combinable=False), Table("B", 1, 2), Table("C", 1, 2)])
    assert names(sector, 4) == ["B+C"]


def test_combined_tables_must_be_connected_by_joins() -> None:
    tables = [Table(table_id, 1, 2) for table_id in "ABCD"]
    sector = Sector.build(tables, joins=[("A", "B"), ("C", "B"), ("D", "X"), ("D", "D")])
    assert names(sector, 4) == ["A+B", "B+C", "A+B+C"]


def test_every_connected_set_is_listed_once() -> None:
    dice = random.Random(5)
    for _ in range(200):
        count, share = dice.randint(2, 9), dice.random()
        near = [0] * count
        for a, b in combinations(range(count), 2):
            if dice.random() < share:
                near[a] |= 1 << b
                near[b] |= 1 << a
        expected = [
            tables
            for size in (2, 3, 4)
            for tables in combinations(range(count), size)
            if connected(tables, tuple(near))
        ]
        assert sorted(connected_sets(near), key=lambda tables: (len(tables), tables)) == expected


def test_a_chain_of_500_tables() -> None:
    joins = [(f"T{n}", f"T{n + 1}") for n in range(1, 500)]
    sector = Sector.build([Table(f"T{n}", 1, 1 + (n > 480)) for n in range(1, 501)], joins)
    table_sets = names(sector, 3, limit=3000)
    assert (len(table_sets), table_sets[:2], table_sets[-1]) == (
        518,
        ["T480+T481", "T1+T2+T3"],
        "T498+T499+T500",
    )
    assert names(sector, 8)[-2:] == ["T496+T497+T498+T499", "T497+T498+T499+T500"]


def test_listing_connected_sets_is_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_CONNECTED_SETS", 4)
    tables = [Table(table_id, 1, 2) for table_id in "VWXYZ"]
    ring = list(zip("VWXYZ", "WXYZV", strict=True))
    with pytest.raises(ValueError, match="too many joins"):
        Sector.build(tables, joins=ring)
    assert names(Sector.build(tables, joins=ring[:4]), 8) == ["V+W+X+Y", "W+X+Y+Z"]


def test_joins_to_inactive_tables_are_ignored() -> None:
    assert names(Sector.build([Table("A", 1, 2), Table("B", 1, 2)], joins=[("A", "X")]), 4) == []


def test_a_combo_with_a_capacity_of_its_own() -> None:
    tables = [Table("A", 2, 4), Table("B", 2, 4), Table("C", 2, 4, combinable=False)]
    combos = {frozenset("AB"): (5, 6), frozenset("AC"): (5, 10), frozenset("AX"): (1, 9)}
    sector = Sector.build(tables, joins=[("B", "C")], combos=combos)
    assert names(sector, 6) == ["A+B", "A+C"]
    assert names(sector, 8) == ["A+C"]
    assert names(sector, 10) == ["A+C"]


@pytest.mark.parametrize(
    ("tables", "combos"),
    [
        ([Table("A", 1, 2), Table("A", 1, 3)], {}),
        ([Table("A", 3, 2)], {}),
        ([Table("A", -1, 2)], {}),
        ([Table("A", 0, 0)], {}),
        ([Table("A", 1, 2)], {frozenset("A"): (1, 2)}),
        ([Table("A", 1, 2)], {frozenset("ABCDE"): (1, 2)}),
        ([Table("A", 1, 2), Table("B", 1, 2)], {frozenset("AB"): (3, 2)}),
    ],
)
def test_invalid_plans_are_refused(
    tables: list[Table], combos: dict[frozenset[str], tuple[int, int]]
) -> None:
    with pytest.raises(ValueError, match=r"same id|not a capacity|2 to 4"):
        Sector.build(tables, combos=combos)


def test_named_tables_and_start() -> None:
    start = datetime(2025, 10, 22, 21, tzinfo=ZONE)

    def ask(*ids: str, party: int = 4) -> list[tuple[str, str, float]]:
        return summarize(
            find(
                SEEDED,
                DAY,
                [B1],
                party=party,
                duration_minutes=90,
                limit=10,
                start=start,
                tables=frozenset(ids),
            )
        )

    assert ask("T3") == [("T3", "21:00", 100.0)]
    assert ask("T5", "T1") == [("T1+T5", "21:00", 80.0)]
    assert ask("T2") == []
    assert ask("T1") == []
    assert ask("T9") == []
    assert ask() == []
    assert ask("T1", "T2", "T3", "T4", "T5", party=16) == []


def test_an_occupancy_is_reusable_for_its_own_plan_and_day_only() -> None:
    occupancy = Occupancy.of(SEEDED, DAY, [B1])
    candidates = find(SEEDED, DAY, occupancy, party=4, duration_minutes=90, limit=50)
    assert candidates == find(SEEDED, DAY, [B1], party=4, duration_minutes=90, limit=50)
    with pytest.raises(ValueError, match="another sector or day"):
        find(SEEDED, SHORT, occupancy, party=4, duration_minutes=15, limit=1)


@pytest.mark.parametrize(("party", "minutes"), [(0, 15), (2, 0), (-1, 15)])
def test_party_and_duration_are_at_least_one(party: int, minutes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        find(SEEDED, DAY, (), party=party, duration_minutes=minutes, limit=1)


def test_a_limit_of_zero_gives_no_candidates() -> None:
    assert find(SEEDED, DAY, (), party=2, duration_minutes=15, limit=0) == []


def test_equal_configurations_share_one_plan() -> None:
    assert Sector.build(reversed(TABLES)) is Sector.build(TABLES)
    assert ServiceDay.build(DAY.date, ZONE, DAY.windows) is ServiceDay.build(DAY.date, ZONE, DAY.windows)


def test_the_order_of_the_input_does_not_matter() -> None:
    dice = random.Random(11)
    tables = [Table(f"T{n}", n % 3 + 1, n % 3 + 1 + n % 4) for n in range(30)]
    joins = [(f"T{n}", f"T{n + 1}") for n in range(29)]
    combos = {frozenset((f"T{n}", f"T{n + 5}")): (2, 7) for n in range(20)}
    busy = [
        Busy(f"T{n}", DAY.origin + timedelta(minutes=15 * m), DAY.origin + timedelta(minutes=15 * m + 90))
        for n in range(30)
        for m in (n % 7, 32 + n % 5)
    ]
    first = find(Sector.build(tables, joins, combos), DAY, busy, party=7, duration_minutes=90, limit=500)
    assert len(first) == 148
    for _ in range(20):
        sector = Sector.build(
            dice.sample(tables, 30),
            [dice.choice([(a, b), (b, a)]) for a, b in dice.sample(joins, 29)],
            dict(dice.sample(list(combos.items()), 20)),
        )
        again = dice.sample(busy, len(busy))
        assert find(sector, DAY, again, party=7, duration_minutes=90, limit=500) == first


def test_sectors_merge_by_the_exact_rank() -> None:
    halves = [Sector.build(TABLES[:3]), Sector.build(TABLES[3:])]
    lists = [find(sector, DAY, (), party=4, duration_minutes=90, limit=50) for sector in halves]
    merged = merge(lists, 4, 60)
    assert merged == sorted(lists[0] + lists[1], key=lambda candidate: rank_key(candidate, 4))[:60]
    assert (
        merged
        == [
            candidate
            for candidate in find(SEEDED, DAY, (), party=4, duration_minutes=90, limit=1000)
            if set(candidate.table_ids) <= {"T1", "T2", "T3"} or set(candidate.table_ids) <= {"T4", "T5"}
        ][:60]
    )
