"""The transaction in which a booking is written: locks, one round trip of reads, retries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeVar, overload

from django.db import Error, transaction

from bookings import metrics
from bookings.repository.ticket import Ticket
from bookings.transactions import locks
from bookings.transactions.locks import SectorDay, Wait
from wokibrain.core.errors import Conflict
from wokibrain.idempotency.keys import Past, Replay
from wokibrain.postgres.diagnosis import sqlstate
from wokibrain.postgres.pipeline import pipelined

logger = logging.getLogger("wokibrain.bookings")
Result = TypeVar("Result")

MAX_ATTEMPTS: Final = 5
# Overlap, deadlock, serialisation failure, lock time-out, and a reference or key used in between.
RETRIED_SQLSTATES: Final = frozenset({"23P01", "40P01", "40001", "55P03", "23505"})


@overload
def in_transaction_for(days: Iterable[SectorDay], write: Callable[[], Result]) -> Result: ...


@overload
def in_transaction_for(
    days: Iterable[SectorDay],
    write: Callable[[], Result],
    ticket: Ticket | None,
    *,
    send: Callable[[], None] | None = None,
) -> Result | Replay: ...


def in_transaction_for(
    days: Iterable[SectorDay],
    write: Callable[[], Result],
    ticket: Ticket | None = None,
    *,
    send: Callable[[], None] | None = None,
) -> Result | Replay:
    """Run ``write`` in one transaction that holds the locks of ``days``.

    The locks are taken before ``write`` reads availability, so that the loser of a race sees the tables that are
    left. Where they did not hold (a paused holder, an overlap from the day before) the database refuses, and
    ``write`` runs again with fresh availability, at most MAX_ATTEMPTS times; then Conflict is raised. A used ticket
    is replayed; a ticket whose later twin was refused raises IdempotencyInProgress and has no effect. If ``write``
    raises, the transaction is rolled back and the error propagates. ``send`` executes statements whose rows ``write``
    fetches: they travel with the locks, and the database runs them once it has granted these.
    """
    days = tuple(days)
    wait = Wait.begin()
    with locks.held(days, wait):
        for _ in range(MAX_ATTEMPTS):
            try:
                with transaction.atomic():
                    with pipelined():
                        locks.lock(days, wait, first=ticket.number if ticket else None)
                        stored = ticket.ask() if ticket else None
                        if send:
                            send()
                    metrics.LOCK_ACQUISITIONS.labels("postgres").inc(len(days))
                    past = ticket.past(stored) if ticket else Past()
                    if past.replay:
                        return past.replay
                    result = write()
                    past.check()
                    return result
            except Error as error:
                state = sqlstate(error)
                if state not in RETRIED_SQLSTATES:
                    raise
                logger.info("sector-day contended (%s), trying again", state)
                if state == "55P03" and wait.left <= 0:
                    break
    raise Conflict
