"""The relay: hands every committed event on, in order, and marks it published.

One relay is active, under a session's advisory lock; others stand by and take over when that session ends.
It reads what is unpublished, not what lies behind a remembered position: positions commit out of order, and
a relay with a cursor loses those that come late. Handing on comes before marking, so a relay that dies in
between hands some events on twice; none is lost, and consumers have receipts.

Waking it: NOTIFY takes a lock that every notifying commit waits for (measured with 16 writers: 2,400 commits
a second instead of 7,400-9,200; this way 8,700). So a writer only notifies a relay that sleeps. A relay that
sleeps holds the wake lock; the trigger in migration 0003 tries it in share mode, and notifies when it is taken.
While the relay can take it, no transaction is under way that decided not to notify; while it cannot, it polls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from django.db import DatabaseError, InterfaceError, connection, transaction

from wokibrain.core import failpoints
from wokibrain.events import sweeper
from wokibrain.events.models import StoredEvent
from wokibrain.events.outlets import Outlet, OutletDown
from wokibrain.events.store import Envelope
from wokibrain.postgres import diagnosis

log = logging.getLogger(__name__)

BATCH: Final = 500
RELAY_LOCK: Final = 0x574F4B49
WAKE_LOCK: Final = 0x574F4B4A
CHANNEL: Final = "wokibrain_events"
STANDBY_PAUSE: Final = 0.5
POLL: Final = 0.05
GATHER: Final = 0.05
SLEEP: Final = 0.5
LONGEST_PAUSE: Final = 5.0

FAULT_POINTS: Final = tuple(
    f"relay.{point}" for point in ("locked", "read", "half-sent", "sent", "marked", "committed")
)


class Relay:
    def __init__(self, outlet: Outlet, *, batch: int = BATCH) -> None:
        self.outlet = outlet
        self.batch = batch
        self.sent = 0
        self._sweeper = sweeper.Sweeper()

    def run(self, stop: threading.Event) -> None:
        """Relay until ``stop`` is set, through any outage of Postgres or of the outlet."""
        pause = POLL
        while not stop.is_set():
            try:
                self._serve(stop)
                pause = POLL
            except (OutletDown, DatabaseError, InterfaceError) as error:
                said = str(error) if isinstance(error, OutletDown) else diagnosis.sentence(error)
                log.warning("events wait: %s", said or f"Postgres: {type(error).__name__}")
                # Ends the session, and with it its locks: whoever stands by may try.
                connection.close()
                stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        connection.close()

    def _serve(self, stop: threading.Event) -> None:
        if not _try_lock(RELAY_LOCK):
            stop.wait(STANDBY_PAUSE)
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
                # Let a few more gather: consumers work in batches.
                stop.wait(GATHER)

    def step(self) -> int:
        """Hand on one batch; how many events that were."""
        rows = list(StoredEvent.objects.filter(published_at=None).order_by("position")[: self.batch])
        if not rows:
            return 0
        failpoints.point("relay.read")
        halfway = (
            partial(failpoints.point, "relay.half-sent") if failpoints.armed("relay.half-sent") else None
        )
        self.outlet.send([Envelope.stored(row) for row in rows], halfway)
        failpoints.point("relay.sent")
        with transaction.atomic():
            mark_published([row.position for row in rows])
            failpoints.point("relay.marked")
        failpoints.point("relay.committed")
        self.sent += len(rows)
        return len(rows)

    def _rest(self, stop: threading.Event) -> None:
        if not _try_lock(WAKE_LOCK):
            stop.wait(POLL)
            return
        try:
            # Whoever wrote without notifying has committed by now.
            if not StoredEvent.objects.filter(published_at=None).exists():
                _wait_for_notify(SLEEP)
        finally:
            _execute("SELECT pg_advisory_unlock(%s)", WAKE_LOCK)


def mark_published(positions: Sequence[int]) -> None:
    """Mark as handed on, at a time later than that of every earlier mark."""
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
