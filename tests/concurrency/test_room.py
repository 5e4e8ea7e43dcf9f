"""P21: hosts in several processes, at random and at the same instant: one party at a table, and none moved unasked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.concurrency.evening import FIRST, WEIGHTS, Entry, Evening
from tests.concurrency.hosts import hosts
from tests.concurrency.room_model import Act, Party
from tests.processes import private_services

WITHOUT_SEATINGS = """
DROP TRIGGER seating_insert ON bookings_booking;
DROP TRIGGER seating_update ON bookings_booking;
"""
WITHOUT_CONSTRAINT = "ALTER TABLE bookings_seating DROP CONSTRAINT seating_never_overlaps"


@contextmanager
def started(seed: int, count: int = 3, environment: Mapping[str, str] | None = None) -> Iterator[Evening]:
    with (
        private_services() as services,
        hosts(count, services.environment | dict(environment or {})) as processes,
        psycopg.connect(services.postgres.url, autocommit=True) as link,
    ):
        yield Evening(link, processes, seed)


def check(rounds: int, seed: int, *, kinds: set[str]) -> None:
    with started(seed) as evening:
        evening.run(rounds)
        print(f"P21: {dict(evening.counted)}, {evening.offers} offers, {evening.overstays} overstays")
        assert evening.findings == []
        # What a short evening with its races has for certain, and a long one has of everything.
        done = {kind for (kind, accepted), count in evening.counted.items() if accepted and count}
        assert done >= kinds
        assert evening.offers > rounds
        assert min(evening.overstays, evening.counted["seat", False]) > 0


def test_random_hosts_keep_one_party_at_a_table_and_move_none_unasked() -> None:
    check(36, 21, kinds={"create", "seat", "complete", "change"})


@pytest.mark.slow
@pytest.mark.parametrize("_number", range(3))
def test_random_hosts_keep_one_party_at_a_table_for_many_evenings(_number: int) -> None:
    check(300, random.SystemRandom().randrange(1 << 32), kinds={*WEIGHTS, "closed"} - {"close"})


# --- The canaries ------------------------------------------------------------------------------------------------


def at(minutes: int) -> datetime:
    """Return an instant from 20:00 on."""
    return FIRST.replace(minute=0) + timedelta(hours=1, minutes=minutes)


def booked(table: str, begins: int) -> Act:
    day, start = FIRST.date().isoformat(), at(begins).isoformat()
    return Act("create", tables=(table,), party=2, minutes=45, start=start, day=day)


def two_bookings(evening: Evening, tables: str, begins: int, then: int) -> list[tuple[Party, Party]]:
    """Book each of the tables twice; return the first and the second booking of each."""
    evening.play([[booked(table, start) for table in tables] for start in (begins, then)])
    parties = sorted(evening.room.parties(), key=lambda party: (party.tables, party.start))
    return list(zip(parties[::2], parties[1::2], strict=True))


def found(evening: Evening, beginning: str) -> bool:
    return any(finding.startswith(beginning) for finding in evening.findings)


def test_canary_without_seatings_tables_are_offered_and_given_to_a_second_party() -> None:
    with started(seed=0, count=2) as evening:
        evening.link.execute(WITHOUT_SEATINGS)
        ((one, other),) = two_bookings(evening, "B", 0, 180)
        assert evening.findings == []
        evening.now = at(50)
        evening.play([[Act("seat", one.id)], []])
        for where in ("discover", "suggestions", "walk-in"):
            assert found(evening, f"an occupied table was offered, {where}")
        evening.now, evening.findings = at(180), []
        evening.play([[], [Act("seat", other.id)]])
        assert found(evening, "two parties at one table")


def test_canary_a_party_that_was_moved_unasked_is_found() -> None:
    with started(seed=0, count=2) as evening:
        ((one, _),) = two_bookings(evening, "B", 0, 60)
        evening.now = at(0)
        evening.play([[Act("seat", one.id)], []])
        assert evening.findings == []
        (result,) = evening.hosts[0].do(evening.now, Act("change", one.id, tables=("C",)))
        # As if the host had named no table.
        evening.check([Entry(Act("change", one.id), result)])
        (finding,) = evening.findings
        assert "a party that sits was moved unasked" in finding


def test_canary_without_locks_and_constraint_two_parties_are_seated_at_one_table() -> None:
    with started(seed=0, count=2, environment={"FAULT_WITHOUT": "locks"}) as evening:
        evening.link.execute(WITHOUT_CONSTRAINT)
        pairs = two_bookings(evening, "ABCDE", 0, 45)
        for number, moment in enumerate((0, 45)):
            for kind in ("seat", "complete"):
                evening.now = at(moment + 30 * (kind == "complete"))
                evening.play([[Act(kind, pair[number].id) for pair in pairs], []])
        assert evening.findings == []
        for pair in pairs * 6:
            # Each of two hosts notices at once that its party has not left.
            evening.play([[Act("reopen", party.id)] for party in pair])
            if evening.findings:
                break
            seated = evening.room.sitting(pair[0].tables)
            evening.play([[Act("complete", sits.party) for sits in seated], []])
        assert found(evening, "two parties at one table")
        assert found(evening, "tables with two parties")
