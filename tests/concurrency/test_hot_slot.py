"""P2 hot slot and P3 exact fill, with several processes and many clients."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta

import httpx
import pytest

from tests.ledger import (
    DEADLOCKS,
    OVERLAPS,
    WITHOUT_CONSTRAINT,
    Entry,
    Ledger,
    clients,
    percentile,
    run_concurrently,
    set_up,
    sql,
    value,
)
from tests.processes import Services, api_servers, private_services

KEYS = 50
REQUESTS = 100


def hot_rounds(services: Services, rounds: int, *, without: str = "") -> list[list[Entry]]:
    """Run rounds in which 50 clients with their own keys book the one table at the one start of another day."""
    ledger = Ledger()
    with (
        api_servers(3, services=services, environment={"FAULT_WITHOUT": without}) as api,
        clients(api, KEYS) as all_clients,
    ):
        set_up(all_clients[0], "H", {"HS": {"H1": (2, 4)}})
        results = []
        for number in range(rounds):
            day = date(2025, 11, 1) + timedelta(days=number)
            body = {
                "restaurantId": "H",
                "sectorId": "HS",
                "partySize": 3,
                "durationMinutes": 90,
                "date": day.isoformat(),
                "start": f"{day}T20:00:00-03:00",
                "tableIds": ["H1"],
            }
            results.append(
                run_concurrently(
                    [
                        lambda client=client, index=index, body=body, number=number: ledger.send(  # type: ignore[misc]
                            client, "POST", "/woki/bookings", json=body, key=f"{number}-{index}"
                        )
                        for index, client in enumerate(all_clients)
                    ]
                )
            )
    return results


def check_hot_slot(rounds: int) -> None:
    with private_services() as services:
        before = value(services, DEADLOCKS)
        results = hot_rounds(services, rounds)
        for entries in results:
            assert Counter(entry.status for entry in entries) == {201: 1, 409: KEYS - 1}
            assert {entry.body["error"] for entry in entries if entry.status == 409} == {"CONFLICT"}
        assert value(services, OVERLAPS) == 0
        assert value(services, "SELECT count(*) FROM bookings_booking") == rounds
        assert value(services, DEADLOCKS) == before
        everything = [entry for entries in results for entry in entries]
        print(f"P2: {rounds} rounds, p99 {percentile(everything, 0.99):.0f} ms")


@pytest.mark.fault
def test_of_fifty_requests_for_one_table_exactly_one_succeeds() -> None:
    check_hot_slot(rounds=5)


@pytest.mark.slow
@pytest.mark.fault
def test_of_fifty_requests_for_one_table_exactly_one_succeeds_in_twenty_rounds() -> None:
    check_hot_slot(rounds=20)


@pytest.mark.fault
def test_canary_without_locks_and_constraint_one_table_is_booked_twice() -> None:
    with private_services() as services:
        sql(services, WITHOUT_CONSTRAINT)
        results = hot_rounds(services, 5, without="locks")
        assert max(Counter(entry.status for entry in entries)[201] for entries in results) > 1
        assert value(services, OVERLAPS) > 0


def fill(client: httpx.Client, restaurant: str, party: int, ledger: Ledger, index: int, day: str) -> Entry:
    body = {"restaurantId": restaurant, "partySize": party, "durationMinutes": 90, "date": day}
    return ledger.send(client, "POST", "/woki/bookings", json=body, key=f"{restaurant}-{day}-{index}")


def check_exact_fill(sectors: int, seed: int, *, without: str = "") -> list[tuple[int, int]]:
    """(booked in parallel, booked one by one) for ten singles and then random sectors with combos.

    The restaurant serves exactly one sitting, so that what fits is a number of table sets.
    """
    rng = random.Random(seed)
    print(f"P3: seed {seed}")
    plans: list[tuple[str, dict[str, tuple[int, int]], int]] = [
        ("K", {f"K-{number}": (2, 2) for number in range(10)}, 2)
    ]
    for number in range(sectors):
        tables: dict[str, tuple[int, int]] = {}
        for table in range(rng.randint(4, 9)):
            least = rng.randint(1, 3)
            tables[f"F{number}-{table}"] = (least, least + rng.randint(0, 3))
        plans.append((f"F{number}", tables, rng.randint(3, 8)))
    ledger = Ledger()
    results: list[tuple[int, int]] = []
    with private_services() as services:
        if without:
            sql(services, WITHOUT_CONSTRAINT)
        with (
            api_servers(3, services=services, environment={"FAULT_WITHOUT": without}) as api,
            clients(api, REQUESTS, timeout=60) as all_clients,
        ):
            for restaurant, tables, party in plans:
                set_up(all_clients[0], restaurant, {f"{restaurant}S": tables}, windows=[("20:00", "21:30")])
                parallel = run_concurrently(
                    [
                        lambda client=client, index=index, restaurant=restaurant, party=party: fill(  # type: ignore[misc]
                            client, restaurant, party, ledger, index, "2025-11-01"
                        )
                        for index, client in enumerate(all_clients)
                    ]
                )
                assert {entry.status for entry in parallel} <= {201, 409}, Counter(
                    entry.status for entry in parallel
                )
                booked = sum(entry.status == 201 for entry in parallel)
                one_by_one = 0
                for index in range(REQUESTS):
                    entry = fill(all_clients[0], restaurant, party, ledger, index, "2025-11-02")
                    if entry.status == 409:
                        break
                    one_by_one += 1
                results.append((booked, one_by_one))
        if not without:
            assert value(services, OVERLAPS) == 0
    return results


@pytest.mark.fault
def test_concurrent_requests_seat_exactly_as_many_as_sequential_ones() -> None:
    results = check_exact_fill(sectors=5, seed=20251122)
    assert results[0] == (10, 10)
    assert all(parallel == one_by_one for parallel, one_by_one in results), results


@pytest.mark.slow
@pytest.mark.fault
def test_concurrent_requests_seat_exactly_as_many_as_sequential_ones_in_thirty_sectors() -> None:
    results = check_exact_fill(sectors=30, seed=random.SystemRandom().randrange(1 << 32))
    assert results[0] == (10, 10)
    assert all(parallel == one_by_one for parallel, one_by_one in results), results


@pytest.mark.fault
def test_canary_without_locks_and_constraint_more_parties_are_seated_than_fit() -> None:
    results = check_exact_fill(sectors=0, seed=1, without="locks")
    assert results[0][0] > 10
