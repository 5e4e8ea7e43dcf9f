"""How fast events travel. ``python -m tests.benchmarks.events`` prints a markdown table.

On a private Postgres that syncs every commit, with one relay and one Celery worker of two processes. Each figure
stands beside what the machine does at most for the same work without our code, measured in the same run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")
django.setup()

import psycopg  # noqa: E402
from confluent_kafka import Producer  # noqa: E402

from bookings.event_types import BOOKING  # noqa: E402
from tests import kafka as brokers  # noqa: E402
from tests.pipeline import INSERT, Pipeline, event_row  # noqa: E402
from tests.processes import private_services  # noqa: E402
from wokibrain.core.ids import uuid7  # noqa: E402
from wokibrain.events import registry  # noqa: E402

BACKLOG: Final = 10_000
RATE: Final = 100
SECONDS: Final = 20
DAY_BOOKINGS: Final = 100_000
EVENTS_PER_BOOKING: Final = 3
"""Made, and on average two of changed, cancelled, seated, completed."""
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, its target, and its ceiling (empty if none applies)."""

    case: str
    value: str
    goal: str = ""
    ceiling: str = ""


def run() -> list[Row]:
    options = {"track_commit_timestamp": "on"}
    rows = []
    with private_services(durable=True, postgres_options=options) as services:
        with Pipeline(services, environment=_SETTINGS) as pipeline:
            rows += _drain(pipeline)
        with Pipeline(services, environment=_SETTINGS) as pipeline:
            rows += _latency(pipeline, "without Kafka")
        with brokers.any_broker() as broker:
            broker.reset()
            with Pipeline(services, broker.address, _SETTINGS) as pipeline:
                rows += _to_kafka(pipeline, broker)
            broker.reset()
            with Pipeline(services, broker.address, _SETTINGS) as pipeline:
                rows += _latency(pipeline, f"through {broker.kind}", "consume")
    return rows


WARM_UP: Final = 60
_SETTINGS: Final = {"EVENTS_REDRIVE_SECONDS": "60", "LOG_LEVEL": "ERROR"}


def _backlog() -> list[tuple[Any, ...]]:
    tables = [f"T{number}" for number in range(20)]
    return [
        event_row(str(uuid7()), restaurantId=f"R{number % 50}", tableIds=[tables[number % 20]])
        for number in range(BACKLOG)
    ]


def _drain(pipeline: Pipeline) -> list[Row]:
    """Measure 10,000 events through all consumers; the processes are idle when the events appear."""
    ceiling = _bare_consumers(pipeline)
    pipeline.reset()
    _, worker = pipeline.start("relay", "worker")
    pipeline.append()
    pipeline.until_settled()
    assert worker.child is not None
    before = _cpu_seconds(worker.child.pid)
    began = time.monotonic()
    pipeline.append_many(_backlog())
    appended = time.monotonic() - began
    pipeline.until_settled(300)
    took = time.monotonic() - began
    busy = _cpu_seconds(worker.child.pid) - before
    day = busy / BACKLOG * DAY_BOOKINGS * EVENTS_PER_BOOKING / 60
    return [
        Row(
            f"{BACKLOG:,} events for {len(registry.consumers())} consumers, written within {appended:.1f} s, drained",
            f"{took:.1f} s ({BACKLOG / took:,.0f}/s)",
            "<= 60 s",
            f"{BACKLOG / ceiling:.1f} s for the bare inserts of the same rows",
        ),
        Row(
            f"a day of {DAY_BOOKINGS:,} bookings ({EVENTS_PER_BOOKING} events each), extrapolated",
            f"{day:.1f} min of one worker's CPU",
            "< 20 min",
        ),
    ]


def _bare_consumers(pipeline: Pipeline) -> float:
    """Events a second when one connection does nothing but insert the receipts and audit rows, 500 at a time."""
    ids = [uuid7() for _ in range(BACKLOG)]
    with psycopg.connect(pipeline.services.postgres.url) as link:
        began = time.monotonic()
        for first in range(0, BACKLOG, 500):
            batch = ids[first : first + 500]
            for consumer in registry.consumers():
                link.execute(
                    "INSERT INTO events_receipt (consumer, event_id) SELECT %s, unnest(%s::uuid[])",
                    [f"bare {consumer.name}", batch],
                )
                link.commit()
            link.execute(
                "INSERT INTO events_auditentry (id, event_id, occurred_at, actor, action, target_type, target_id, "
                "restaurant_id, source, request_id, before, after, touched) SELECT id, id, now(), 'user:1', 'x', "
                "'booking', id::text, 'R1', 'rest', '', '{}', '{}', '{}' FROM unnest(%s::uuid[]) AS id",
                [batch],
            )
            link.commit()
        return BACKLOG / (time.monotonic() - began)


def _latency(pipeline: Pipeline, how: str, *more: str) -> list[Row]:
    """Measure from just before an event's insert to the commit of its audit entry, at a steady rate."""
    pipeline.start("relay", "worker", *more)
    # A steady state: the readers have their partitions, all of which these touch.
    for _ in range(WARM_UP):
        pipeline.append()
    pipeline.until_settled(90)
    with pipeline.connect() as link:
        began = time.monotonic()
        for number in range(RATE * SECONDS):
            link.execute(INSERT, event_row(str(uuid7()), restaurantId=f"R{number % 50}"))
            link.commit()
            time.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))
    pipeline.until_settled(60)
    delays = pipeline.sql(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(a.xmin) - e.occurred_at)::float8 * 1000 "
        "FROM events_auditentry a JOIN events_storedevent e USING (event_id) ORDER BY e.position "
        f"OFFSET {WARM_UP}"
    )
    cuts = quantiles([row[0] for row in delays], n=100)
    assert len(delays) == RATE * SECONDS
    return [
        Row(
            f"commit to effect at {RATE} events/s for {SECONDS} s, {how}",
            f"p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms",
            "p99 <= 1,000 ms",
            "50 ms is what the relay waits for more to gather",
        )
    ]


def _to_kafka(pipeline: Pipeline, broker: brokers.Broker) -> list[Row]:
    rows = _backlog()
    pipeline.append_many(rows)
    bodies = [(str(row[2]).encode(), str(row[6].obj).encode()) for row in rows]
    ceiling = _bare_producer(broker, bodies)
    pipeline.start("relay")
    count_unpublished = "SELECT count(*) FROM events_storedevent WHERE published_at IS NULL"
    pipeline.until(lambda: pipeline.value(count_unpublished) == 0, 120)
    # The first batch waits for the connection; rate is that of the others.
    first, last, count = pipeline.sql(
        "SELECT min(published_at), max(published_at), count(*) FROM events_storedevent "
        "WHERE published_at > (SELECT min(published_at) FROM events_storedevent)"
    )[0]
    rate = count / (last - first).total_seconds()
    return [
        Row(
            f"relay to {broker.kind}",
            f"{rate:,.0f} events/s",
            "",
            f"{ceiling:,.0f}/s for a bare producer of the same messages",
        )
    ]


def _bare_producer(broker: brokers.Broker, bodies: Sequence[tuple[bytes, bytes]]) -> float:
    producer = Producer(
        {
            "bootstrap.servers": broker.address,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
        }
    )
    producer.list_topics(BOOKING.kafka, timeout=10)
    began = time.monotonic()
    for key, value in bodies:
        producer.produce(BOOKING.dead_letters, value, key)
    producer.flush(60)
    return len(bodies) / (time.monotonic() - began)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children, living and dead."""
    return sum(_own_cpu(one) for one in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                yield int(path.parent.name)
        except (OSError, IndexError):
            continue


def _own_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[number]) for number in (11, 12, 13, 14)) / TICKS


def main() -> None:
    print("| what | measured | goal | ceiling |\n|---|---|---|---|")
    for row in run():
        print(f"| {row.case} | {row.value} | {row.goal} | {row.ceiling} |")


if __name__ == "__main__":
    main()
