"""P1 storm: whatever dies, no table is booked twice and nothing acknowledged is lost.

``STORM_SEED=n`` repeats a run's choices (not its timing).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest

from tests.faults.checker import Story, findings
from tests.faults.storm import LONG, SHORT, Form, Outcome, run_storm, unprotected
from tests.kafka import Kafka, Unavailable, real
from tests.ledger import WITHOUT_CONSTRAINT, sql
from tests.processes import Services, manage, private_services

pytestmark = pytest.mark.fault

HEALED_WITHIN = 60
STORMS = 4


def seed() -> int:
    return int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 32))


def check(services: Services, outcome: Outcome) -> None:
    print(outcome.figures)
    with psycopg.connect(services.postgres.url) as link:
        problems = findings(link, outcome.story)
    assert not problems, "\n".join(problems)
    manage("verify", environment=outcome.settings)
    assert outcome.published <= HEALED_WITHIN


@dataclass(frozen=True, slots=True)
class Weathered:
    services: Services
    outcome: Outcome


@pytest.fixture(scope="module")
def weathered() -> Iterator[Weathered]:
    """Return the outcome of a short storm."""
    with private_services(durable=True) as services:
        yield Weathered(services, run_storm(services, SHORT, seed()))


def test_short_storm_breaks_no_promise(weathered: Weathered) -> None:
    check(weathered.services, weathered.outcome)
    story = weathered.outcome.story
    # A storm in which nothing happened would prove nothing.
    assert {entry.status for entry in story.entries} >= {0, 200, 201, 204, 409}
    assert {what for what, _ in story.kills} == {"redis", "worker", "deliver", "relay", "api"}


FIRST = "(SELECT event_id FROM events_storedevent WHERE aggregate_type = 'booking' ORDER BY position LIMIT 1)"
LATER = (
    "(SELECT event_id FROM events_storedevent WHERE event_type = 'BookingUpdated' ORDER BY position LIMIT 1)"
)
TAMPERED = {
    "audit rows that are not the events: 1": f"DELETE FROM events_auditentry WHERE event_id = {FIRST}",
    "overlaps: ": "UPDATE bookings_allocation SET active = true",
    "a 201 without its row": """
        DELETE FROM bookings_booking WHERE id = (SELECT max(id::text)::uuid FROM bookings_booking)""",
    "a row nobody was told of": """
        INSERT INTO bookings_booking SELECT (jsonb_populate_record(b, '{"id": "00000000-0000-7000-8000-000000000000",
            "reference": "TWICE"}')).* FROM bookings_booking b LIMIT 1""",
    "a 201 without its one version-1 event": f"DELETE FROM events_storedevent WHERE event_id = {FIRST}",
    "an answer that is not what its event says": f"""
        UPDATE events_storedevent SET payload = payload || '{{"partySize": 49}}' WHERE event_id = {FIRST}""",
    "versions with gaps: 1": f"UPDATE events_storedevent SET version = 99 WHERE event_id = {LATER}",
    "a change nobody was told of": f"UPDATE events_storedevent SET version = 99 WHERE event_id = {LATER}",
    "cancelled and not told, or told and not cancelled": """
        UPDATE events_storedevent SET event_type = 'BookingSeated' WHERE event_type = 'BookingCancelled'""",
    "outbox: 1": f"UPDATE events_storedevent SET published_at = NULL WHERE event_id = {FIRST}",
    "dead letters and retries: 1": f"""
        INSERT INTO events_failure (consumer, event_id, attempts, error, dead_at, origin, created_at)
        VALUES ('audit', {FIRST}, 5, 'x', now(), '', now())""",
}


@pytest.mark.parametrize("finding", TAMPERED)
def test_canary_the_checker_reports_every_damage_to_the_database(weathered: Weathered, finding: str) -> None:
    with psycopg.connect(weathered.services.postgres.url) as link:
        # Bypass triggers and foreign keys; the rollback restores dropped constraints and indexes.
        link.execute("SET session_replication_role = replica")
        link.execute(WITHOUT_CONSTRAINT.encode())
        assert link.execute(TAMPERED[finding].encode()).rowcount > 0
        problems = findings(link, weathered.outcome.story)
        link.rollback()
    assert any(one.startswith(finding) for one in problems), problems


def _drop(story: Story) -> Story:
    """Remove all deliveries of one event from receiver 0's log."""
    lost_id = story.receipts[0].headers["webhook-id"]
    receipts = [
        receipt for receipt in story.receipts if (receipt.headers["webhook-id"], receipt.to) != (lost_id, 0)
    ]
    return replace(story, receipts=receipts)


def _flip(story: Story) -> Story:
    first = story.receipts[0]
    broken = replace(first, body=bytes([first.body[0] ^ 1]) + first.body[1:])
    return replace(story, receipts=[broken, *story.receipts[1:]])


def _rename(story: Story) -> Story:
    first = story.receipts[0]
    other = replace(first, headers=dict(first.headers) | {"x-wokibrain-delivery-id": "another"})
    return replace(story, receipts=[*story.receipts, other])


def _stray(story: Story) -> Story:
    first = story.receipts[0]
    return replace(
        story, receipts=[*story.receipts, replace(first, headers=dict(first.headers) | {"webhook-id": "x"})]
    )


def _answer(status: int, code: str) -> Callable[[Story], Story]:
    def tamper(story: Story) -> Story:
        last = max(story.entries, key=lambda entry: entry.ended)
        late = replace(last, ended=last.ended + 60, status=status, body={"error": code})
        return replace(story, entries=[*story.entries, late])

    return tamper


def _twins(story: Story) -> Story:
    creates = [entry for entry in story.entries if entry.status == 201]
    other = next(entry for entry in creates if entry.body["id"] != creates[0].body["id"])
    return replace(story, entries=[*story.entries, replace(other, key=creates[0].key)])


def _unheard(story: Story) -> Story:
    key = next(entry.key for entry in story.entries if entry.status == 409)
    return replace(story, entries=[replace(e, status=0) if e.key == key else e for e in story.entries])


MISTOLD: dict[str, Callable[[Story], Story]] = {
    "never delivered: 1": _drop,
    "a signature that does not verify": _flip,
    "a duplicate that is not the same": _rename,
    "a delivery of no event": _stray,
    "unexpected 500": _answer(500, "INTERNAL_SERVER_ERROR"),
    "unexpected 409": _answer(409, "INVALID_TRANSITION"),
    "503 without a kill": _answer(503, "SERVICE_UNAVAILABLE"),
    "one key, several bookings": _twins,
    "several keys, one booking": _twins,
    "never answered: 1": _unheard,
}


@pytest.mark.parametrize("finding", MISTOLD)
def test_canary_the_checker_reports_every_damage_to_the_ledgers(weathered: Weathered, finding: str) -> None:
    with psycopg.connect(weathered.services.postgres.url) as link:
        problems = findings(link, MISTOLD[finding](weathered.outcome.story))
    assert any(one.startswith(finding) for one in problems), problems


def test_canary_verify_reports_a_damaged_read_model(weathered: Weathered) -> None:
    change = "UPDATE bookings_bookingday SET covers = covers {} 1"
    sql(weathered.services, change.format("+"))
    try:
        with pytest.raises(RuntimeError, match="WRONG  read model"):
            manage("verify", environment=weathered.outcome.settings)
    finally:
        sql(weathered.services, change.format("-"))


def test_canary_without_locks_and_constraint_the_storm_books_tables_twice() -> None:
    number = seed()
    print(f"P1 canary: seed {number}")
    # The busier the machine, the fewer requests meet in one storm.
    for storm in range(STORMS):
        with private_services() as services:
            sql(services, WITHOUT_CONSTRAINT)
            story = unprotected(services, Form(seconds=5, clients=24, without="locks"), number + storm)
            with psycopg.connect(services.postgres.url) as link:
                problems = findings(link, story)
        if any(one.startswith("overlaps: ") for one in problems):
            return
    pytest.fail(f"no table was booked twice: {problems}")


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka | None]:
    """Return an Apache Kafka for the storm alone, since it is killed; None if there is none."""
    try:
        with real() as kafka:
            yield kafka
    except Unavailable as why:
        if os.environ.get("KAFKA_FOR_TESTS") == "real":
            raise
        print(f"no Apache Kafka ({why}): the storm goes without")
        yield None


@pytest.mark.slow
@pytest.mark.parametrize("run", range(3))
def test_long_storm_breaks_no_promise(run: int, broker: Kafka | None) -> None:
    if broker is not None:
        broker.reset()
    with private_services(durable=True) as services:
        check(services, run_storm(services, LONG, seed() + run, broker=broker))
