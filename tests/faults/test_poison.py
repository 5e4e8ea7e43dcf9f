"""P8: an event that cannot be handled is dead after 5 attempts and delays no other; replayed, it counts once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from bookings.event_types import BOOKING
from tests.kafka import Broker
from tests.pipeline import Pipeline
from tests.processes import Services, manage, private_services
from wokibrain.events.retries import MAX_ATTEMPTS

pytestmark = pytest.mark.fault

GOOD_WITHIN = 30.0

REFUSE = """
CREATE FUNCTION refuse_bad() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.restaurant_id = 'BAD' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse_bad BEFORE INSERT OR UPDATE ON bookings_bookinghour
    FOR EACH ROW EXECUTE FUNCTION refuse_bad();
"""


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.fixture
def pipeline(services: Services, kafka: Broker) -> Iterator[Pipeline]:
    # One partition: an event that holds it up would hold up all others.
    kafka.reset(partitions=1)
    with Pipeline(services, kafka.address, {"EVENTS_RETRY_SECONDS": "0.2"}) as pipeline:
        yield pipeline


def _hours(pipeline: Pipeline, restaurant_id: str) -> int:
    return int(
        pipeline.value(
            "SELECT coalesce(sum(bookings), 0) FROM bookings_bookinghour WHERE restaurant_id = %s",
            restaurant_id,
        )
    )


def test_a_poisonous_event_is_set_aside_and_the_next_one_handled(pipeline: Pipeline, kafka: Broker) -> None:
    pipeline.sql(REFUSE)
    pipeline.start("relay", "worker", "consume")
    for raw in (b"\xff\xfe no event", b'{"eventId": 1}', b"x" * 2_000_000):
        kafka.send(BOOKING.kafka, raw)
    bad = pipeline.append(restaurantId="BAD")
    unknown = pipeline.append(event_type="BookingExploded", restaurantId="R2")
    began = time.monotonic()
    pipeline.append(restaurantId="GOOD")
    pipeline.until(lambda: _hours(pipeline, "GOOD") == 1, GOOD_WITHIN)
    print(f"{kafka.kind}: the next good event took {time.monotonic() - began:.1f} s")
    pipeline.until_settled()

    letters = pipeline.sql(
        "SELECT consumer, event_id, attempts FROM events_failure WHERE dead_at IS NOT NULL"
    )
    assert max(attempts for _, _, attempts in letters) == MAX_ATTEMPTS
    assert {consumer for consumer, event_id, _ in letters if event_id == bad} == {"analytics"}
    everyone = {"analytics", "audit", "cache", "days", "webhooks", "websocket"}
    failures = pipeline.sql(
        "SELECT consumer, attempts, dead_at FROM events_failure WHERE event_id = %s AND retry_at > now()",
        unknown,
    )
    assert {tuple(row) for row in failures} == {(consumer, 0, None) for consumer in everyone}
    groups = {
        "analytics-workers",
        "audit-workers",
        "cache-workers",
        "projection-workers",
        "webhook-workers",
        "websocket-workers",
    }
    malformed = [consumer for consumer, event_id, _ in letters if event_id != bad]
    assert sorted(malformed) == sorted([*groups] * 3)
    assert pipeline.value("SELECT max(octet_length(raw)) FROM events_failure") == 65_536
    unannounced = "SELECT count(*) FROM events_failure WHERE announced_at IS NULL AND dead_at IS NOT NULL"
    pipeline.until(lambda: pipeline.value(unannounced) == 0)
    assert len(kafka.read(BOOKING.dead_letters)) == len(letters)

    # While the cause lasts a replay fails again; afterwards it has its effect, once.
    with pytest.raises(RuntimeError, match="failed again"):
        manage("deadletters", "replay", _letter(pipeline, bad), environment=pipeline.settings)
    pipeline.sql("DROP TRIGGER refuse_bad ON bookings_bookinghour")
    pipeline.until_settled()
    if rows := pipeline.sql("SELECT id FROM events_failure WHERE event_id = %s", bad):
        manage("deadletters", "replay", str(rows[0][0]), environment=pipeline.settings)
    assert _hours(pipeline, "BAD") == 1
    manage("deadletters", "discard", "--all", environment=pipeline.settings)
    assert "no event" not in manage("deadletters", "list", environment=pipeline.settings)


def _letter(pipeline: Pipeline, event_id: UUID) -> str:
    return str(pipeline.value("SELECT id FROM events_failure WHERE event_id = %s", event_id))


def test_an_event_too_big_for_kafka_never_enters_the_store(pipeline: Pipeline) -> None:
    import psycopg

    with pytest.raises(psycopg.errors.CheckViolation, match="event_payload_size"):
        pipeline.append(zone="x" * 2_000_000)
