"""P12: slow, endless or broken receivers cost bounded time and memory, and delay no other receiver."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from pytest_django import Settings

from tests.faults.receivers import Receivers, receivers
from tests.waiting import PATIENCE
from tests.webhooks import support
from webhooks import sender
from webhooks.models import Attempt, Delivery
from wokibrain.core import clock

pytestmark = [pytest.mark.django_db, pytest.mark.fault, pytest.mark.usefixtures("private")]

HEALTHY = 30
"""How many events."""
EVERY = 0.15
OTHER_ENDPOINTS = 3
PROMISED_TURNS = int(2.0 / sender.POLL_SECONDS)
"""How many turns of the sender a delivery to those who answer may take: 2 s of a machine that is not busy.

A turn lasts POLL seconds where nothing happens, and longer on a machine that is slow in everything.
"""
TIMEOUT = 5.0
OVER_WITHIN = 2 * TIMEOUT
"""Seconds: the deadline, and as much again for a machine that is slow to notice. By themselves they last a minute."""


@pytest.fixture
def private(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True


HOSTILE: dict[str, set[str]] = {
    "one_byte_a_second": {"timeout"},
    "slow_body": {"timeout"},
    "says_nothing": {"timeout"},
    "endless_body": {"200"},
    "gzip_bomb": {"200"},
    "header_flood": {"too_large", "protocol"},
    "one_endless_header": {"too_large", "protocol"},
    "interim_flood": {"too_large", "protocol"},
    # On a busy machine the deadline may come before the limit on bytes.
    "chunk_extension_flood": {"too_large", "protocol", "timeout"},
    "reset": {"protocol"},
    "closes": {"protocol"},
    "not_http": {"protocol"},
}
"""Who -> what is recorded of it."""


@pytest.fixture
def hostile() -> Iterator[dict[str, str]]:
    """Return the URLs of hostile receivers by their behaviour."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.hostile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield {
            name: f"http://127.0.0.1:{port}/" for name, port in json.loads(process.stdout.readline()).items()
        }
        process.kill()


@contextmanager
def never_accepts() -> Iterator[str]:
    """Yield a port whose queue is full: the system does not even answer a connection's first packet."""
    with socket.socket() as listening, ExitStack() as fillers:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@contextmanager
def healthy() -> Iterator[Receivers]:
    """Run the other endpoints in a separate process, each with a webhook."""
    with (
        tempfile.TemporaryDirectory() as folder,
        receivers(Path(folder) / "log", OTHER_ENDPOINTS, 0) as there,
    ):
        for url in there.urls:
            support.webhook(url)
        yield there


def happen_over_time() -> tuple[float, dict[str, float]]:
    """Write HEALTHY events, one per EVERY seconds, for all webhooks. Return now, and when each is due after it."""
    events = [str(support.publish_event().event_id) for _ in range(HEALTHY)]
    start, real = clock.now(), time.monotonic()
    due = {event: number * EVERY for number, event in enumerate(events)}
    for event, seconds in due.items():
        Delivery.objects.filter(message_id=event).update(due_at=start + timedelta(seconds=seconds))
    return real, due


class Turns:
    """A sender, and when each of its turns began."""

    def __init__(self, sending: sender.Sender) -> None:
        self.sending = sending
        self.began: list[float] = []

    def turn(self) -> int:
        self.began.append(time.monotonic())
        return sender._turn(self.sending)

    def until(self, over: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE
        while not over():
            self.turn()
            assert time.monotonic() < ends, "it never ends"

    def between(self, earlier: float, later: float) -> int:
        return bisect(self.began, later) - bisect(self.began, earlier)

    def waits(self, there: Receivers, real: float, due: dict[str, float]) -> list[int]:
        """Return the sender's turns from due time to arrival of all deliveries that have arrived, in order."""
        return sorted(
            self.between(real + due[receipt.headers["webhook-id"]], receipt.at)
            for receipt in there.receipts()
            if receipt.headers["webhook-id"] in due
        )


def all_arrived(there: Receivers, due: dict[str, float]) -> bool:
    arrivals = sum(receipt.headers["webhook-id"] in due for receipt in there.receipts())
    return arrivals >= len(due) * len(there.urls)


def p95(turns: Turns, there: Receivers, real: float, due: dict[str, float]) -> int:
    """Return the p95 of the sender's turns from due time to arrival; all deliveries have arrived at all endpoints."""
    waits = turns.waits(there, real, due)
    assert len(waits) == len(due) * len(there.urls)
    print(
        f"turns waited: p50 {waits[len(waits) // 2]}, p95 {waits[int(len(waits) * 0.95)]}, last {waits[-1]}"
    )
    return waits[int(len(waits) * 0.95)]


def test_hostile_receivers_are_bounded_and_delay_no_others(
    settings: Settings, hostile: dict[str, str]
) -> None:
    settings.WEBHOOK_RETRY_PAUSES = []
    settings.WEBHOOK_QUICK_ATTEMPTS = [0]
    settings.WEBHOOK_TIMEOUT_SECONDS = TIMEOUT
    with ExitStack() as stack:
        hooks: dict[UUID, tuple[str, set[str]]] = {}
        for name, outcomes in HOSTILE.items():
            hook = support.webhook(hostile[name])
            hooks[hook.pk] = (name, outcomes)
        hook = support.webhook(stack.enter_context(never_accepts()))
        hooks[hook.pk] = ("never_accepts", {"timeout"})
        endpoints = stack.enter_context(healthy())
        process = psutil.Process(os.getpid())
        before = peak = process.memory_info().rss
        real, due = happen_over_time()
        attempts = Attempt.objects.select_related("delivery").filter(delivery__webhook_id__in=list(hooks))

        def over() -> bool:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            tried_hooks = attempts.values("delivery__webhook_id").distinct().count()
            return tried_hooks == len(hooks) and all_arrived(endpoints, due)

        with sender.Sender(sender.make_client) as sending:
            turns = Turns(sending)
            turns.until(over)
        assert p95(turns, endpoints, real, due) <= PROMISED_TURNS
    assert peak - before < 50 * 2**20
    for attempt in attempts:
        name, expected = hooks[attempt.delivery.webhook_id]
        assert (attempt.error or str(attempt.status_code)) in expected, name
        assert attempt.milliseconds / 1000 <= OVER_WITHIN, name
    assert max(Attempt.objects.values_list("response_head", flat=True), key=len) == "x" * 2048


def test_canary_without_a_deadline_the_check_fails(settings: Settings, hostile: dict[str, str]) -> None:
    """The canary: without a deadline a slow request does not end in time."""
    settings.WEBHOOK_TIMEOUT_SECONDS = 60
    support.webhook(hostile["slow_body"])
    support.publish_event()
    with sender.Sender(sender.make_client) as sending:
        real = time.monotonic()
        while time.monotonic() - real < OVER_WITHIN + 0.5:
            assert sender._turn(sending) == 0
            time.sleep(0.05)
    assert Delivery.objects.get().leased_until is not None
    assert Attempt.objects.count() == 0


@pytest.mark.slow
def test_a_hundred_hanging_endpoints_do_not_delay_the_others(hostile: dict[str, str]) -> None:
    for number in range(100):
        support.webhook(f"{hostile['says_nothing']}{number}")
    with healthy() as endpoints:
        real, due = happen_over_time()
        with sender.Sender(sender.make_client) as sending:
            turns = Turns(sending)
            turns.until(lambda: all_arrived(endpoints, due))
        assert p95(turns, endpoints, real, due) <= PROMISED_TURNS


PLACES = 40


def crowded(hostile: dict[str, str], endpoints: Receivers) -> tuple[Turns, float, dict[str, float]]:
    """Run more hanging endpoints than there are places, beside some that have responded before.

    Ends when all deliveries to the responding ones have arrived, or when the hanging ones give up their places.
    """
    with sender.Sender(sender.make_client) as sending:
        turns = Turns(sending)
        support.publish_event()
        turns.until(lambda: len(endpoints.receipts()) == len(endpoints.urls) and not sending.under_way)
        for number in range(2 * PLACES):
            support.webhook(f"{hostile['says_nothing']}{number}")
        real, due = happen_over_time()
        turns.until(lambda: all_arrived(endpoints, due) or Attempt.objects.filter(error="timeout").exists())
    return turns, real, due


def test_hanging_endpoints_never_take_the_reserved_places(
    hostile: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_UNDER_WAY", PLACES)
    with healthy() as endpoints:
        turns, real, due = crowded(hostile, endpoints)
        assert p95(turns, endpoints, real, due) <= PROMISED_TURNS


def test_canary_without_reserved_places_the_check_fails(
    hostile: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_UNDER_WAY", PLACES)
    monkeypatch.setattr(sender, "_room", lambda sending: (PLACES - sending.under_way, None))
    with healthy() as endpoints:
        turns, real, due = crowded(hostile, endpoints)
        waits = turns.waits(endpoints, real, due)
    assert sum(wait <= PROMISED_TURNS for wait in waits) < len(due) * len(endpoints.urls) * 0.95
