"""P4 paused lock holder, P5 frozen Redis, and a Postgres that stops and comes back."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.ledger import (
    OVERLAPS,
    WITHOUT_CONSTRAINT,
    Entry,
    Ledger,
    clients,
    percentile,
    set_up,
    sql,
    value,
)
from tests.processes import ApiServer, Services, api_servers, private_services
from tests.waiting import until

pytestmark = pytest.mark.fault

SHORT_LOCKS = {"LOCK_TTL_MS": "300", "LOCK_WAIT_MS": "1500"}


def body(**more: Any) -> dict[str, Any]:
    day = more.pop("date", "2025-11-01")
    return {
        "restaurantId": "P",
        "sectorId": "PS",
        "partySize": 3,
        "durationMinutes": 90,
        "date": day,
        "windowStart": "20:00",
        "windowEnd": "21:30",
    } | more


TABLE_P1 = {"tableIds": ["P1"], "start": "2025-11-01T20:00:00-03:00"}


def state(pid: int) -> str:
    """Return the process's state letter; T means stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_stopped(server: ApiServer) -> None:
    assert until(lambda: state(server.pid) == "T"), "the holder was never stopped"


def until_locks_ran_out(services: Services) -> None:
    """Wait until every sector-day's lock in Redis has expired, as it does while its holder is stopped."""
    with redis.Redis.from_url(services.redis.url) as client:
        assert until(lambda: not client.keys("lock:*"))


def race(point: str, request: dict[str, Any], *, without: str = "") -> tuple[Entry, Entry, int, Services]:
    """Stop a holder at ``point`` past its lock's life, send a rival's equal request, let the holder continue.

    Return the holder's and the rival's entries, and the number of overlaps.
    """
    ledger = Ledger()
    with private_services() as services:
        flag = services.folder / "stop-here"
        environment = SHORT_LOCKS | {"FAULT_POINTS": f"{point}=stop:{flag}", "FAULT_WITHOUT": without}
        with (
            api_servers(2, services=services, environment=environment, threads=2) as api,
            clients(api, 2) as (holder, rival),
        ):
            set_up(rival, "P", {"PS": {"P1": (2, 4), "P2": (2, 4)}})
            if without:
                sql(services, WITHOUT_CONSTRAINT)
            flag.touch()
            entries: list[Entry] = []
            thread = threading.Thread(
                target=lambda: entries.append(ledger.send(holder, "POST", "/woki/bookings", json=request))
            )
            thread.start()
            until_stopped(api.servers[0])
            until_locks_ran_out(services)
            rivals = ledger.send(rival, "POST", "/woki/bookings", json=request)
            api.servers[0].resume()
            thread.join()
            return entries[0], rivals, value(services, OVERLAPS), services


def test_a_request_paused_past_its_lock_gets_a_conflict_for_the_table_that_a_rival_took() -> None:
    holder, rival, overlaps, _ = race("lock-taken", body(**TABLE_P1))
    assert (rival.status, holder.status, holder.body["error"], overlaps) == (201, 409, "CONFLICT", 0)


def test_a_request_paused_past_its_lock_gets_the_next_table_if_it_named_none() -> None:
    holder, rival, overlaps, _ = race("lock-taken", body())
    assert (rival.status, rival.body["tableIds"]) == (201, ["P1"])
    assert (holder.status, holder.body["tableIds"], overlaps) == (201, ["P2"], 0)


def test_the_rival_of_a_request_paused_in_its_transaction_is_told_to_retry() -> None:
    holder, rival, overlaps, _ = race("booking-written", body(**TABLE_P1))
    assert (rival.status, rival.body["error"]) == (409, "CONFLICT")
    assert (holder.status, overlaps) == (201, 0)


def test_canary_without_locks_and_constraint_a_paused_request_books_a_taken_table() -> None:
    holder, rival, overlaps, _ = race("seat-chosen", body(**TABLE_P1), without="locks")
    assert (rival.status, holder.status, overlaps) == (201, 201, 1)


def frozen_redis(creates: int, environment: dict[str, str]) -> tuple[list[Entry], list[Entry]]:
    """Measure creates before and while Redis is frozen: it accepts connections and never responds."""
    ledger = Ledger()
    with (
        private_services() as services,
        api_servers(2, services=services, environment=environment, threads=2) as api,
        clients(api, 4) as all_clients,
    ):
        tables = {f"P{number}": (2, 4) for number in range(1, 11)}
        set_up(all_clients[0], "P", {"PS": tables})

        def create(first: int) -> list[Entry]:
            return [
                ledger.send(
                    all_clients[number % 4],
                    "POST",
                    "/woki/bookings",
                    json=body(date=f"2025-{1 + number // 28 % 12:02}-{1 + number % 28:02}"),
                )
                for number in range(first, first + creates)
            ]

        create(0)
        normal = create(creates)
        services.redis.pause()
        try:
            frozen = create(2 * creates)
        finally:
            services.redis.resume()
    return normal, frozen


def report(normal: list[Entry], frozen: list[Entry]) -> float:
    """Return the ratio of the frozen p95 to the normal one, allowing for 25 ms of the machine's noise."""
    usual, slow = percentile(normal, 0.95), percentile(frozen, 0.95)
    print(f"P5: create p95 {usual:.0f} ms, with Redis frozen {slow:.0f} ms")
    return max(slow - 25, 0) / usual


@pytest.mark.alone
def test_a_frozen_redis_hardly_slows_creates() -> None:
    normal, frozen = frozen_redis(100, {})
    assert Counter(entry.status for entry in normal + frozen) == {201: 200}
    assert report(normal, frozen) <= 2


@pytest.mark.alone
def test_canary_without_the_circuit_breaker_a_frozen_redis_slows_every_create() -> None:
    normal, frozen = frozen_redis(12, {"REDIS_TIMEOUT_MS": "600", "REDIS_COOL_DOWN_MS": "1"})
    assert report(normal, frozen) > 2


def locked_by_redis(client: httpx.Client) -> bool:
    return 'lock_acquisitions_total{backend="redis"} 0.0' not in client.get("/metrics").text


def test_creates_succeed_without_redis_and_use_it_again_afterwards() -> None:
    ledger = Ledger()
    with (
        private_services() as services,
        api_servers(1, services=services, environment={"REDIS_COOL_DOWN_MS": "50"}) as api,
        clients(api, 1) as (client,),
    ):
        set_up(client, "P", {"PS": {"P1": (2, 4)}})
        services.redis.kill()
        for day in range(1, 6):
            ledger.send(client, "POST", "/woki/bookings", json=body(date=f"2025-11-{day:02}"))
        assert client.get("/health/ready").json() == {
            "status": "degraded",
            "checks": {"database": "ok", "redis": "degraded", "kafka": "off"},
            "zones": {"release": "2026f", "unknown": 0},
        }
        assert not locked_by_redis(client)
        services.redis.start()
        days = itertools.count(6)

        def used_again() -> bool:
            ledger.send(client, "POST", "/woki/bookings", json=body(date=f"2025-11-{next(days):02}"))
            return locked_by_redis(client)

        # The first one may fail on its old connection.
        assert until(used_again)
    assert ledger.statuses().keys() == {201}


def test_without_postgres_requests_fail_at_once_with_503_and_recover_without_restart() -> None:
    ledger = Ledger()
    with (
        # Durable: this test is not about a Postgres that loses commits.
        private_services(durable=True) as services,
        api_servers(1, services=services) as api,
        clients(api, 1) as (client,),
    ):
        set_up(client, "P", {"PS": {"P1": (2, 4)}})
        assert ledger.send(client, "POST", "/woki/bookings", json=body()).status == 201
        services.postgres.kill()
        away = [
            ledger.send(client, "POST", "/woki/bookings", json=body(date="2025-11-02")),
            ledger.send(
                client, "GET", "/woki/discover?restaurantId=P&date=2025-11-02&partySize=2&duration=60"
            ),
            ledger.send(client, "GET", "/woki/bookings?restaurantId=P&date=2025-11-02"),
        ]
        ready = client.get("/health/ready")
        live = client.get("/health/live")
        services.postgres.start()
        back = recovered(ledger, client)
    assert [(entry.status, entry.body["error"]) for entry in away] == [(503, "SERVICE_UNAVAILABLE")] * 3
    assert all(entry.headers["retry-after"] == "2" and entry.seconds < 2 for entry in away)
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unavailable")
    assert live.status_code == 200
    assert back.status == 201


def recovered(ledger: Ledger, client: httpx.Client) -> Entry:
    """Return the first create that is not 503; each thread may fail once on its old connection."""
    for _ in range(20):
        entry = ledger.send(client, "POST", "/woki/bookings", json=body(date="2025-11-03"))
        if entry.status != 503:
            return entry
        time.sleep(0.05)
    raise AssertionError("still 503 with Postgres back")
