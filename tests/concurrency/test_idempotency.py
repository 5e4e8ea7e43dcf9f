"""P6: one effect per Idempotency-Key, over processes, kills and twins."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.faults.test_locks import until_stopped
from tests.ledger import Entry, Ledger, clients, run_concurrently, set_up, sql, value
from tests.processes import Api, Services, api_servers, private_services

pytestmark = pytest.mark.fault

BOOKINGS = "SELECT count(*) FROM bookings_booking"


def body(**more: Any) -> dict[str, Any]:
    return {
        "restaurantId": "I",
        "sectorId": "IS",
        "partySize": 2,
        "durationMinutes": 60,
        "date": "2025-11-01",
        "guestName": "Ana",
    } | more


TABLES = {"IS": {f"I{number}": (1, 4) for number in range(1, 13)}}


def book(ledger: Ledger, client: httpx.Client, key: str, **more: Any) -> Entry:
    return ledger.send(client, "POST", "/woki/bookings", json=body(**more), key=key)


def twins(without: str) -> tuple[list[Entry], int]:
    """Send ten parallel requests with one key to three processes; return them and the number of bookings."""
    ledger = Ledger()
    with (
        private_services() as services,
        api_servers(3, services=services, environment={"FAULT_WITHOUT": without}) as api,
        clients(api, 10) as ten,
    ):
        set_up(ten[0], "I", TABLES)
        entries = run_concurrently([lambda client=client: book(ledger, client, "twin") for client in ten])  # type: ignore[misc]
        return entries, value(services, BOOKINGS)


def test_ten_parallel_twins_get_the_one_booking() -> None:
    entries, bookings = twins("")
    assert Counter(entry.status for entry in entries) == {201: 10}
    assert (len({entry.body["id"] for entry in entries}), bookings) == (1, 1)
    assert sum(entry.headers.get("idempotent-replayed") == "true" for entry in entries) == 9


def test_canary_without_idempotency_the_twins_book_ten_times() -> None:
    entries, bookings = twins("idempotency")
    assert (len({entry.body["id"] for entry in entries}), bookings) == (10, 10)


@pytest.mark.parametrize(("point", "first_took"), [("booking-written", False), ("booking-committed", True)])
def test_request_killed_before_or_after_its_commit_books_once_when_repeated(
    point: str, first_took: bool
) -> None:
    ledger = Ledger()
    with private_services() as services:
        flag = services.folder / "die-here"
        environment = {"FAULT_POINTS": f"{point}=kill:{flag}"}
        with api_servers(2, services=services, environment=environment) as api, clients(api, 2) as (a, b):
            set_up(b, "I", TABLES)
            flag.touch()
            first = book(ledger, a, "k")
            again = book(ledger, b, "k")
            assert (first.status, again.status) == (0, 201)
            assert ("idempotent-replayed" in again.headers) is first_took
            assert value(services, BOOKINGS) == 1
            assert value(services, "SELECT id::text FROM bookings_booking") == again.body["id"]


def test_twin_of_a_running_request_is_refused_and_gets_its_result_later() -> None:
    ledger = Ledger()
    with private_services() as services:
        flag = services.folder / "stop-here"
        environment = {"FAULT_POINTS": f"booking-written=stop:{flag}", "LOCK_WAIT_MS": "700"}
        with api_servers(2, services=services, environment=environment) as api, clients(api, 2) as (a, b):
            set_up(b, "I", TABLES)
            flag.touch()
            first: list[Entry] = []
            thread = threading.Thread(target=lambda: first.append(book(ledger, a, "k")))
            thread.start()
            until_stopped(api.servers[0])
            twin = book(ledger, b, "k")
            api.servers[0].resume()
            thread.join()
            later = book(ledger, b, "k")
    assert (twin.status, twin.body["error"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert (first[0].status, later.status) == (201, 201)
    assert later.body == first[0].body


def test_keys_with_another_body_or_caller_or_too_long_or_expired() -> None:
    ledger = Ledger()
    with (
        private_services() as services,
        api_servers(2, services=services) as api,
        clients(api, 2) as (a, b),
    ):
        set_up(a, "I", TABLES)
        first = book(ledger, a, "k")
        other_body = book(ledger, b, "k", partySize=3)
        other_caller = ledger.send(
            b, "POST", "/woki/bookings", json=body(), key="k", headers={"X-API-Key": api_key(services)}
        )
        longest = book(ledger, a, "x" * 255)
        too_long = book(ledger, a, "x" * 256)
        sql(services, "UPDATE bookings_idempotencykey SET expires_at = expires_at - interval '24 hours'")
        a_day_later = book(ledger, b, "k")
        replayed = book(ledger, a, "k")
    assert (other_body.status, other_body.body["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (other_caller.status, longest.status) == (201, 201)
    assert (too_long.status, too_long.body["issues"][0]["path"]) == (400, "Idempotency-Key")
    assert len({entry.body["id"] for entry in (first, other_caller, longest, a_day_later)}) == 4
    assert (a_day_later.status, replayed.body["id"]) == (201, a_day_later.body["id"])


HOOK = {"restaurantId": "I", "url": "http://127.0.0.1:8080/hook", "events": ["booking.created"]}
SHUT = {"start": "2099-11-01T20:00:00-03:00", "end": "2099-11-01T21:00:00-03:00"}
MANAGED = {
    "restaurant": ("/restaurants", {"name": "Nueva", "timezone": "Europe/Madrid"}, "restaurants_restaurant"),
    "block": ("/tables/I1/blocks", SHUT, "bookings_tableblock"),
    "webhook": ("/webhooks", HOOK, "webhooks_webhook"),
}


@contextmanager
def managed(**environment: str) -> Iterator[tuple[Services, Api, dict[str, str]]]:
    """Yield three processes, a restaurant, and credentials to manage it."""
    with (
        private_services() as services,
        api_servers(3, services=services, environment={"WEBHOOK_ALLOW_PRIVATE": "true"} | environment) as api,
    ):
        with httpx.Client(base_url=api.urls[0], timeout=30, trust_env=False) as client:
            set_up(client, "I", TABLES)
        yield services, api, {"X-API-Key": api_key(services)}


@pytest.mark.parametrize("without", ["", "idempotency"], ids=["keyed", "canary"])
def test_ten_parallel_twins_of_a_management_request_take_effect_once(without: str) -> None:
    ledger = Ledger()
    with managed(FAULT_WITHOUT=without) as (services, api, who), clients(api, 10) as ten:
        for name, (path, json, table) in MANAGED.items():
            count = f"SELECT count(*) FROM {table}"
            before = value(services, count)
            entries = run_concurrently(
                [
                    lambda client=client, path=path, json=json, name=name: ledger.send(  # type: ignore[misc]
                        client, "POST", path, json=json, key=name, headers=who
                    )
                    for client in ten
                ]
            )
            made = value(services, count) - before
            if without:
                # The table is blocked once in any case: a second block would overlap the first.
                assert made == (1 if name == "block" else 10), name
                continue
            assert Counter(entry.status for entry in entries) == {201: 10}, name
            assert (len({repr(entry.body) for entry in entries}), made) == (1, 1), name
            replayed = [entry.headers.get("idempotent-replayed") for entry in entries]
            assert Counter(replayed) == {"true": 9, None: 1}, name


def test_management_request_killed_before_its_commit_writes_nothing_and_may_be_repeated() -> None:
    ledger = Ledger()
    with ExitStack() as stack:
        flag = Path(stack.enter_context(TemporaryDirectory())) / "die-here"
        services, api, who = stack.enter_context(managed(FAULT_POINTS=f"answer-kept=kill:{flag}"))
        a, b, _ = stack.enter_context(clients(api, 3))
        flag.touch()
        first = ledger.send(a, "POST", "/webhooks", json=HOOK, key="k", headers=who)
        left = [value(services, f"SELECT count(*) FROM {table}") for table in ("webhooks_webhook", KEPT)]
        again = ledger.send(b, "POST", "/webhooks", json=HOOK, key="k", headers=who)
        replayed = ledger.send(b, "POST", "/webhooks", json=HOOK, key="k", headers=who)
        assert (first.status, left) == (0, [0, 0])
        assert (again.status, "idempotent-replayed" in again.headers) == (201, False)
        assert replayed.body == again.body
        assert again.body["secret"].startswith("whsec_")
        ((kept,),) = sql(services, f"SELECT body FROM {KEPT}")
        assert again.body["secret"] not in kept


def test_twin_of_a_running_management_request_is_refused() -> None:
    ledger = Ledger()
    with ExitStack() as stack:
        flag = Path(stack.enter_context(TemporaryDirectory())) / "stop-here"
        _, api, who = stack.enter_context(
            managed(FAULT_POINTS=f"answer-kept=stop:{flag}", LOCK_WAIT_MS="700")
        )
        a, b, _ = stack.enter_context(clients(api, 3))
        flag.touch()
        first: list[Entry] = []

        def ask(client: httpx.Client) -> Entry:
            return ledger.send(client, "POST", "/webhooks", json=HOOK, key="k", headers=who)

        thread = threading.Thread(target=lambda: first.append(ask(a)))
        thread.start()
        until_stopped(api.servers[0])
        twin = ask(b)
        api.servers[0].resume()
        thread.join()
        later = ask(b)
    assert (twin.status, twin.body["error"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert (first[0].status, later.status, later.body) == (201, 201, first[0].body)


KEPT = "bookings_idempotencykey"


def api_key(services: Services) -> str:
    """Create an API key of another caller by SQL."""
    token = "wk_" + "proof234" + "k" * 44
    sql(
        services,
        "INSERT INTO access_apikey (id, name, prefix, digest, role, created_at) "
        "VALUES (gen_random_uuid(), 'proof', 'proof234', sha256(%s::bytea), 'super_admin', now())",
        [token.encode()],
    )
    return token
