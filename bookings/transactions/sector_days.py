"""Taking turns at a sector-day: locks, transaction, retries."""

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
from wokibrain.postgres.pipeline import together

logger = logging.getLogger("wokibrain.bookings")
Result = TypeVar("Result")

ATTEMPTS: Final = 5
# Overlap, deadlock, serialisation failure, lock time-out, and a reference or key taken in between.
RETRIED: Final = frozenset({"23P01", "40P01", "40001", "55P03", "23505"})


@overload
def take_turn(days: Iterable[SectorDay], work: Callable[[], Result]) -> Result: ...


@overload
def take_turn(
    days: Iterable[SectorDay],
    work: Callable[[], Result],
    ticket: Ticket | None,
    *,
    ahead: Callable[[], None] | None = None,
) -> Result | Replay: ...


def take_turn(
    days: Iterable[SectorDay],
    work: Callable[[], Result],
    ticket: Ticket | None = None,
    *,
    ahead: Callable[[], None] | None = None,
) -> Result | Replay:
    """Run ``work`` in one transaction while nobody else works on ``days``.

    The lock is taken before ``work`` reads availability, so that the loser of a race sees what is
    left. Where the locks did not hold (a paused holder, an overlap from the day before) the
    database refuses, and ``work`` runs again with fresh availability, at most five times; then
    Conflict is raised. A ticket that was used is replayed; one whose later twin was refused raises
    IdempotencyInProgress and takes no effect. What ``work`` raises, nothing of it having happened,
    passes; whoever has a ticket lets ``keys.settle`` see it. ``ahead`` may execute what ``work`` will
    fetch: it goes to the database with the locks, and is run when they are held.
    """
    days = tuple(days)
    wait = Wait.begin()
    with locks.held(days, wait):
        for _ in range(ATTEMPTS):
            try:
                with transaction.atomic():
                    with together():
                        locks.lock(days, wait, first=ticket.number if ticket else None)
                        asked = ticket.ask() if ticket else None
                        if ahead:
                            ahead()
                    metrics.LOCK_ACQUISITIONS.labels("postgres").inc(len(days))
                    past = ticket.past(asked) if ticket else Past()
                    if past.replay:
                        return past.replay
                    done = work()
                    past.check()
                    return done
            except Error as error:
                state = sqlstate(error)
                if state not in RETRIED:
                    raise
                logger.info("sector-day contended (%s), trying again", state)
                if state == "55P03" and wait.left <= 0:
                    break
    raise Conflict
