"""Claim the deliveries that are due and record the results. All state is in Postgres; HTTP is elsewhere."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from webhooks import encryption, health, retries, signing
from webhooks.http_client import Outcome
from webhooks.models import TEST_STREAM, Delivery, Webhook
from webhooks.retries import Schedule, Verdict, judge
from wokibrain.core import clock
from wokibrain.events.sql import UNSETTLED

CLAIM_LOCK: Final = 0x574F4B57
"""The advisory lock that lets one process claim at a time."""
LEASE_MARGIN: Final = timedelta(seconds=20)
"""How long after its time-out an attempt may be under way before its worker counts as dead."""
MAX_ORDER_WAIT: Final = timedelta(seconds=5)
"""How long a delivery waits for deliveries of its aggregate's earlier events to be written."""

CONSUMER: Final = "webhooks"
_chance: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to make, with everything that is sent."""

    delivery_id: UUID
    webhook_id: UUID
    number: int
    url: str
    headers: dict[str, str]
    body: bytes
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt came to."""

    job: Job
    outcome: Outcome
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """``jobs`` are to be sent. ``unreadable`` cannot be signed: no key here decrypts their secret."""

    jobs: list[Job]
    unreadable: list[Job]


# The webhooks that may be sent to, each with the attempts it has left, and their due deliveries in order. Webhooks
# with the fewest attempts under way come first.
# A first attempt waits while a delivery of an earlier event of its aggregate waits or is under way, and for
# MAX_ORDER_WAIT also for earlier events that are not fanned out yet: workers take events in any order.
# Rows that another transaction has locked, to drop or delete them, are skipped: a waiting claim would block all others.
CLAIM: Final = f"""
WITH roomy AS (
    SELECT w.id, busy.count AS busy,
           CASE WHEN w.failures >= %(breaker)s THEN 1 ELSE %(concurrency)s END - busy.count AS room
    FROM webhooks_webhook w
    CROSS JOIN LATERAL (
        SELECT count(*) FROM webhooks_delivery b WHERE b.webhook_id = w.id AND b.leased_until > %(now)s
    ) AS busy
    WHERE w.status = 'ACTIVE' AND w.dropping_before IS NULL AND (w.open_until IS NULL OR w.open_until <= %(now)s)
      AND (%(only)s::uuid[] IS NULL OR w.id = ANY (%(only)s::uuid[]))
), due AS (
    SELECT d.id, d.due_at, roomy.busy + row_number() OVER (PARTITION BY roomy.id ORDER BY d.due_at, d.id) AS turn
    FROM roomy
    CROSS JOIN LATERAL (
        SELECT p.id, p.due_at FROM webhooks_delivery p
        WHERE p.webhook_id = roomy.id AND p.status = 'PENDING' AND p.due_at <= %(now)s
          AND (p.leased_until IS NULL OR p.leased_until <= %(now)s) AND p.stream <> '{TEST_STREAM}'
          AND (p.attempts > 0 OR NOT EXISTS (
              SELECT FROM webhooks_delivery e
              WHERE e.webhook_id = p.webhook_id AND e.stream = p.stream AND e.sequence < p.sequence
                AND e.status = 'PENDING' AND (e.attempts = 0 OR e.attempts = 1 AND e.leased_until > %(now)s)
          ) AND (p.created_at < %(patience)s OR NOT EXISTS (
              {UNSETTLED}
                AND event.aggregate_type = split_part(p.stream, ':', 1)
                AND event.aggregate_id = substr(p.stream, strpos(p.stream, ':') + 1) AND event.version < p.sequence
          )))
        ORDER BY p.due_at, p.id LIMIT greatest(roomy.room, 0)
    ) AS d
    UNION ALL (
        SELECT t.id, t.due_at, 0 FROM webhooks_delivery t
        WHERE t.stream = '{TEST_STREAM}' AND t.status = 'PENDING' AND t.due_at <= %(now)s
          AND (t.leased_until IS NULL OR t.leased_until <= %(now)s)
          AND (%(only)s::uuid[] IS NULL OR t.webhook_id = ANY (%(only)s::uuid[]))
        ORDER BY t.due_at LIMIT 10
    )
), claimed AS (
    UPDATE webhooks_delivery c SET attempts = c.attempts + 1, tries = c.tries + 1, leased_until = %(lease)s
    FROM (
        SELECT l.id FROM webhooks_delivery l
        WHERE l.id IN (SELECT id FROM due ORDER BY turn, due_at, id LIMIT %(limit)s) AND l.status = 'PENDING'
        ORDER BY l.id FOR UPDATE SKIP LOCKED
    ) AS chosen
    WHERE c.id = chosen.id
    RETURNING c.id, c.webhook_id, c.message_id, c.attempts, c.sequence, c.stream, c.due_at
)
SELECT c.id, c.webhook_id, c.attempts, c.sequence, c.stream, m.id, m.event, m.body, w.url, w.secret,
       CASE WHEN w.previous_until > %(now)s THEN w.previous_secret END
FROM claimed c JOIN webhooks_message m ON m.id = c.message_id JOIN webhooks_webhook w ON w.id = c.webhook_id
ORDER BY c.due_at, c.id
"""  # noqa: S608 - made of constants


def claim(limit: int, *, concurrency: int | None = None, only: Sequence[UUID] | None = None) -> Claim:
    """Claim up to ``limit`` attempts that are due, signed as of now; no other sender gets them.

    ``concurrency`` limits the attempts under way per webhook further than WEBHOOK_CONCURRENCY does.
    ``only`` limits the claim to these webhooks.
    """
    now = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        # One claim at a time: it counts all attempts under way. And each with a fresh plan: one that was made
        # while the table was empty reads all of it once it is full.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s), set_config('plan_cache_mode', 'force_custom_plan', true)",
            [CLAIM_LOCK],
        )
        cursor.execute(
            CLAIM,
            {
                "now": now,
                "consumer": CONSUMER,
                "lease": now + timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS) + LEASE_MARGIN,
                "patience": now - MAX_ORDER_WAIT,
                "breaker": settings.WEBHOOK_BREAKER_FAILURES,
                "concurrency": min(concurrency or settings.WEBHOOK_CONCURRENCY, settings.WEBHOOK_CONCURRENCY),
                "only": None if only is None else list(only),
                "limit": limit,
            },
        )
        rows = cursor.fetchall()
    claimed = Claim([], [])
    for row in rows:
        try:
            claimed.jobs.append(_job(row, now))
        except encryption.Unreadable:
            claimed.unreadable.append(_unsigned(row, now, {}))
    return claimed


def _job(row: tuple[Any, ...], now: datetime) -> Job:
    message_id, body, secret, previous = row[5], bytes(row[7]), row[9], row[10]
    valid = [encryption.unseal(sealed) for sealed in (secret, previous) if sealed]
    return _unsigned(row, now, signing.headers(valid, message_id=message_id, at=now, body=body))


def _unsigned(row: tuple[Any, ...], now: datetime, signed: dict[str, str]) -> Job:
    delivery_id, webhook_id, number, sequence, stream, _, event, body, url, *_ = row
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"WokiBrain/{settings.VERSION}",
        "X-WokiBrain-Event": event,
        "X-WokiBrain-Delivery-ID": str(delivery_id),
        "X-WokiBrain-Attempt": str(number),
        "X-WokiBrain-Sequence": str(sequence),
    }
    if stream == TEST_STREAM:
        headers["X-WokiBrain-Test"] = "true"
    return Job(delivery_id, webhook_id, number, url, headers | signed, bytes(body), now)


RECORD_ATTEMPTS: Final = """
INSERT INTO webhooks_attempt (delivery_id, number, started_at, milliseconds, status_code, error, response_head)
SELECT * FROM unnest(%s::uuid[], %s::int[], %s::timestamptz[], %s::int[], %s::int[], %s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""
RECORD_DELIVERIES: Final = """
UPDATE webhooks_delivery d SET status = n.status, due_at = n.due_at, finished_at = n.finished_at, leased_until = NULL
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[]) AS n (id, status, due_at, finished_at)
WHERE d.id = n.id
"""

COUNT_ATTEMPTS: Final = """
INSERT INTO webhooks_attemptcount AS c (outcome, attempts) SELECT * FROM unnest(%s::text[], %s::bigint[])
ON CONFLICT (outcome) DO UPDATE SET attempts = c.attempts + EXCLUDED.attempts
"""


def record(results: Sequence[Result]) -> None:
    """Record the results: attempt rows, the deliveries' next step, the endpoints' health.

    An attempt that ends after its lease ran out, or after its delivery was dropped, still counts if it
    succeeded; otherwise only its row is kept.
    """
    schedule = retries.schedule()
    with transaction.atomic():
        failing = _lock_failing(results)
        rows = {
            row.pk: row
            for row in Delivery.objects.select_for_update()
            .filter(pk__in={result.job.delivery_id for result in results})
            .order_by("pk")
        }
        # Deliveries that were deleted meanwhile, with their webhook, are ignored.
        results = [result for result in results if result.job.delivery_id in rows]
        steps = [
            step for result in results if (step := _step(result, rows[result.job.delivery_id], schedule))
        ]
        with connection.cursor() as cursor:
            if results:
                cursor.execute(
                    RECORD_ATTEMPTS, [list(column) for column in zip(*map(_attempt, results), strict=True)]
                )
            if steps:
                cursor.execute(RECORD_DELIVERIES, [list(column) for column in zip(*steps, strict=True)])
        # Last, because deactivating a webhook drops its pending deliveries.
        for webhook, verdicts in failing:
            health.update(webhook, verdicts)
        _count(results)


def _count(results: Sequence[Result]) -> None:
    """Count the attempts by verdict. Last in the transaction: all senders write to these few rows."""
    counts = sorted(Counter(judge(result.outcome).name.lower() for result in results).items())
    if counts:
        with connection.cursor() as cursor:
            cursor.execute(COUNT_ATTEMPTS, [list(column) for column in zip(*counts, strict=True)])


def _attempt(result: Result) -> tuple[object, ...]:
    job, outcome = result.job, result.outcome
    error = outcome.trouble.value if outcome.trouble else ""
    return (
        job.delivery_id,
        job.number,
        job.started_at,
        outcome.milliseconds,
        outcome.status,
        error,
        outcome.head,
    )


def _step(
    result: Result, row: Delivery, schedule: Schedule
) -> tuple[UUID, str, datetime | None, datetime | None] | None:
    verdict = judge(result.outcome)
    pending = row.status == Delivery.Status.PENDING
    if verdict is Verdict.DELIVERED:
        if row.status == Delivery.Status.SUCCEEDED:
            return None
        return row.pk, Delivery.Status.SUCCEEDED, None, result.ended_at
    if not pending or row.attempts != result.job.number:
        return None
    due = None
    if verdict is Verdict.RETRY and row.stream != TEST_STREAM:
        due = schedule.next(
            row.tries,
            ended=result.ended_at,
            outcome=result.outcome,
            chance=_chance,
        )
    if due is not None:
        return row.pk, Delivery.Status.PENDING, due, None
    return row.pk, Delivery.Status.FAILED, None, result.ended_at


def _lock_failing(results: Sequence[Result]) -> list[tuple[Webhook, list[tuple[Verdict, datetime]]]]:
    """Return the webhooks with a failure, locked, each with its verdicts; mark the others healthy."""
    by_webhook: dict[UUID, list[tuple[Verdict, datetime]]] = defaultdict(list)
    for result in results:
        verdict = judge(result.outcome)
        # A failed test does not count against the endpoint: the person who sent it sees the result.
        if verdict is Verdict.DELIVERED or "X-WokiBrain-Test" not in result.job.headers:
            by_webhook[result.job.webhook_id].append((verdict, result.job.started_at))
    failing = {
        webhook_id
        for webhook_id, verdicts in by_webhook.items()
        if any(verdict is not Verdict.DELIVERED for verdict, _ in verdicts)
    }
    # Lock every row that will be written at once and in order: two senders with mirrored results would deadlock.
    unhealthy = Q(pk__in=failing) | Q(pk__in=list(by_webhook)) & (
        Q(failures__gt=0) | Q(failing_since__isnull=False)
    )
    locked = list(Webhook.objects.select_for_update(no_key=True).filter(unhealthy).order_by("pk"))
    if recovered := [webhook.pk for webhook in locked if webhook.pk not in failing]:
        Webhook.objects.filter(pk__in=recovered).update(failures=0, open_until=None, failing_since=None)
    return [(webhook, by_webhook[webhook.pk]) for webhook in locked if webhook.pk in failing]


def next_due() -> datetime | None:
    """Return when the next delivery that may be sent is due; None when none waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT least(
                (SELECT min(greatest(first.due_at, coalesce(w.open_until, first.due_at)))
                 FROM webhooks_webhook w CROSS JOIN LATERAL (
                     SELECT greatest(d.due_at, coalesce(d.leased_until, d.due_at)) AS due_at FROM webhooks_delivery d
                     WHERE d.webhook_id = w.id AND d.status = 'PENDING' ORDER BY d.due_at LIMIT 1) AS first
                 WHERE w.status = 'ACTIVE' AND w.dropping_before IS NULL),
                (SELECT min(due_at) FROM webhooks_delivery
                 WHERE stream = '{TEST_STREAM}' AND status = 'PENDING'))
            """  # noqa: S608
        )
        due: datetime | None = cursor.fetchone()[0]
    return due
