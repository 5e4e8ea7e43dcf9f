"""P26: two releases of the time-zone rules, two builds, one database, one Redis: what a guest was told stays true."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.ledger import OVERLAPS, Entry, Ledger, clients, run_concurrently, set_up, sql, value
from tests.processes import Services, api_servers, manage, private_services
from tests.zones import OLDER, zone_folder

DAY = date(datetime.now(UTC).year + 1, 1, 15)
"""In winter, when Vancouver was at UTC-8 by the older rules and is at UTC-7 by the newer."""
REQUESTS = 48

PROMISED_TWICE = """
SELECT count(*) FROM bookings_booking a JOIN bookings_booking b
  ON a.id < b.id AND a.table_ids && b.table_ids
 AND tsrange(a.promised_start, a.promised_start + (a."end" - a.start))
  && tsrange(b.promised_start, b.promised_start + (b."end" - b.start))
WHERE a.status = 'CONFIRMED' AND b.status = 'CONFIRMED'
"""


@dataclass(frozen=True, slots=True)
class Both:
    """A process with older rules and one with newer ones, on the same servers."""

    services: Services
    older: httpx.Client
    newer: httpx.Client
    older_zones: str

    def run(self, *arguments: str, older: bool = False) -> str:
        more = {"ZONEINFO_DIR": self.older_zones} if older else {}
        return manage(*arguments, environment=self.services.environment | more)


@pytest.fixture
def both() -> Iterator[Both]:
    with private_services() as services, ExitStack() as stack:
        folder = str(zone_folder(services.folder / "zones", "2025b", OLDER))
        sql(services, "UPDATE restaurants_zonerelease SET release = '2025b'")
        older, newer = (
            stack.enter_context(clients(stack.enter_context(started), 1))[0]
            for started in (
                api_servers(1, services=services, environment={"ZONEINFO_DIR": folder}),
                api_servers(1, services=services),
            )
        )
        set_up(
            older,
            "V",
            {"VS": {"V1": (1, 4), "V2": (1, 4)}},
            windows=(("20:00", "23:00"),),
            timezone="America/Vancouver",
        )
        yield Both(services, older, newer, folder)


def book(
    ledger: Ledger, client: httpx.Client, table: str, clock: str, offset: str, minutes: int = 60
) -> Entry:
    body = {
        "restaurantId": "V",
        "partySize": 2,
        "durationMinutes": minutes,
        "date": DAY.isoformat(),
        "start": f"{DAY}T{clock}:00{offset}",
        "tableIds": [table],
    }
    return ledger.send(client, "POST", "/woki/bookings", json=body)


def offered(client: httpx.Client, until: str = "21:00") -> list[tuple[str, str]]:
    """The table and start of each candidate for an hour from 20:00 on."""
    query: dict[str, Any] = {
        "restaurantId": "V", "sectorId": "VS", "date": DAY.isoformat(), "partySize": 2, "duration": 60,
        "windowStart": "20:00", "windowEnd": until, "limit": 50,
    }  # fmt: skip
    answer = client.get("/api/v1/woki/discover", params=query).json()
    return [
        (table_ids[0], candidate["start"])
        for candidate in answer.get("candidates", [])
        if len(table_ids := candidate["tableIds"]) == 1
    ]


def told(client: httpx.Client, reference: str) -> str:
    return str(client.get(f"/api/v1/woki/bookings/{reference}").json()["start"])


def test_a_promise_by_older_rules_is_neither_moved_nor_made_again(both: Both) -> None:
    ledger = Ledger()
    first = book(ledger, both.older, "V1", "20:00", "-08:00")
    assert (first.status, first.body["start"]) == (201, f"{DAY}T20:00:00-08:00")
    reference = first.body["reference"]

    # Each process answers in its own rules, again and again: they share a Redis, and no answer.
    for _ in range(2):
        assert offered(both.newer) == [("V2", f"{DAY}T20:00:00-07:00")]
        assert offered(both.older) == [("V2", f"{DAY}T20:00:00-08:00")]
    assert told(both.newer, reference) == told(both.older, reference) == f"{DAY}T20:00:00-08:00"
    assert book(ledger, both.newer, "V1", "20:00", "-07:00").status == 409
    second = book(ledger, both.newer, "V2", "20:00", "-07:00")
    assert second.status == 201
    assert offered(both.older) == offered(both.newer) == []
    assert book(ledger, both.older, "V2", "20:00", "-08:00").status == 409

    with pytest.raises(
        RuntimeError, match=r"WRONG +what is to come stands at the wall time that was promised: 1"
    ):
        both.run("verify")
    listed = both.run("zones").splitlines()
    assert listed == [
        "rules 2026f, instants by 2025b",
        f"V  {reference}  told {DAY} 20:00 America/Vancouver, reads {DAY} 21:00, "
        f"{DAY + timedelta(days=1)}T03:00:00Z",
        "1 would move, 0 need attention",
    ]
    assert both.run("zones", "--apply").splitlines()[-1] == "1 moved, 0 need attention"
    assert told(both.newer, reference) == f"{DAY}T20:00:00-07:00"
    event = sql(
        both.services,
        "SELECT payload ->> 'reason', payload -> 'changes' -> 'start' FROM events_storedevent "
        "WHERE aggregate_id = %s AND version = 2",
        [first.body["id"]],
    )
    change = {"from": f"{DAY}T20:00:00-08:00", "to": f"{DAY}T20:00:00-07:00"}
    assert event == [("zone-rules", change)]
    assert both.run("zones").splitlines() == [
        "rules 2026f, instants by 2026f",
        "0 would move, 0 need attention",
    ]
    assert value(both.services, PROMISED_TWICE) == 0


def random_requests(seed: int) -> list[tuple[str, str, int, int]]:
    """Tables, wall times, minutes, and which of the two processes is asked."""
    dice = random.Random(seed)
    return [
        (
            dice.choice(("V1", "V2")),
            f"{20 + (quarter := dice.randrange(8)) // 4}:{quarter % 4 * 15:02}",
            dice.choice((30, 45, 60)),
            number % 2,
        )
        for number in range(REQUESTS)
    ]


def storm(both: Both, seed: int) -> Ledger:
    """Both processes book the two tables at random wall times, all at once."""
    print(f"seed {seed}")
    ledger = Ledger()
    run_concurrently(
        [
            lambda table=table, clock=clock, minutes=minutes, newer=newer: book(  # type: ignore[misc]
                ledger,
                both.newer if newer else both.older,
                table,
                clock,
                "-07:00" if newer else "-08:00",
                minutes,
            )
            for table, clock, minutes, newer in random_requests(seed)
        ]
    )
    return ledger


@pytest.mark.parametrize("seed", [11])
def test_no_table_is_promised_twice_while_two_releases_book(both: Both, seed: int) -> None:
    ledger = storm(both, seed)
    assert set(ledger.statuses()) == {201, 409}
    promised = {
        entry.body["reference"]: entry.body["start"] for entry in ledger.entries if entry.status == 201
    }
    assert (value(both.services, OVERLAPS), value(both.services, PROMISED_TWICE)) == (0, 0)
    walls = {reference: start[:16] for reference, start in promised.items()}
    for client in (both.older, both.newer):
        assert {reference: told(client, reference)[:16] for reference in walls} == walls

    assert both.run("zones", "--apply").splitlines()[-1].endswith(", 0 need attention")
    assert {reference: told(both.newer, reference) for reference in walls} == {
        reference: f"{wall}:00-07:00" for reference, wall in walls.items()
    }
    assert (value(both.services, OVERLAPS), value(both.services, PROMISED_TWICE)) == (0, 0)
    assert "WRONG" not in both.run("verify")


def test_canary_by_instants_alone_a_table_is_promised_twice(both: Both) -> None:
    ledger = Ledger()
    assert book(ledger, both.older, "V1", "20:00", "-08:00").status == 201
    sql(both.services, "UPDATE bookings_allocation SET utc_offset = NULL")
    assert ("V1", f"{DAY}T20:00:00-07:00") in offered(both.newer)
    assert book(ledger, both.newer, "V1", "20:00", "-07:00").status == 201
    assert (value(both.services, OVERLAPS), value(both.services, PROMISED_TWICE)) == (0, 1)
