"""Backlogs of the outbox and the consumers, for `manage.py status` and /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, Max, Q

from wokibrain.events import deadletters, readmodels, registry
from wokibrain.events.models import Failure, Rebuild
from wokibrain.events.registry import Consumer
from wokibrain.events.relay import RELAY_LOCK
from wokibrain.events.sql import NEITHER_RECEIPT_NOR_FAILURE


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """``behind`` counts events neither handled nor failed; the oldest of them occurred ``lag_seconds`` ago."""

    name: str
    group: str
    behind: int
    lag_seconds: float
    retrying: int
    dead: int


@dataclass(frozen=True, slots=True)
class Status:
    """``unreadable`` counts messages from Kafka that are no events; ``rebuilds`` has None for a model never rebuilt."""

    relay_active: bool
    unpublished: int
    outbox_age_seconds: float
    consumers: list[ConsumerStatus]
    unreadable: int
    rebuilds: dict[str, datetime | None]


def status() -> Status:
    """Return the state of all of it now. Counts whole backlogs."""
    consumers = registry.consumers()
    failures = {
        row["consumer"]: row
        for row in Failure.objects.values("consumer").annotate(
            retrying=Count("pk", filter=Q(retry_at__isnull=False)),
            dead=Count("pk", filter=Q(dead_at__isnull=False, discarded_at=None)),
        )
    }
    none = {"retrying": 0, "dead": 0}
    unpublished, age = outbox()
    return Status(
        relay_active=relay_active(),
        unpublished=unpublished,
        outbox_age_seconds=age,
        consumers=[
            ConsumerStatus(
                consumer.name,
                consumer.group.value,
                *lag(consumer),
                *(failures.get(consumer.name, none)[key] for key in ("retrying", "dead")),
            )
            for consumer in consumers
        ],
        unreadable=sum(
            row["dead"]
            for name, row in failures.items()
            if name not in {consumer.name for consumer in consumers}
        ),
        rebuilds=rebuilds(),
    )


def rebuilds() -> dict[str, datetime | None]:
    """Return when each read model was last rebuilt, by name; None where it never was."""
    last = dict(Rebuild.objects.values_list("read_model").annotate(Max("finished_at")))
    return {name: last.get(name) for name in readmodels.names()}


def outbox() -> tuple[int, float]:
    """Return how many events are not published yet, and the age of the oldest in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(extract(epoch FROM now() - min(occurred_at)), 0)::float8 "
            "FROM events_storedevent WHERE published_at IS NULL"
        )
        count, age = cursor.fetchone()
    return count, max(age, 0.0)


def lag(consumer: Consumer) -> tuple[int, float]:
    """Return how many events the consumer has yet to handle, and the age of the oldest in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), coalesce(extract(epoch FROM now() - min(event.occurred_at)), 0)::float8
            FROM events_storedevent event LEFT JOIN events_watermark w ON w.consumer = %(consumer)s
            WHERE (event.published_at IS NULL OR event.published_at > coalesce(w.through, '-infinity'))
              AND event.aggregate_type = ANY (%(topics)s)
              AND {NEITHER_RECEIPT_NOR_FAILURE}
            """,  # noqa: S608 - made of constants
            {"consumer": consumer.name, "topics": list(consumer.topics)},
        )
        count, age = cursor.fetchone()
    return count, max(age, 0.0)


def relay_active() -> bool:
    """Whether any process holds the relay's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted)",
            [RELAY_LOCK],
        )
        return bool(cursor.fetchone()[0])


Gauges = dict[str, tuple[str, list[str], dict[tuple[str, ...], float]]]


def gauges() -> Gauges:
    """Return each gauge's help text, label names, and values by label values, by the gauge's name."""
    unpublished, age = outbox()
    consumers = registry.consumers()
    return {
        "outbox_unpublished": ("Events that are not handed on yet", [], {(): unpublished}),
        "outbox_age_seconds": ("Age of the oldest of them", [], {(): age}),
        "consumer_lag_seconds": (
            "Age of the oldest event a consumer has not handled",
            ["consumer", "group"],
            {(consumer.name, consumer.group.value): lag(consumer)[1] for consumer in consumers},
        ),
        "dead_letters": ("Events a consumer gave up on", [], {(): deadletters.dead().count()}),
        "rebuild_finished_timestamp_seconds": (
            "When a read model was last rebuilt; nothing where it never was",
            ["read_model"],
            {(name,): at.timestamp() for name, at in rebuilds().items() if at is not None},
        ),
    }
