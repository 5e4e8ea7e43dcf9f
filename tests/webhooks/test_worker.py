"""The real worker: a Celery process that an event's commit wakes, and that sends until nothing is due."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.db import OperationalError, connection, connections
from pytest_django import Settings

from tests.waiting import PATIENCE, until
from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver, Request
from webhooks import fanout, housekeeping, sender, tasks
from webhooks.models import Attempt, Delivery
from wokibrain.core import env
from wokibrain.events import envelope
from wokibrain.management.commands.run import DELIVER

pytestmark = pytest.mark.django_db(transaction=True)


def database_url() -> str:
    """Return the URL of the test's database for another process."""
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


@pytest.mark.fault
def test_worker_delivers_retries_and_recovers_from_a_lost_wake_up(
    worker: subprocess.Popen[bytes], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.webhook(receiver.url)
    support.publish_event()
    assert until(lambda: len(receiver.requests) == 1)
    awake = pumps()
    # Awake now, it takes the next delivery without a wake-up.
    with monkeypatch.context() as uncalled:
        uncalled.setattr(tasks, "wake_sender", lambda **_: None)
        support.publish_event()
    assert until(lambda: len(receiver.requests) == 2)

    receiver.answer = Answer(500)
    failing = support.publish_event()
    tries = Attempt.objects.filter(delivery__message_id=failing.event_id).order_by("number")
    assert until(lambda: tries.count() == 4)
    started = list(tries.values_list("started_at", flat=True))
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(started)]
    # The upper bounds allow for a busy machine; it is prompt because no other sender had to be started.
    assert all(due <= pause < 2 * due + 4 for due, pause in zip((1, 1, 2), pauses, strict=True)), pauses
    assert (len(receiver.requests), pumps()) == (6, awake)

    receiver.answer = Answer(200)
    receiver.requests.clear()
    assert until(lambda: not pumps())
    monkeypatch.setattr(tasks, "wake_sender", lambda **_: None)
    support.publish_event()
    assert until(lambda: len(receiver.requests) == 1)

    assert until(lambda: Delivery.objects.filter(status="PENDING").count() == 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0


def pumps() -> list[int]:
    """Return the database sessions of the running senders."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s", [sender.PUMP_LOCK]
        )
        return [pid for (pid,) in cursor.fetchall()]


def test_senders_are_limited_in_number(settings: Settings, receiver: Receiver) -> None:
    settings.WEBHOOK_PUMPS = 1
    places: list[bool] = []

    def another() -> None:
        with sender._place() as place:
            places.append(place)
        connections.close_all()

    with sender._place() as mine:
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
    assert (mine, places) == (True, [False])
    with sender._place() as free_again:
        assert free_again


@pytest.mark.fault
def test_frozen_sender_loses_its_place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_PUMPS = 1
    monkeypatch.setattr(sender, "MAX_SILENCE", "200ms")
    inside, go_on = threading.Event(), threading.Event()
    ended: list[type[BaseException]] = []

    def freeze() -> None:
        try:
            with sender._place():
                inside.set()
                go_on.wait(PATIENCE)
        except OperationalError as error:
            ended.append(type(error))
        connections.close_all()

    frozen = threading.Thread(target=freeze)
    frozen.start()
    assert inside.wait(PATIENCE)

    def take_place() -> bool:
        with sender._place() as place:
            return place

    assert until(take_place)
    go_on.set()
    frozen.join()
    assert ended == [OperationalError]


def test_sender_ends_when_nothing_is_due_and_starts_another_for_late_work(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(sender, "MAX_RUN_SECONDS", 0.0)
    calls: list[str] = []
    support.webhook(receiver.url)
    support.publish_event()
    sender.run(lambda: calls.append("called"))
    assert (calls, receiver.requests) == (["called"], [])
    monkeypatch.setattr(sender, "MAX_RUN_SECONDS", 5.0)
    calls.clear()
    sender.run(lambda: calls.append("called"))
    assert (calls, len(receiver.requests)) == ([], 1)


def test_stopped_sender_finishes_running_attempts(receiver: Receiver) -> None:
    def stop_meanwhile(_: Request) -> Answer:
        sender.STOP.set()
        return Answer(200, delay=0.3)

    receiver.answer = stop_meanwhile
    support.webhook(receiver.url)
    support.publish_event()
    try:
        sender.run(lambda: None)
    finally:
        sender.STOP.clear()
    assert Attempt.objects.get().status_code == 200
    assert Delivery.objects.get().status == "SUCCEEDED"


def test_many_events_wake_one_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[None] = []
    monkeypatch.setattr(tasks.send_due, "apply_async", lambda **_: queued.append(None))
    monkeypatch.setattr(tasks, "WAKE_INTERVAL_MS", 60_000)
    from django_redis import get_redis_connection

    get_redis_connection("default").delete("webhooks:woken")
    support.webhook("https://example.com/")
    for _ in range(5):
        support.publish_event()
    assert len(queued) == 1
    tasks.wake_sender(force=True)
    assert len(queued) == 2
    get_redis_connection("default").delete("webhooks:woken")


def test_no_delivery_is_lost_without_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(tasks.send_due, "apply_async", away)
    monkeypatch.setattr(tasks, "ask", lambda question: True)
    support.webhook("https://example.com/")
    support.publish_event()
    assert Delivery.objects.get().status == "PENDING"
    assert housekeeping.sweep() is True


def test_two_concurrent_fan_outs_of_one_event_make_one_delivery() -> None:
    from tests.wokibrain.events import support as events

    hooks = [support.webhook(f"https://example.com/{number}") for number in range(3)]
    event = envelope.Envelope.from_row(events.append())
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
