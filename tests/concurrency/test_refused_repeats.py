"""A client without a response repeats its request and is refused: then the first must not take effect.

The first request is stopped after it was received; its client gives up and repeats it with the same key at
another process; that is refused, and told so; then room is made, and the first request goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from tests.faults.test_locks import until_locks_ran_out, until_stopped
from tests.ledger import Entry, Ledger, clients, set_up, sql, value
from tests.processes import Api, Services, api_servers, private_services
from tests.waiting import until

pytestmark = pytest.mark.fault

# A stopped process's Redis lock expires, so that the repeat does not wait for it.
SETTINGS = {
    "LOCK_TTL_MS": "300",
    "LOCK_WAIT_MS": "5000",
    "PUBLIC_PERMISSIONS": "booking:create,booking:read,booking:update,booking:delete",
}
START = "2025-11-01T20:00:00-03:00"
WANTED = {
    "restaurantId": "G", "sectorId": "GS", "partySize": 2, "durationMinutes": 90, "date": "2025-11-01",
    "tableIds": ["G1"], "start": START,
}  # fmt: skip
TABLES = {"GS": {"G1": (1, 4), "G2": (1, 4)}}


@dataclass
class House:
    """Two processes, a client of each, and a flag file: while it exists, the next process to pass a failpoint stops."""

    services: Services
    api: Api
    first: httpx.Client
    other: httpx.Client
    ledger: Ledger
    stop: Callable[[], None]

    def send(self, client: httpx.Client, method: str, path: str, key: str | None, json: Any = None) -> Entry:
        return self.ledger.send(client, method, f"/woki/bookings{path}", json=json, key=key)

    def book(self, **more: Any) -> str:
        reply = self.send(self.other, "POST", "", None, WANTED | more)
        assert reply.status == 201, reply.body
        reference: str = reply.body["reference"]
        return reference

    def begin(self, act: Callable[[], Entry], server: int = 0) -> tuple[threading.Thread, list[Entry]]:
        """Send a request to that server, which stops at the next failpoint."""
        self.stop()
        entries: list[Entry] = []
        thread = threading.Thread(target=lambda: entries.append(act()))
        thread.start()
        until_stopped(self.api.servers[server])
        return thread, entries

    def resume(self, thread: threading.Thread, server: int = 0) -> None:
        self.api.servers[server].resume()
        thread.join()

    def refusals(self) -> dict[str, int]:
        """Return the counted refusals: door and reason -> count."""
        with redis.Redis.from_url(self.services.redis.url, decode_responses=True) as client:
            hashes = [client.hgetall(key) for key in client.keys("refused:G:*")]
        return {field: int(count) for counts in hashes for field, count in counts.items()}


RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND (state <> 'idle' OR EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid))"
)


POSTS = 'http_requests_total{method="POST"'


def until_idle(services: Services) -> None:
    assert until(lambda: not value(services, RUNNING))


def answered_posts(client: httpx.Client) -> int:
    """Return how many POST requests all web processes have answered."""
    lines = client.get("/metrics").text.splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(POSTS))


@contextmanager
def house(*points: str, without: str = "") -> Iterator[House]:
    with private_services() as services:
        flag = services.folder / "stop-here"
        armed = ",".join(f"{point}=stop:{flag}" for point in points)
        environment = SETTINGS | {"FAULT_POINTS": armed, "FAULT_WITHOUT": without}
        with (
            api_servers(2, services=services, environment=environment) as api,
            clients(api, 2, timeout=30) as (first, other),
        ):
            set_up(other, "G", TABLES)
            yield House(services, api, first, other, Ledger(), flag.touch)


@dataclass(frozen=True)
class Shape:
    """A request that is refused until a table is freed for it."""

    method: str
    path: str
    json: dict[str, Any] | None
    refused: str
    took: str
    """SQL that counts the effect."""


CREATE = Shape(
    "POST", "", WANTED, "CONFLICT",
    "SELECT count(*) FROM bookings_booking WHERE status = 'CONFIRMED' AND party_size = 2",
)  # fmt: skip
CHANGE = Shape(
    "PATCH", "/{mine}", {"tableIds": ["G1"]}, "CONFLICT",
    "SELECT count(*) FROM bookings_booking WHERE status = 'CONFIRMED' AND table_ids = ARRAY['G1']::varchar[]",
)  # fmt: skip
CANCEL = Shape(
    "DELETE", "/{mine}", None, "INVALID_TRANSITION",
    "SELECT count(*) FROM bookings_booking WHERE status = 'CANCELLED' AND party_size = 3",
)  # fmt: skip
SHAPES = {"create": CREATE, "change": CHANGE, "cancel": CANCEL}


def race(shape: Shape, without: str = "") -> tuple[Entry, Entry, Entry, int, int]:
    """Return the entries of repeat, first request and later repeat, and the effects before and after the latter."""
    with house("lock-taken", without=without) as place:
        taker = place.book(partySize=4)
        mine = place.book(partySize=3, tableIds=["G2"])
        path = shape.path.format(mine=mine)
        if shape is CANCEL:
            sql(place.services, "UPDATE bookings_booking SET status = 'NO_SHOW' WHERE reference = %s", [mine])
        thread, entries = place.begin(lambda: place.send(place.first, shape.method, path, "k", shape.json))
        until_locks_ran_out(place.services)
        repeat = place.send(place.other, shape.method, path, "k", shape.json)
        if shape is CANCEL:
            sql(
                place.services,
                "UPDATE bookings_booking SET status = 'CONFIRMED' WHERE reference = %s",
                [mine],
            )
        else:
            assert place.send(place.other, "DELETE", f"/{taker}", None).status == 204
        place.resume(thread)
        before = value(place.services, shape.took)
        later = place.send(place.other, shape.method, path, "k", shape.json)
        return repeat, entries[0], later, before, value(place.services, shape.took)


@pytest.mark.parametrize("name", SHAPES)
def test_a_refused_request_never_takes_effect_later(name: str) -> None:
    shape = SHAPES[name]
    repeat, first, later, before, after = race(shape)
    assert (repeat.status, repeat.body["error"]) == (409, shape.refused)
    assert (first.status, first.body["error"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert before == 0
    # A later repeat contradicts nothing that its client was told.
    assert (later.status // 100, "idempotent-replayed" in later.headers, after) == (2, False, 1)


@pytest.mark.parametrize("name", SHAPES)
def test_canary_without_the_mark_the_refused_request_takes_effect(name: str) -> None:
    repeat, first, _, before, _ = race(SHAPES[name], without="refusals")
    assert (repeat.status, first.status // 100, before) == (409, 2, 1)


def unread(without: str = "") -> tuple[Entry, int]:
    """Leave the first request unread at a stopped process; its client gives up and another process refuses it."""
    with house("lock-taken", without=without) as place:
        taker = place.book(partySize=4)
        assert place.first.get("/api/v1/woki/bookings/nobody").status_code == 404
        time.sleep(1.5)
        place.api.servers[0].pause()
        with httpx.Client(base_url=place.api.urls[0], timeout=0.5, trust_env=False) as impatient:
            unheard = place.send(impatient, "POST", "", "k", WANTED)
        refused = place.send(place.other, "POST", "", "k", WANTED)
        assert (unheard.status, refused.status, refused.body["error"]) == (0, 409, "CONFLICT")
        assert place.send(place.other, "DELETE", f"/{taker}", None).status == 204
        before = answered_posts(place.other)
        place.api.servers[0].resume()
        # The client does not receive the response, but it is counted.
        assert until(lambda: answered_posts(place.other) > before)
        until_idle(place.services)
        return refused, value(place.services, CREATE.took)


def test_a_delayed_request_whose_repeat_was_refused_does_not_book() -> None:
    assert unread()[1] == 0


def test_canary_without_the_mark_the_delayed_request_books() -> None:
    assert unread(without="refusals")[1] == 1


def overtake() -> tuple[Entry, Entry, int, dict[str, int]]:
    """One is refused and stopped before it says so; its twin, which waited, finds room that was made meanwhile."""
    with house("refused") as place:
        taker = place.book(partySize=4)
        thread, entries = place.begin(lambda: place.send(place.first, "POST", "", "k", WANTED))
        assert place.send(place.other, "DELETE", f"/{taker}", None).status == 204
        twin = place.send(place.other, "POST", "", "k", WANTED)
        place.resume(thread)
        return entries[0], twin, value(place.services, CREATE.took), place.refusals()


def test_a_refusal_gives_way_to_the_booking_of_a_twin_that_commits_meanwhile() -> None:
    refused, twin, bookings, counted = overtake()
    assert (twin.status, refused.status, bookings) == (201, 201, 1)
    assert refused.body == twin.body
    assert refused.headers["idempotent-replayed"] == "true"
    assert counted == {}


def test_a_refusal_while_a_twin_still_runs_is_reported_as_in_progress_and_not_counted() -> None:
    with house("refused", "booking-written") as place:
        taker = place.book(partySize=4)
        first, entries = place.begin(lambda: place.send(place.first, "POST", "", "k", WANTED))
        assert place.send(place.other, "DELETE", f"/{taker}", None).status == 204
        twin, more = place.begin(lambda: place.send(place.other, "POST", "", "k", WANTED), server=1)
        place.resume(first)
        assert (entries[0].status, entries[0].body["error"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
        assert place.refusals() == {}
        place.resume(twin, server=1)
        assert more[0].status == 201
        again = place.send(place.first, "POST", "", "another key", WANTED)
        assert (again.body["error"], place.refusals()) == ("CONFLICT", {"booking:FULL": 1})
