"""The real worker: a Celery process that is woken by an event's commit and sends until nothing is due."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from django.db import OperationalError, connection, connections
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver
from webhooks import fanout, housekeeping, sender, tasks
from webhooks.models import Attempt, Delivery
from wokibrain.core import env
from wokibrain.events import store
from wokibrain.management.commands.run import DELIVER

pytestmark = pytest.mark.django_db(transaction=True)


def database_url() -> str:
    """The test's own database, as another process names it."""
    at = connection.settings_dict
    return (
        f"postgresql://{at['USER']}@/{at['NAME']}?host={quote(at['HOST'], safe='')}&port={at['PORT'] or 5432}"
    )


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"DATABASE_URL": database_url(), "WEBHOOK_ALLOW_PRIVATE": "1"}
    process = subprocess.Popen([sys.executable, *DELIVER], cwd=env.ROOT, env=environment, process_group=0)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.fault
def test_worker_delivers_retries_and_makes_up_for_a_lost_call(
    worker: subprocess.Popen[bytes], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.webhook(receiver.url)
    support.happen()
    assert within(20, lambda: len(receiver.requests) == 1)
    # Awake now: the next is there at once.
    began = time.monotonic()
    support.happen()
    assert within(5, lambda: len(receiver.requests) == 2)
    assert receiver.requests[1].at - began < 1

    receiver.answer = Answer(500)
    support.happen()
    assert within(15, lambda: len(receiver.requests) == 6)
    at = [request.at - receiver.requests[2].at for request in receiver.requests[2:]]
    assert at == [pytest.approx(due, abs=0.5) for due in (0, 1, 2, 4)]

    receiver.answer = Answer(200)
    receiver.requests.clear()
    assert within(10, lambda: not pump_runs())
    monkeypatch.setattr(tasks, "call", lambda **_: None)
    support.happen()
    assert within(15, lambda: len(receiver.requests) == 1)

    assert within(5, lambda: Delivery.objects.filter(status="PENDING").count() == 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def pump_runs() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s", [sender.PUMP_LOCK]
        )
        return bool(cursor.fetchone()[0])


def test_only_as_many_pumps_run_as_may(settings: Settings, receiver: Receiver) -> None:
    settings.WEBHOOK_PUMPS = 1
    found: list[bool] = []

    def another() -> None:
        with sender._place() as place:
            found.append(place)
        connections.close_all()

    with sender._place() as mine:
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
    assert (mine, found) == (True, [False])
    with sender._place() as free_again:
        assert free_again


@pytest.mark.fault
def test_frozen_pump_loses_its_place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_PUMPS = 1
    monkeypatch.setattr(sender, "SILENCE", "200ms")
    inside, go_on = threading.Event(), threading.Event()
    ended: list[type[BaseException]] = []

    def freeze() -> None:
        try:
            with sender._place():
                inside.set()
                go_on.wait(10)
        except OperationalError as error:
            ended.append(type(error))
        connections.close_all()

    frozen = threading.Thread(target=freeze)
    frozen.start()
    assert inside.wait(5)

    def taken() -> bool:
        with sender._place() as place:
            return place

    assert within(5, taken)
    go_on.set()
    frozen.join()
    assert ended == [OperationalError]


def test_pump_ends_when_nothing_is_due_and_hands_over_when_something_came_late(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LINGER", 0.0)
    monkeypatch.setattr(sender, "LIFE", 0.0)
    calls: list[str] = []
    support.webhook(receiver.url)
    support.happen()
    sender.run(lambda: calls.append("called"))
    assert (calls, receiver.requests) == (["called"], [])
    monkeypatch.setattr(sender, "LIFE", 5.0)
    calls.clear()
    sender.run(lambda: calls.append("called"))
    assert (calls, len(receiver.requests)) == ([], 1)


def test_pump_that_is_stopped_finishes_what_is_under_way(receiver: Receiver) -> None:
    receiver.answer = Answer(200, delay=0.3)
    support.webhook(receiver.url)
    support.happen()
    timer = threading.Timer(0.15, sender.STOP.set)
    timer.start()
    try:
        sender.run(lambda: None)
    finally:
        sender.STOP.clear()
    assert Attempt.objects.get().status_code == 200
    assert Delivery.objects.get().status == "SUCCEEDED"


def test_many_events_call_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[None] = []
    monkeypatch.setattr(tasks.send_due, "apply_async", lambda **_: queued.append(None))
    from django_redis import get_redis_connection

    get_redis_connection("default").delete("webhooks:woken")
    support.webhook("https://example.com/")
    for _ in range(5):
        support.happen()
    assert len(queued) == 1
    tasks.call(force=True)
    assert len(queued) == 2


def test_queue_that_is_away_loses_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(tasks.send_due, "apply_async", away)
    monkeypatch.setattr(tasks, "ask", lambda question: True)
    support.webhook("https://example.com/")
    support.happen()
    assert Delivery.objects.get().status == "PENDING"
    assert housekeeping.sweep() is True


def test_two_fan_outs_of_one_event_at_a_time_make_one_delivery() -> None:
    from tests.wokibrain.events import support as events

    hooks = [support.webhook(f"https://example.com/{number}") for number in range(3)]
    event = store.Envelope.from_row(events.append())
    together = threading.Barrier(4)

    def fan_out() -> None:
        from django.db import transaction

        together.wait()
        with transaction.atomic():
            fanout.fan_out([event])
        connections.close_all()

    threads = [threading.Thread(target=fan_out) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Delivery.objects.values_list("webhook_id", flat=True)) == sorted(hook.pk for hook in hooks)
