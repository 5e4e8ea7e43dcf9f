"""Other database sessions that are at work, or hold locks, while a test does something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection, connections, transaction

from tests.waiting import until
from webhooks.models import Delivery, Webhook


@contextmanager
def elsewhere(webhook: Webhook) -> Iterator[None]:
    """Meanwhile another session has the deliveries of the webhook locked, as a deletion has."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Delivery.objects.select_for_update().filter(webhook=webhook))
            locked.set()
            over.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(5)
        yield
    finally:
        over.set()
        thread.join()


class Sessions:
    """Work done at the same time as the test's, each piece in a database session of its own."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)

    def start(self, work: Callable[[], object], *, waiting: int = 0) -> Future[object]:
        """Returns once it ended, or so many sessions wait for locks."""
        future = self.pool.submit(self._alone, work)
        assert until(lambda: future.done() or self.waiting() >= waiting)
        return future

    @staticmethod
    def _alone(work: Callable[[], object]) -> object:
        try:
            return work()
        finally:
            connections.close_all()

    @staticmethod
    def waiting() -> int:
        with connection.cursor() as cursor:
            # Within a transaction it would be seen once and kept.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return int(cursor.fetchone()[0])
