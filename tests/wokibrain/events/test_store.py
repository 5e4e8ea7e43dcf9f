"""The contract of an event store, run against each way of writing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, InternalError, connection, transaction

from tests.wokibrain.events import support
from wokibrain.core import context
from wokibrain.events import envelope, snapshots, store
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import AuditEntry, Snapshot, StoredEvent
from wokibrain.events.store import WrongVersion

pytestmark = pytest.mark.django_db


class StoreContract:
    """The tests of any writer: ``write`` appends version ``expected + 1`` or raises."""

    def write(self, aggregate_id: str, expected: int, **fields: Any) -> UUID:
        raise NotImplementedError

    def test_versions_are_read_in_order(self) -> None:
        ids = [self.write("a", 0), self.write("a", 1, partySize=3), self.write("a", 2, partySize=4)]
        self.write("b", 0)
        events = store.load("booking", "a")
        assert [(event.event_id, event.version) for event in events] == list(zip(ids, (1, 2, 3), strict=True))
        assert [event.payload["partySize"] for event in events] == [2, 3, 4]

    def test_a_version_is_written_once(self) -> None:
        self.write("a", 0)
        with pytest.raises((WrongVersion, IntegrityError)), transaction.atomic():
            self.write("a", 0)
        assert StoredEvent.objects.count() == 1

    def test_stream_returns_all_events_after_a_position(self) -> None:
        self.write("a", 0)
        first = StoredEvent.objects.get().position
        rest = [self.write("b", 0), self.write("a", 1)]
        assert [event.event_id for event in store.stream(after=first)] == rest
        assert [event.event_id for event in store.stream(aggregate_types=["table"])] == []

    def test_an_event_survives_kafka_unchanged(self) -> None:
        self.write("a", 0)
        (event,) = store.load("booking", "a")
        assert Envelope.from_bytes(event.to_bytes()) == event


class TestAppend(StoreContract):
    def write(self, aggregate_id: str, expected: int, **fields: Any) -> UUID:
        return support.append(aggregate_id, expected + 1, **fields).event_id


class TestStatement(StoreContract):
    """The booking services' own statement, with the columns COLUMNS."""

    def write(self, aggregate_id: str, expected: int, **fields: Any) -> UUID:
        from tests.pipeline import INSERT, event_row

        row = event_row(aggregate_id, expected + 1, **fields)
        with connection.cursor() as cursor:
            cursor.execute(INSERT.decode(), row)
        event_id: UUID = row[0]
        return event_id


def test_append_refuses_a_gap() -> None:
    support.append("a")
    with pytest.raises(WrongVersion):
        support.append("a", version=3)


def test_append_reports_a_conflict_and_the_transaction_continues() -> None:
    support.append("a")
    with transaction.atomic():
        with pytest.raises(WrongVersion):
            support.append("a")
        support.append("b")
    assert [event.version for event in store.load("booking", "b")] == [1]


@pytest.mark.django_db(transaction=True)
def test_append_outside_a_transaction_is_an_error() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        store.append(
            aggregate_type="booking", aggregate_id="a", expected_version=0, event_type="x", payload={}
        )


@pytest.mark.django_db(transaction=True)
def test_of_two_writers_of_one_version_one_succeeds() -> None:
    support.append("a")
    barrier, outcomes = threading.Barrier(2), []

    def write() -> None:
        barrier.wait()
        try:
            support.append("a", version=2)
            outcomes.append("written")
        except WrongVersion:
            outcomes.append("refused")
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "written"]


def test_metadata_comes_from_the_context() -> None:
    here = context.Context(request_id="r-1", traceparent="00-a-b-01", source="rest")
    with context.entered(here), transaction.atomic():
        row = store.append(
            aggregate_type="booking",
            aggregate_id="a",
            expected_version=0,
            event_type="x",
            payload={},
            actor="user:7",
        )
    assert row.metadata == {
        "actor": "user:7",
        "requestId": "r-1",
        "traceparent": "00-a-b-01",
        "source": "rest",
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"eventId": "x"}',
        b'"text"',
        b"null",
        b"{" * 5000,
        # Just before the first event, in UTC.
        b'{"eventId": "0199a0d5-7b5e-7cc0-8000-000000000000", "aggregateType": "booking", "aggregateId": "a", '
        b'"version": 1, "eventType": "BookingCreated", "occurredAt": "0001-01-01T00:00:00+14:00", '
        b'"payload": {}, "metadata": {}, "position": 1}',
    ],
)
def test_bytes_other_than_an_event_are_unreadable(raw: bytes) -> None:
    with pytest.raises(envelope.Unreadable):
        Envelope.from_bytes(raw)


# --- what the database refuses ---------------------------------------------------------------------------------------

CHANGES = [
    lambda: StoredEvent.objects.update(payload={}),
    lambda: StoredEvent.objects.update(version=9),
    lambda: StoredEvent.objects.update(occurred_at=datetime.now(UTC)),
    lambda: StoredEvent.objects.all().delete(),
    lambda: StoredEvent.objects.filter(published_at__isnull=False).update(published_at=datetime.now(UTC)),
    lambda: StoredEvent.objects.filter(published_at__isnull=False).update(published_at=None),
    lambda: AuditEntry.objects.update(actor="nobody"),
    lambda: AuditEntry.objects.all().delete(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_history_cannot_be_changed(change: Callable[[], object]) -> None:
    support.append("a")
    StoredEvent.objects.update(published_at=datetime.now(UTC))
    AuditEntry.objects.create(occurred_at=support.NOON, actor="user:1", action="x")
    with pytest.raises((IntegrityError, InternalError), match="are never"), transaction.atomic():
        change()


def test_a_payload_larger_than_a_message_is_refused() -> None:
    with pytest.raises(IntegrityError, match="event_payload_size"):
        support.append("a", zone="x" * 300_000)


# --- older shapes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def upcasters() -> Iterator[None]:
    before = dict(envelope._upcasters)
    yield
    envelope._upcasters.clear()
    envelope._upcasters.update(before)


@pytest.mark.usefixtures("upcasters")
def test_old_payloads_are_upcast_on_reading_and_stay_as_stored() -> None:
    support.append("a")

    @envelope.upcaster("BookingCreated", 1)
    def split(payload: dict[str, Any]) -> dict[str, Any]:
        return payload | {"covers": payload["partySize"]}

    @envelope.upcaster("BookingCreated", 2)
    def double(payload: dict[str, Any]) -> dict[str, Any]:
        return payload | {"covers": payload["covers"] * 10}

    row = StoredEvent.objects.get(aggregate_id="a")
    for event in (Envelope.as_written(row), Envelope.from_row(row)):
        assert Envelope.from_bytes(event.to_bytes()) == event
        assert envelope.upcast(event) == Envelope.from_row(row)
    support.append("b", covers=7)
    assert store.load("booking", "a")[0].payload["covers"] == 20
    assert store.load("booking", "b")[0].payload["covers"] == 7
    assert "covers" not in StoredEvent.objects.get(aggregate_id="a").payload
    assert StoredEvent.objects.get(aggregate_id="b").metadata["schema"] == 3


# --- folds -----------------------------------------------------------------------------------------------------------


def _append_log(state: dict[str, Any] | None, event: Envelope) -> dict[str, Any]:
    return {"sizes": [*(state or {"sizes": []})["sizes"], event.payload["partySize"]]}


def test_snapshot_and_tail_equal_the_full_fold() -> None:
    booking = str(uuid4())
    for version in range(1, 121):
        support.append(booking, version, partySize=version)
    full = [snapshots.fold("booking", booking, _append_log, version=version) for version in range(121)]
    snapshots.save_snapshots(store.load("booking", booking), _append_log)
    assert sorted(Snapshot.objects.values_list("version", flat=True)) == [50, 100]
    assert [
        snapshots.fold("booking", booking, _append_log, version=version) for version in range(121)
    ] == full


def test_a_fold_up_to_an_instant_includes_what_occurred_by_then() -> None:
    for version in (1, 2, 3):
        support.append("a", version, partySize=version)
    until = support.NOON + timedelta(minutes=1)
    assert snapshots.fold("booking", "a", _append_log, until=until).state == {"sizes": [1, 2]}
    assert (
        snapshots.fold("booking", "a", _append_log, until=support.NOON - timedelta(seconds=1)).state is None
    )


@pytest.mark.usefixtures("upcasters")
def test_a_snapshot_in_an_older_shape_is_not_used() -> None:
    for version in range(1, 52):
        support.append("a", version, partySize=version)
    snapshots.save_snapshots(store.load("booking", "a"), _append_log)
    envelope.upcaster("BookingCreated", 1)(lambda payload: payload | {"partySize": -payload["partySize"]})
    sizes = snapshots.fold("booking", "a", _append_log).state
    assert sizes == {"sizes": [-number for number in range(1, 52)]}
    snapshots.save_snapshots(store.load("booking", "a"), _append_log)
    assert Snapshot.objects.count() == 2
    assert snapshots.fold("booking", "a", _append_log).state == sizes


def test_canary_a_wrong_snapshot_changes_the_fold() -> None:
    for version in range(1, 61):
        support.append("a", version, partySize=version)
    full = snapshots.fold("booking", "a", _append_log).state
    Snapshot.objects.create(
        aggregate_type="booking", aggregate_id="a", version=50, occurred_at=support.NOON, state={"sizes": [0]}
    )
    assert snapshots.fold("booking", "a", _append_log).state != full
