"""The relay: hands every committed event on, in order, and marks it published.

One relay is active and holds an advisory lock of its session; others stand by and take over when that session ends.
It reads the unpublished events, not those behind a remembered position: positions commit out of order, and a relay
with a cursor would lose those that commit late. It hands events on before it marks them, so a relay that dies in
between hands some on twice. None is lost, and receipts keep consumers from acting twice.

Waking it: NOTIFY takes a lock that every notifying commit waits for (measured with 16 writers: 2,400 commits a second
instead of 7,400-9,200; this way 8,700). So a writer notifies the relay only while it sleeps. A sleeping relay holds
the wake lock; the trigger in migration 0003 tries that lock in share mode, and notifies if it cannot have it. While
the relay can take the lock, no transaction that decided not to notify is open; while it cannot, it polls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import QuerySet

from wokibrain.core import failpoints
from wokibrain.events import sweeper, types
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent
from wokibrain.events.outlets import Outlet, OutletDown
from wokibrain.postgres import diagnosis

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500
"""Events handed on at a time; the size of the transaction that marks them."""
RELAY_LOCK: Final = 0x574F4B49
WAKE_LOCK: Final = 0x574F4B4A
CHANNEL: Final = "wokibrain_events"
STANDBY_SECONDS: Final = 0.5
"""Between two tries of a relay that stands by to become the active one."""
POLL_SECONDS: Final = 0.05
"""Between two looks at the store while the relay may not sleep; also the first pause after an outage."""
GATHER_SECONDS: Final = 0.05
"""How long the relay waits for more events after a batch that was not full: consumers work in batches."""
MAX_SLEEP_SECONDS: Final = 0.5
"""How long the relay sleeps without a notification; the sweeper's retries come round as often."""
MAX_PAUSE_SECONDS: Final = 5.0
"""Between two tries while Postgres or the outlet is away."""

FAULT_POINTS: Final = tuple(
    f"relay.{point}" for point in ("locked", "read", "half-sent", "sent", "marked", "committed")
)


class Relay:
    """Hands events on to ``outlet``; ``sent`` counts them. Use one per process."""

    def __init__(self, outlet: Outlet, *, batch: int = MAX_BATCH) -> None:
        self.outlet = outlet
        self.batch = batch
        self.sent = 0
        self._sweeper = sweeper.Sweeper()

    def run(self, stop: threading.Event) -> None:
        """Relay until ``stop`` is set, through any outage of Postgres or of the outlet."""
        pause = POLL_SECONDS
        while not stop.is_set():
            try:
                self._serve(stop)
                pause = POLL_SECONDS
            except (OutletDown, DatabaseError, InterfaceError) as error:
                cause = str(error) if isinstance(error, OutletDown) else diagnosis.sentence(error)
                log.warning("events wait: %s", cause or f"Postgres: {type(error).__name__}")
                # Ends the session and releases its locks, so that a relay on standby can take over.
                connection.close()
                stop.wait(pause)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
        connection.close()

    def _serve(self, stop: threading.Event) -> None:
        if not _try_lock(RELAY_LOCK):
            stop.wait(STANDBY_SECONDS)
            return
        failpoints.point("relay.locked")
        log.info("relay active")
        sweeper.prepare()
        _execute(f"LISTEN {CHANNEL}")
        while not stop.is_set():
            handed_on = self.step()
            self._sweeper.sweep()
            self.outlet.idle()
            if not handed_on:
                self._rest(stop)
            elif handed_on < self.batch:
                stop.wait(GATHER_SECONDS)

    def step(self) -> int:
        """Hand on one batch. Return how many events it had."""
        rows = list(_unpublished().order_by("position")[: self.batch])
        if not rows:
            return 0
        failpoints.point("relay.read")
        halfway = (
            partial(failpoints.point, "relay.half-sent") if failpoints.armed("relay.half-sent") else None
        )
        self.outlet.send([Envelope.as_written(row) for row in rows], halfway)
        failpoints.point("relay.sent")
        with transaction.atomic():
            mark_published([row.position for row in rows])
            failpoints.point("relay.marked")
        failpoints.point("relay.committed")
        self.sent += len(rows)
        return len(rows)

    def _rest(self, stop: threading.Event) -> None:
        if not _try_lock(WAKE_LOCK):
            stop.wait(POLL_SECONDS)
            return
        try:
            # Every writer that did not notify has committed by now.
            if not _unpublished().exists():
                _wait_for_notify(MAX_SLEEP_SECONDS)
        finally:
            _execute("SELECT pg_advisory_unlock(%s)", WAKE_LOCK)


def _unpublished() -> QuerySet[StoredEvent]:
    """Return the events to hand on. Those of a topic that only a newer program knows wait for its relay."""
    return StoredEvent.objects.filter(published_at=None, aggregate_type__in=types.topics())


def mark_published(positions: Sequence[int]) -> None:
    """Mark these events as published, at a time later than that of any event marked before."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE events_storedevent SET published_at = greatest(
                statement_timestamp(),
                (SELECT max(published_at) FROM events_storedevent WHERE published_at IS NOT NULL)
                    + interval '1 microsecond')
            WHERE position = ANY (%s) AND published_at IS NULL
            """,
            [list(positions)],
        )


def _try_lock(key: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        return bool(cursor.fetchone()[0])


def _execute(sql: str, *parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _wait_for_notify(seconds: float) -> None:
    assert connection.connection is not None
    for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
        return
