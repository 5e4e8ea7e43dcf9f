"""Taking turns at a sector-day: locks, transaction, retries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeVar, overload

import psycopg
from django.db import Error, connection, transaction

from bookings import locking
from bookings.idempotency import Replay, Ticket
from bookings.locking import SectorDay, Wait
from wokibrain.errors import Conflict, IdempotencyInProgress

logger = logging.getLogger("wokibrain.bookings")
Result = TypeVar("Result")

ATTEMPTS: Final = 5
# Overlap, deadlock, serialisation failure, lock time-out, and a reference or key taken in between.
RETRIED: Final = frozenset({"23P01", "40P01", "40001", "55P03", "23505"})


def sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


@overload
def take_turn(days: Iterable[SectorDay], work: Callable[[], Result]) -> Result: ...


@overload
def take_turn(
    days: Iterable[SectorDay], work: Callable[[], Result], ticket: Ticket | None
) -> Result | Replay: ...


def take_turn(
    days: Iterable[SectorDay], work: Callable[[], Result], ticket: Ticket | None = None
) -> Result | Replay:
    """Run ``work`` in one transaction while nobody else works on ``days``.

    The lock is taken before ``work`` reads availability, so that the loser of a race sees what is
    left. Where the locks did not hold (a paused holder, an overlap from the day before) the
    database refuses, and ``work`` runs again with fresh availability, at most five times; then
    Conflict is raised. A ticket that was used is replayed; one whose twin still runs when the wait
    is over raises IdempotencyInProgress. What ``work`` raises, nothing of it having happened, passes.
    """
    days = tuple(days)
    wait = Wait.begin()
    with locking.held(days, wait):
        for _ in range(ATTEMPTS):
            try:
                with transaction.atomic():
                    locking.lock(days, wait, first=ticket.number if ticket else None)
                    if ticket and (replay := ticket.replay()):
                        return replay
                    return work()
            except Error as error:
                state = sqlstate(error)
                if state not in RETRIED:
                    raise
                logger.info("sector-day contended (%s), trying again", state)
                if state == "55P03" and wait.left <= 0:
                    break
    if ticket and not _free(ticket.number):
        raise IdempotencyInProgress
    raise Conflict


def _free(number: int) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        (free,) = cursor.fetchone()
    return bool(free)
