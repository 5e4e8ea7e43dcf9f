"""The clients of the proofs, which record what they did; proofs rely on these records, SQL and logs only."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from tests.processes import Api, Services

ADMIN = {"X-Admin-Secret": "development-only-admin-secret"}

OVERLAPS = """
SELECT count(*) FROM bookings_allocation a JOIN bookings_allocation b
  ON a.table_id = b.table_id AND a.id < b.id AND a.period && b.period
WHERE a.active AND b.active
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
WITHOUT_CONSTRAINT = (
    "ALTER TABLE bookings_allocation DROP CONSTRAINT allocation_never_overlaps, "
    "DROP CONSTRAINT allocation_promised_once"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: times are ``time.monotonic`` seconds; status 0 means that there was no response."""

    operation: str
    key: str | None
    began: float
    ended: float
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class Ledger:
    """Sends requests and keeps an entry of each; safe to use from many threads."""

    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        *,
        json: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Entry:
        all_headers = dict(headers or {}) | ({"Idempotency-Key": key} if key else {})
        began = time.monotonic()
        status, body, received = 0, None, httpx.Headers()
        with contextlib.suppress(httpx.TransportError):
            answer = client.request(method, f"/api/v1{path}", json=json, headers=all_headers)
            status, received = answer.status_code, answer.headers
            body = answer.json() if answer.content else None
        entry = Entry(f"{method} {path}", key, began, time.monotonic(), status, body, received)
        with self._lock:
            self.entries.append(entry)
        return entry

    def statuses(self) -> Counter[int]:
        return Counter(entry.status for entry in self.entries)


@contextlib.contextmanager
def clients(api: Api, count: int, *, timeout: float = 30) -> Iterator[list[httpx.Client]]:
    """Yield ``count`` clients, spread evenly over the API's processes."""
    urls = itertools.cycle(api.urls)
    new_clients = [httpx.Client(base_url=next(urls), timeout=timeout, trust_env=False) for _ in range(count)]
    try:
        yield new_clients
    finally:
        for client in new_clients:
            client.close()


def run_concurrently(acts: Sequence[Callable[[], Entry]]) -> list[Entry]:
    """Run all functions concurrently, each on a thread that starts when all are ready."""
    barrier = threading.Barrier(len(acts))

    def act(one: Callable[[], Entry]) -> Entry:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))


def percentile(entries: Iterable[Entry], share: float) -> float:
    """Return the milliseconds within which ``share`` of the entries were answered."""
    times = sorted(entry.seconds * 1000 for entry in entries)
    return times[min(int(len(times) * share), len(times) - 1)]


def sql(services: Services, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Query or change the proof's own database."""
    with psycopg.connect(services.postgres.url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def value(services: Services, statement: str, values: Sequence[object] = ()) -> Any:
    ((only,),) = sql(services, statement, values)
    return only


def set_up(
    client: httpx.Client,
    restaurant: str,
    sectors: Mapping[str, Mapping[str, tuple[int, int]]],
    *,
    windows: Sequence[tuple[str, str]] = (("12:00", "16:00"), ("20:00", "23:45")),
    timezone: str = "America/Argentina/Buenos_Aires",
) -> None:
    """Create a restaurant with sectors of tables (id -> smallest and largest party), by the set-up endpoints."""
    body: dict[str, Any] = {
        "id": restaurant,
        "name": restaurant,
        "timezone": timezone,
        "windows": [{"start": start, "end": end} for start, end in windows],
    }
    posts: list[tuple[str, dict[str, Any]]] = [("restaurants", body)]
    for sector, tables in sectors.items():
        posts.append(("sectors", {"id": sector, "restaurantId": restaurant, "name": sector}))
        posts += [
            ("tables", {"id": table, "sectorId": sector, "capacityMin": least, "capacityMax": most})
            for table, (least, most) in tables.items()
        ]
    for path, json in posts:
        answer = client.post(f"/api/v1/admin/{path}", json=json, headers=ADMIN)
        assert answer.status_code == 201, answer.text
