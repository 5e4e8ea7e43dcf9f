"""P7: no event is lost, and the events of an aggregate stay in order, whenever the relay dies.

Short forms here; the long forms (20 kills at each point, 30 s of an open transaction) are marked slow.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from confluent_kafka import Message
from django.db import connection, transaction

from bookings.event_types import BOOKING
from tests.kafka import Broker, Kafka
from tests.pipeline import INSERT, Pipeline, event_row
from tests.processes import Services, private_services
from tests.waiting import PATIENCE
from tests.wokibrain.events import support
from wokibrain.core.ids import uuid7
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent
from wokibrain.events.relay import FAULT_POINTS, Relay

BATCH = 20
VERSIONS = 5


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


class List:
    """An outlet that collects the events."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        self.events += events

    def idle(self) -> None:
        pass


class CursorRelay(Relay):
    """The canary: a relay that remembers the last position instead of querying for unpublished events."""

    last = 0

    def step(self) -> int:
        rows = list(StoredEvent.objects.filter(position__gt=self.last).order_by("position")[: self.batch])
        self.outlet.send([Envelope.from_row(row) for row in rows], None)
        self.last = max((row.position for row in rows), default=self.last)
        return len(rows)


def _inversions(versions: Sequence[tuple[str, int]]) -> int:
    """Count the versions that first came after a later one of their aggregate."""
    highest: dict[str, int] = defaultdict(int)
    distinct: set[tuple[str, int]] = set()
    inversions = 0
    for aggregate_id, version in versions:
        if (aggregate_id, version) not in distinct:
            inversions += version < highest[aggregate_id]
            highest[aggregate_id] = max(highest[aggregate_id], version)
            distinct.add((aggregate_id, version))
    return inversions


def _late_commit(relay: Relay, outlet: List, later: int) -> int:
    """Let an event take its position first and commit last; return how many events were lost."""
    position_taken, finish = threading.Event(), threading.Event()
    early: list[UUID] = []

    def open_long() -> None:
        with transaction.atomic():
            early.append(support.append().event_id)
            position_taken.set()
            finish.wait(PATIENCE)
        connection.close()

    writer = threading.Thread(target=open_long)
    writer.start()
    assert position_taken.wait(PATIENCE)
    ids = set(support.append_many(later))
    while relay.step():
        pass
    finish.set()
    writer.join()
    while relay.step():
        pass
    return len((ids | set(early)) - {event.event_id for event in outlet.events})


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_not_lost() -> None:
    outlet = List()
    assert _late_commit(Relay(outlet), outlet, later=200) == 0
    assert len(outlet.events) == 201


@pytest.mark.django_db(transaction=True)
def test_canary_a_relay_with_a_cursor_loses_it() -> None:
    outlet = List()
    assert _late_commit(CursorRelay(outlet), outlet, later=200) == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_long_transaction_beside_a_thousand_commits_loses_nothing() -> None:
    outlet = List()
    assert _late_commit(Relay(outlet), outlet, later=1_000) == 0


@pytest.mark.django_db(transaction=True)
def test_canary_the_order_check_sees_an_inversion() -> None:
    booking = str(uuid7())
    for version in (1, 2, 3):
        support.append(booking, version)
    outlet = List()
    relay = Relay(outlet, batch=1)
    while relay.step():
        pass
    good = [(event.aggregate_id, event.version) for event in outlet.events]
    assert _inversions(good) == 0
    assert _inversions([good[0], good[2], good[1]]) == 1


def _kill_at_every_point(
    services: Services, broker: Broker, folder: Path, times: int
) -> tuple[list[Message], set[UUID], int]:
    """Write events while relays are killed at each failpoint; return messages, events written and kills."""
    kills = 0
    broker.reset()
    with Pipeline(services, broker.address) as pipeline:
        stop = threading.Event()
        event_ids: set[UUID] = set()

        def write() -> None:
            with pipeline.connect() as link:
                while not stop.is_set():
                    booking = str(uuid7())
                    for version in range(1, VERSIONS + 1):
                        row = event_row(
                            booking, version, "BookingCreated" if version == 1 else "BookingUpdated"
                        )
                        link.execute(INSERT, row)
                        link.commit()
                        event_ids.add(row[0])
                    stop.wait(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(times):
                for point in FAULT_POINTS:
                    trigger = folder / f"{point}-{number}"
                    trigger.touch()
                    relay = pipeline.process(
                        "relay", f"--batch={BATCH}", FAULT_POINTS=f"{point}=kill:{trigger}"
                    )
                    relay.start()
                    assert relay.wait(PATIENCE) == -9, relay.output()
                    kills += 1
        finally:
            stop.set()
            writer.join()
        pipeline.start("relay")
        pipeline.until(
            lambda: pipeline.value("SELECT count(*) FROM events_storedevent WHERE published_at IS NULL") == 0
        )
        messages = broker.read(BOOKING.kafka)
        (count,) = pipeline.sql("SELECT count(*) FROM events_storedevent")[0]
        assert count >= len(event_ids)
    return messages, event_ids, kills


def _check_kills(services: Services, broker: Broker, folder: Path, times: int) -> None:
    messages, event_ids, kills = _kill_at_every_point(services, broker, folder, times)
    all_events = [Envelope.from_bytes(message.value() or b"") for message in messages]
    events = [event for event in all_events if event.event_id in event_ids]
    assert event_ids - {event.event_id for event in events} == set()
    assert _inversions([(event.aggregate_id, event.version) for event in events]) == 0
    duplicates = len(events) - len(event_ids)
    print(f"{broker.kind}: {kills} kills, {len(event_ids)} events, {duplicates} duplicates")
    assert duplicates <= kills * BATCH


@pytest.mark.fault
def test_relay_killed_at_each_point_loses_nothing(services: Services, kafka: Broker, tmp_path: Path) -> None:
    _check_kills(services, kafka, tmp_path, times=1)


@pytest.mark.slow
@pytest.mark.fault
def test_relay_killed_twenty_times_at_each_point(
    services: Services, real_kafka: Kafka, tmp_path: Path
) -> None:
    _check_kills(services, real_kafka, tmp_path, times=20)


@pytest.mark.fault
def test_a_standby_takes_over(services: Services) -> None:
    with Pipeline(services) as pipeline:
        pipeline.start("worker")
        first, _ = pipeline.start("relay", "relay")
        pipeline.append()
        pipeline.until_settled()
        first.kill()
        pipeline.append()
        pipeline.until_settled()
