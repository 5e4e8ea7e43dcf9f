"""P1, the storm: many clients make, move, resize and cancel while what the product leans on dies and comes back.

Believed are the ledger of the requests and SQL. Webhooks are left out here.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.kafka import Kafka
from tests.ledger import OVERLAPS, WITHOUT_CONSTRAINT, Entry, Ledger, clients, set_up, sql, value
from tests.pipeline import Pipeline
from tests.processes import Api, Services, api_servers, manage, private_services

pytestmark = pytest.mark.fault

TABLES = {f"ST{number}": (1, 2 + number % 3 * 2) for number in range(12)}
DAYS = ("2025-11-01", "2025-11-02", "2025-11-03")
EVERYBODY = "booking:create,booking:read,booking:update,booking:delete"
ALLOWED = {0, 200, 201, 204, 409, 422, 503}
HEALED_WITHIN = 60.0
EXCUSED_FOR = 5.0
"""How long after a kill a 503 is no failure."""


@dataclass
class Storm:
    seconds: float
    ledger: Ledger = field(default_factory=Ledger)
    faults: list[tuple[str, float]] = field(default_factory=list)
    unanswered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, name: str) -> None:
        self.faults.append((name, time.monotonic()))

    def client(self, client: httpx.Client, number: int, seed: int, until: float) -> None:
        rng = random.Random(seed * 1_000 + number)
        mine: list[str] = []
        turn = 0
        while time.monotonic() < until:
            turn += 1
            operation = rng.choices(["make", "move", "resize", "cancel"], [50, 20, 10, 20])[0]
            if operation == "make" or not mine:
                self._make(client, rng, f"{seed}-{number}-{turn}", mine)
            elif operation == "cancel":
                booking = mine.pop(rng.randrange(len(mine)))
                self.ledger.send(client, "DELETE", f"/woki/bookings/{booking}", key=f"{seed}-{number}-{turn}")
            else:
                change: dict[str, Any] = {"partySize": rng.randint(1, 6)}
                if operation == "move":
                    change = {"date": rng.choice(DAYS), "windowStart": "20:00", "windowEnd": "23:45"}
                self.ledger.send(client, "PATCH", f"/woki/bookings/{rng.choice(mine)}", json=change)

    def _make(self, client: httpx.Client, rng: random.Random, key: str, mine: list[str]) -> None:
        body = {
            "restaurantId": "ST",
            "sectorId": "STS",
            "partySize": rng.randint(1, 6),
            "durationMinutes": rng.choice([60, 90, 120]),
            "date": rng.choice(DAYS),
            "guestName": "Storm",
        }
        entry = self.ledger.send(client, "POST", "/woki/bookings", json=body, key=key)
        if entry.status == 201:
            mine.append(entry.body["id"])
        elif entry.status in (0, 503):
            with self._lock:
                self.unanswered.append((key, body))

    def made(self) -> list[Entry]:
        return [
            entry
            for entry in self.ledger.entries
            if entry.operation.startswith("POST") and entry.status == 201
        ]


@contextmanager
def _doing(*acts: Callable[[], None]) -> Iterator[None]:
    failed: list[BaseException] = []

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
    assert failed == []


def _break_things(storm: Storm, pipeline: Pipeline, services: Services, kafka: Kafka, api: Api) -> None:
    """The plan of P1 in shares of the storm. On the main thread: what a thread starts ends with it."""
    began = time.monotonic()
    kills = max(3, round(storm.seconds / 5))
    back = threading.Thread(target=kafka.start)
    workers = pipeline.start("worker")

    def redis_away() -> None:
        storm.fault("redis away")
        services.redis.kill()

    def redis_back() -> None:
        services.redis.start()
        storm.fault("redis back")

    def another_worker() -> None:
        workers.pop().kill()
        workers.extend(pipeline.start("worker"))

    def another_web() -> None:
        storm.fault("web")
        api.servers[1].kill()
        api.servers[1].start()

    plan: list[tuple[float, Callable[[], None]]] = [
        (1 / 4, redis_away),
        (1 / 2, redis_back),
        (1 / 3, kafka.kill),
        (3 / 4, back.start),
        (2 / 3, another_web),
        *((number / kills, another_worker) for number in range(1, kills)),
    ]
    for share, act in sorted(plan, key=lambda entry: entry[0]):
        time.sleep(max(0.0, began + share * storm.seconds - time.monotonic()))
        act()
    back.join()


def _storm(kafka: Kafka, *, count: int, seconds: float, seed: int, redrive: str) -> None:
    print(f"P1: seed {seed}, {count} clients for {seconds:g} s on {kafka.kind}")
    storm = Storm(seconds)
    kafka.reset()
    with ExitStack() as stack:
        services = stack.enter_context(private_services())
        settings = {"EVENTS_REDRIVE_SECONDS": redrive, "LOG_LEVEL": "ERROR"}
        pipeline = stack.enter_context(Pipeline(services, kafka.address, settings))
        api = stack.enter_context(
            api_servers(3, services=services, environment={"PUBLIC_PERMISSIONS": EVERYBODY})
        )
        hands = stack.enter_context(clients(api, count))
        set_up(hands[0], "ST", {"STS": TABLES})
        pipeline.start("relay", "consume")
        until = time.monotonic() + seconds

        def act(number: int) -> Callable[[], None]:
            return lambda: storm.client(hands[number], number, seed, until)

        with _doing(*map(act, range(count))):
            _break_things(storm, pipeline, services, kafka, api)
        healed = time.monotonic()
        again = [
            storm.ledger.send(hands[0], "POST", "/woki/bookings", json=body, key=key)
            for key, body in storm.unanswered
        ]
        pipeline.until(
            lambda: pipeline.value("SELECT count(*) FROM events_storedevent WHERE published_at IS NULL") == 0,
            HEALED_WITHIN,
        )
        outbox = time.monotonic() - healed
        pipeline.until_settled(20 + float(redrive))
        print(
            f"{len(storm.ledger.entries)} requests {dict(storm.ledger.statuses())}; repeated {len(again)}; "
            f"outbox empty after {outbox:.1f} s, all settled after {time.monotonic() - healed:.1f} s"
        )
        _judge(storm, services, pipeline, again)


def _judge(storm: Storm, services: Services, pipeline: Pipeline, again: list[Entry]) -> None:
    assert set(storm.ledger.statuses()) <= ALLOWED
    assert {entry.status for entry in again} <= {201, 409, 422}
    late = [
        entry
        for entry in storm.ledger.entries
        if entry.status == 503
        and not any(at - 1 <= entry.ended <= at + EXCUSED_FOR for _, at in storm.faults)
    ]
    assert late == []
    ids = {entry.body["id"] for entry in storm.made()}
    by_key: dict[str | None, set[str]] = {}
    for entry in storm.made():
        by_key.setdefault(entry.key, set()).add(entry.body["id"])
    assert all(len(found) == 1 for found in by_key.values())
    rows = {str(row[0]) for row in sql(services, "SELECT id FROM bookings_booking")}
    assert rows == ids
    first = "SELECT aggregate_id FROM events_storedevent WHERE aggregate_type = 'booking' AND version = 1"
    assert sorted(row[0] for row in sql(services, first)) == sorted(ids)
    assert value(services, OVERLAPS) == 0
    audited = "SELECT count(*) FROM events_auditentry WHERE event_id IS NOT NULL"
    assert value(services, audited) == value(services, "SELECT count(*) FROM events_storedevent")
    assert sql(services, "SELECT consumer, error FROM events_failure") == []
    print(manage("verify", environment=pipeline.settings))


def _seed() -> int:
    return int(os.environ.get("SEED", random.randrange(1_000_000)))


def test_a_short_storm(real_kafka: Kafka) -> None:
    _storm(real_kafka, count=20, seconds=12, seed=_seed(), redrive="3")


@pytest.mark.slow
@pytest.mark.parametrize("run", range(3))
def test_the_storm(real_kafka: Kafka, run: int) -> None:
    _storm(real_kafka, count=200, seconds=60, seed=_seed() + run, redrive="60")


def test_canary_without_locks_and_constraint_the_storm_seats_on_top() -> None:
    storm = Storm(4)
    with private_services() as services:
        sql(services, WITHOUT_CONSTRAINT)
        environment = {"FAULT_WITHOUT": "locks", "PUBLIC_PERMISSIONS": EVERYBODY}
        with api_servers(3, services=services, environment=environment) as api, clients(api, 20) as hands:
            set_up(hands[0], "ST", {"STS": TABLES})
            until = time.monotonic() + storm.seconds
            with _doing(*(lambda n=n: storm.client(hands[n], n, 1, until) for n in range(20))):
                pass
        assert value(services, OVERLAPS) > 0
