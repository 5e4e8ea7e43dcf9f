"""Each event takes effect once for each consumer, though deliveries are repeated, late or lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from django.db import connection, transaction
from pytest_django import Settings

from bookings.event_types import BOOKING
from tests.kafka import Broker
from tests.waiting import PATIENCE
from tests.wokibrain.events import support
from wokibrain.core import clock
from wokibrain.core.ids import uuid7
from wokibrain.events import deadletters, dispatch, envelope, retries, store, sweeper, types
from wokibrain.events.envelope import Envelope
from wokibrain.events.kafka_outlet import KafkaOutlet
from wokibrain.events.models import AuditEntry, Failure, Receipt, StoredEvent, Watermark
from wokibrain.events.registry import Mode
from wokibrain.events.relay import Relay, mark_published
from wokibrain.events.retries import MAX_ATTEMPTS
from wokibrain.events.types import EventType, Topic, register

pytestmark = pytest.mark.django_db(transaction=True)


class Sink:
    """An outlet that accepts everything."""

    def send(self, events: Sequence[Envelope], halfway: Callable[[], None] | None) -> None:
        pass

    def idle(self) -> None:
        pass


class Probe:
    """Counts the events it handles; raises for the chosen ids."""

    def __init__(self) -> None:
        self.event_ids: list[UUID] = []
        self.bad: set[UUID] = set()
        self.error: type[Exception] = ValueError

    def __call__(self, events: Sequence[Envelope]) -> None:
        if any(event.event_id in self.bad for event in events):
            raise self.error("cannot")
        self.event_ids += [event.event_id for event in events]


def test_event_delivered_twice_has_its_effect_once() -> None:
    probe = Probe()
    ids = support.append_many(3)
    with support.consumer(probe):
        dispatch.handle("probe", ids)
        dispatch.handle("probe", ids[1:])
    assert probe.event_ids == ids


def test_two_deliveries_at_the_same_time_have_one_effect() -> None:
    inside, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def slow(events: Sequence[Envelope]) -> None:
        calls.append(len(events))
        inside.set()
        go_on.wait(PATIENCE)

    event_id = support.append().event_id

    def deliver() -> None:
        dispatch.handle("probe", [event_id])
        connection.close()

    with support.consumer(slow):
        threads = [threading.Thread(target=deliver) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert inside.wait(PATIENCE)
        go_on.set()
        for thread in threads:
            thread.join()
    assert calls == [1]


def test_one_failing_event_does_not_hold_up_its_batch() -> None:
    probe = Probe()
    ids = support.append_many(5)
    probe.bad = {ids[2]}
    with support.consumer(probe):
        dispatch.handle("probe", ids)
    assert probe.event_ids == [ids[0], ids[1], ids[3], ids[4]]
    failure = Failure.objects.get()
    assert (failure.event_id, failure.attempts, failure.error) == (ids[2], 1, "ValueError: cannot")


def test_canary_a_batch_without_isolation_makes_no_progress() -> None:
    probe = Probe()
    ids = support.append_many(5)
    probe.bad = {ids[2]}
    with support.consumer(probe) as consumer, pytest.raises(ValueError, match="cannot"):
        dispatch._apply(consumer, store.by_ids(ids), retrying=False)
    assert (probe.event_ids, Receipt.objects.count()) == ([], 0)


def test_canary_a_delivery_without_receipts_has_its_effect_twice() -> None:
    probe = Probe()
    ids = support.append_many(2)
    with support.consumer(probe):
        dispatch.handle("probe", ids)
        Receipt.objects.all().delete()
        dispatch.handle("probe", ids)
    assert probe.event_ids == ids * 2


def test_a_failed_attempt_leaves_no_effect() -> None:
    def half(events: Sequence[Envelope]) -> None:
        AuditEntry.objects.create(occurred_at=support.NOON, actor="x", action="x")
        raise ValueError

    with support.consumer(half):
        dispatch.handle("probe", support.append_many(1))
    assert AuditEntry.objects.count() == 0


def test_backoff_doubles_and_the_fifth_failure_is_final() -> None:
    probe = Probe()
    (event_id,) = support.append_many(1)
    probe.bad = {event_id}
    waits = []
    with support.consumer(probe), clock.frozen(support.NOON):
        for attempt in range(MAX_ATTEMPTS):
            dispatch.handle("probe", [event_id], retrying=attempt > 0)
            failure = Failure.objects.get()
            waits.append((failure.retry_at - support.NOON).total_seconds() if failure.retry_at else None)
        dispatch.handle("probe", [event_id], retrying=True)
    assert waits == [1, 2, 4, 8, None]
    failure.refresh_from_db()
    assert (failure.attempts, failure.dead_at) == (5, support.NOON)


def test_an_unavailable_dependency_uses_up_no_attempts() -> None:
    probe = Probe()
    (event_id,) = support.append_many(1)
    probe.bad, probe.error = {event_id}, redis.exceptions.ConnectionError
    with support.consumer(probe):
        for attempt in range(8):
            dispatch.handle("probe", [event_id], retrying=attempt > 0)
        assert (Failure.objects.get().attempts, Failure.objects.get().dead_at) == (0, None)
        probe.bad = set()
        dispatch.handle("probe", [event_id], retrying=True)
    assert probe.event_ids == [event_id]
    assert Failure.objects.count() == 0


def test_regular_delivery_leaves_a_failed_event_to_its_retry() -> None:
    probe = Probe()
    (event_id,) = support.append_many(1)
    probe.bad = {event_id}
    with support.consumer(probe):
        dispatch.handle("probe", [event_id])
        probe.bad = set()
        dispatch.handle("probe", [event_id])
        assert probe.event_ids == []
        dispatch.handle("probe", [event_id], retrying=True)
    assert probe.event_ids == [event_id]


@pytest.fixture
def newer_type() -> Iterator[Callable[[], EventType]]:
    """Register BookingExploded, as a newer version of the program would."""
    yield lambda: register(
        EventType("BookingExploded", BOOKING, "exploded", types.event_types(BOOKING)[0].fields)
    )
    types._types.pop("BookingExploded", None)


def test_an_event_of_an_unknown_type_waits_for_a_program_that_knows_it(
    newer_type: Callable[[], EventType],
) -> None:
    probe = Probe()
    unknown = support.append(event_type="BookingExploded").event_id
    (good,) = support.append_many(1)
    with support.consumer(probe):
        for attempt in range(MAX_ATTEMPTS + 2):
            dispatch.handle("probe", [unknown, good], retrying=attempt > 0)
        assert probe.event_ids == [good]
        failure = Failure.objects.get()
        assert (failure.error, failure.attempts, failure.dead_at) == ("UnknownType: BookingExploded", 0, None)
        assert sweeper.retry_due() == 0

        retries.take_up_known_types()
        assert sweeper.retry_due() == 0, "this program does not know it either"
        newer_type()
        retries.take_up_known_types()
        assert sweeper.retry_due() == 1
        dispatch.handle("probe", [unknown], retrying=True)
        dispatch.handle("probe", [unknown, good])
    assert probe.event_ids == [good, unknown]
    assert (Failure.objects.count(), deadletters.dead().count()) == (0, 0)


def test_canary_a_type_that_is_known_and_fails_still_becomes_a_dead_letter() -> None:
    probe = Probe()
    (bad,) = support.append_many(1)
    probe.bad = {bad}
    with support.consumer(probe):
        for attempt in range(MAX_ATTEMPTS):
            dispatch.handle("probe", [bad], retrying=attempt > 0)
    assert deadletters.dead().count() == 1


def test_an_event_of_an_unknown_topic_waits_for_a_relay_that_knows_it() -> None:
    with transaction.atomic():
        store.append(
            aggregate_type="hologram",
            aggregate_id="H1",
            expected_version=0,
            event_type="HologramDrawn",
            payload={},
            actor="user:1",
        )
    (good,) = support.append_many(1)
    relay = Relay(Sink())
    assert (relay.step(), relay.step()) == (1, 0)
    published = StoredEvent.objects.exclude(published_at=None)
    assert list(published.values_list("event_id", flat=True)) == [good]

    event_type = types.register(EventType("HologramDrawn", Topic("hologram"), "drawn", ()))
    try:
        assert relay.step() == 1
    finally:
        types._types.pop(event_type.name)


def test_an_event_whose_upcaster_fails_holds_up_neither_relay_nor_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probe = Probe()
    (good,) = support.append_many(1)
    old = support.append(event_type="BookingUpdated").event_id

    def broken(payload: dict[str, object]) -> dict[str, object]:
        raise KeyError("gone")

    monkeypatch.setitem(envelope._upcasters, ("BookingUpdated", 1), broken)
    outlet = Sink()
    assert Relay(outlet).step() == 2
    with support.consumer(probe):
        dispatch.handle("probe", [old, good])
    assert probe.event_ids == [good]
    assert (Failure.objects.get().event_id, Failure.objects.get().attempts) == (old, 1)


def test_an_event_whose_upcaster_fails_is_read_from_kafka_and_announced_there(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, kafka: Broker
) -> None:
    settings.KAFKA_BROKERS = kafka.address
    kafka.reset()
    row = support.append(event_type="BookingUpdated")

    def broken(payload: dict[str, object]) -> dict[str, object]:
        raise KeyError("gone")

    monkeypatch.setitem(envelope._upcasters, ("BookingUpdated", 1), broken)
    for attempt in range(MAX_ATTEMPTS):
        dispatch.handle("audit", [row.event_id], retrying=attempt > 0)
    outlet = KafkaOutlet()
    relay = Relay(outlet)
    assert relay.step() == 1
    outlet.idle()
    for topic in (BOOKING.kafka, BOOKING.dead_letters):
        messages = [Envelope.from_bytes(message.value() or b"") for message in kafka.read(topic)]
        assert [event for event in messages if event.event_id == row.event_id] == [Envelope.as_written(row)]
    assert Failure.objects.get().announced_at is not None


def test_an_event_that_is_not_in_the_store_is_dead_at_once() -> None:
    probe = Probe()
    with support.consumer(probe):
        dispatch.handle("probe", [uuid7()])
    assert probe.event_ids == []
    assert deadletters.dead().get().error == "NotStored: not in the event store"


def test_replaying_a_dead_letter_has_its_effect_once() -> None:
    probe = Probe()
    (event_id,) = support.append_many(1)
    probe.bad = {event_id}
    with support.consumer(probe):
        for attempt in range(MAX_ATTEMPTS):
            dispatch.handle("probe", [event_id], retrying=attempt > 0)
        letter = deadletters.dead().get()
        assert deadletters.replay(letter) == deadletters.Outcome(False, "ValueError: cannot")
        for _ in range(MAX_ATTEMPTS - 1):
            dispatch.handle("probe", [event_id], retrying=True)
        probe.bad = set()
        assert deadletters.replay(deadletters.dead().get()).done
        assert deadletters.replay(letter).done
        dispatch.handle("probe", [event_id])
    assert probe.event_ids == [event_id]


def test_a_discarded_letter_stays_without_effect() -> None:
    probe = Probe()
    (event_id,) = support.append_many(1)
    probe.bad = {event_id}
    with support.consumer(probe):
        for attempt in range(MAX_ATTEMPTS):
            dispatch.handle("probe", [event_id], retrying=attempt > 0)
        deadletters.discard(deadletters.dead().get())
        probe.bad = set()
        dispatch.handle("probe", [event_id])
        dispatch.handle("probe", [event_id], retrying=True)
    assert probe.event_ids == []
    assert deadletters.dead().count() == 0


# --- watermark -------------------------------------------------------------------------------------------------------


def _publish(ids: Sequence[UUID]) -> None:
    from wokibrain.events.models import StoredEvent

    for event_id in ids:
        mark_published([StoredEvent.objects.get(event_id=event_id).position])


def test_receipts_below_the_watermark_are_deleted_and_still_count() -> None:
    probe = Probe()
    ids = support.append_many(4)
    with support.consumer(probe) as consumer:
        sweeper.prepare()
        dispatch.handle("probe", [ids[0], ids[1], ids[3]])
        _publish(ids)
        sweeper.advance(consumer)
        sweeper.prune(consumer)
        assert set(Receipt.objects.filter(consumer="probe").values_list("event_id", flat=True)) == {ids[3]}
        dispatch.handle("probe", ids)
        sweeper.advance(consumer)
        sweeper.prune(consumer)
        dispatch.handle("probe", ids)
    assert probe.event_ids == [ids[0], ids[1], ids[3], ids[2]]


def test_watermark_passes_a_dead_letter_and_its_replay_still_works() -> None:
    probe = Probe()
    ids = support.append_many(3)
    probe.bad = {ids[1]}
    with support.consumer(probe) as consumer:
        sweeper.prepare()
        dispatch.handle("probe", ids)
        for _ in range(MAX_ATTEMPTS - 1):
            dispatch.handle("probe", [ids[1]], retrying=True)
        _publish(ids)
        sweeper.advance(consumer)
        sweeper.prune(consumer)
        assert Receipt.objects.filter(consumer="probe").count() == 0
        probe.bad = set()
        assert deadletters.replay(deadletters.dead().get()).done
        sweeper.prune(consumer)
        dispatch.handle("probe", ids)
    assert probe.event_ids == [ids[0], ids[2], ids[1]]


def test_published_at_grows_strictly_even_when_the_clock_does_not() -> None:
    from wokibrain.events.models import StoredEvent

    ids = support.append_many(3)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE events_storedevent SET published_at = now() + interval '1 hour' WHERE event_id = %s",
            [ids[0]],
        )
    _publish(ids[1:])
    first, *later = [row.published_at for row in StoredEvent.objects.order_by("position") if row.published_at]
    assert [time - first for time in later] == [timedelta(microseconds=1), timedelta(microseconds=2)]


def test_unsettled_lists_published_events_without_receipt() -> None:
    probe = Probe()
    ids = support.append_many(3)
    with support.consumer(probe) as consumer:
        dispatch.handle("probe", ids[:1])
        _publish(ids[:2])
        assert sweeper.unsettled(consumer) == [ids[1]]
        assert sweeper.unsettled(consumer, timedelta(minutes=1)) == []


def test_a_new_consumer_skips_earlier_events() -> None:
    from wokibrain.events.registry import Start, consumer, unregister
    from wokibrain.events.types import Group

    probe = Probe()
    old = support.append_many(2)
    _publish(old)
    consumer(name="late", group=Group.WEBHOOKS, topics=[BOOKING], mode=Mode.EACH, start=Start.NOW)(probe)
    try:
        sweeper.prepare()
        new = support.append_many(1)
        _publish(new)
        dispatch.handle("late", [*old, *new])
    finally:
        unregister("late")
    assert probe.event_ids == new
    assert Watermark.objects.get(consumer="late").through is not None


def test_inline_effect_comes_before_its_receipt() -> None:
    receipts: list[int] = []

    def look(events: Sequence[Envelope]) -> None:
        receipts.append(Receipt.objects.filter(consumer="probe").count())

    ids = support.append_many(2)
    with support.consumer(look, mode=Mode.INLINE):
        dispatch.handle("probe", ids)
        dispatch.handle("probe", ids)
    assert receipts == [0]
    assert Receipt.objects.filter(consumer="probe").count() == 2
