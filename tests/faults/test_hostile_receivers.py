"""P12: receivers that are slow, endless or broken cost a bounded time and memory, and nobody else anything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import psutil
import pytest
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.support import Receiver
from webhooks import delivery, pump
from webhooks.models import Attempt, Delivery, Message
from wokibrain import clock

pytestmark = [pytest.mark.django_db, pytest.mark.fault, pytest.mark.usefixtures("private")]

HEALTHY = 30
EVERY = 0.15


@pytest.fixture
def private(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True


HOSTILE: dict[str, tuple[set[str], float]] = {
    "one_byte_a_second": ({"timeout"}, 11),
    "slow_body": ({"timeout"}, 11),
    "says_nothing": ({"timeout"}, 11),
    "endless_body": ({"200"}, 2),
    "gzip_bomb": ({"200"}, 2),
    "header_flood": ({"too_large", "protocol"}, 2),
    "one_endless_header": ({"too_large", "protocol"}, 2),
    "interim_flood": ({"too_large", "protocol"}, 2),
    "chunk_extension_flood": ({"too_large", "protocol"}, 2),
    "reset": ({"protocol"}, 2),
    "closes": ({"protocol"}, 2),
    "not_http": ({"protocol"}, 2),
}
"""Who -> what is recorded of it, and the most seconds it may take."""


@pytest.fixture
def hostile() -> Iterator[dict[str, str]]:
    """The URLs of receivers that mean harm, by what they do."""
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
    """A port whose queue is full: the system does not even answer the connection's first packet."""
    with socket.socket() as listening, ExitStack() as fillers:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def spread_out(start: datetime) -> dict[str, float]:
    """Make the events happen EVERY seconds, for all webhooks. Returns when each is due, in seconds from ``start``."""
    due = {}
    for number, message_id in enumerate(
        Message.objects.order_by("created_at", "id").values_list("pk", flat=True)
    ):
        due[str(message_id)] = number * EVERY
        Delivery.objects.filter(message_id=message_id).update(
            due_at=start + timedelta(seconds=number * EVERY)
        )
    return due


def test_hostile_receivers_are_bounded_and_delay_nobody(settings: Settings, hostile: dict[str, str]) -> None:
    settings.WEBHOOK_RETRY_PAUSES = []
    settings.WEBHOOK_QUICK_ATTEMPTS = [0]
    with ExitStack() as stack:
        limits: dict[UUID, tuple[str, set[str], float]] = {}
        for name, (recorded, most) in HOSTILE.items():
            hook = support.webhook(hostile[name])
            limits[hook.pk] = (name, recorded, most)
        hook = support.webhook(stack.enter_context(never_accepts()))
        limits[hook.pk] = ("never_accepts", {"timeout"}, 11)
        healthy = stack.enter_context(Receiver())
        support.webhook(healthy.url)
        for _ in range(HEALTHY):
            support.happen()
        process = psutil.Process(os.getpid())
        before = process.memory_info().rss
        began, real = clock.now(), time.monotonic()
        due = spread_out(began)
        with pump.Sender(pump.make_client) as sender:
            peak = before
            while time.monotonic() - real < 11.5:
                pump._turn(sender)
                peak = max(peak, process.memory_info().rss)
        assert len(healthy.requests) == HEALTHY
        waits = sorted(request.at - real - due[request.headers["webhook-id"]] for request in healthy.requests)
    assert waits[int(HEALTHY * 0.95)] <= 2.0
    assert peak - before < 50 * 2**20
    seen = {
        (attempt.delivery.webhook_id, attempt.error or str(attempt.status_code)): attempt.milliseconds / 1000
        for attempt in Attempt.objects.select_related("delivery").filter(
            delivery__webhook_id__in=list(limits)
        )
    }
    for (webhook_id, came), took in seen.items():
        name, expected, most = limits[webhook_id]
        assert came in expected, name
        assert took <= most, name
    assert {webhook_id for webhook_id, _ in seen} == set(limits)
    assert max(Attempt.objects.values_list("response_head", flat=True), key=len) == "x" * 2048


def test_without_a_deadline_the_proof_would_see_it(settings: Settings, hostile: dict[str, str]) -> None:
    """The canary: the slow one is not over in time when nothing ends it."""
    settings.WEBHOOK_TIMEOUT_SECONDS = 60
    support.webhook(hostile["slow_body"])
    support.happen()
    with pump.Sender(pump.make_client) as sender:
        real = time.monotonic()
        while time.monotonic() - real < 11.5:
            assert pump._turn(sender) == 0
            time.sleep(0.05)
    assert Delivery.objects.get().leased_until is not None
    assert Attempt.objects.count() == 0


@pytest.mark.slow
def test_hundred_hanging_endpoints_do_not_delay_a_healthy_one(hostile: dict[str, str]) -> None:
    with ExitStack() as stack:
        for number in range(100):
            support.webhook(f"{hostile['says_nothing']}{number}")
        healthy = stack.enter_context(Receiver())
        support.webhook(healthy.url)
        for _ in range(20):
            support.happen()
        real = time.monotonic()
        with pump.Sender(pump.make_client) as sender:
            while len(healthy.requests) < 20 and time.monotonic() - real < 30:
                pump._turn(sender)
        waits = sorted(request.at - real for request in healthy.requests)
    assert len(waits) == 20
    assert waits[18] <= 2.0
    assert delivery.next_due() is not None
