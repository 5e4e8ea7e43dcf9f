"""Other database sessions that work, or hold locks, during a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connections, transaction

from tests.waiting import PATIENCE, until, waiting_for_locks
from webhooks.models import Delivery, Webhook


@contextmanager
def elsewhere(webhook: Webhook) -> Iterator[None]:
    """Have another session lock the webhook's deliveries during the block, as a deletion does."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Delivery.objects.select_for_update().filter(webhook=webhook))
            locked.set()
            over.wait(PATIENCE)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(PATIENCE)
        yield
    finally:
        over.set()
        thread.join()


class Sessions:
    """Functions run concurrently with the test, each in a separate database session."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)

    def start(self, work: Callable[[], object], *, waiting: int = 0) -> Future[object]:
        """Start a function; return once it ended, or that many sessions wait for locks."""
        future = self.pool.submit(self._alone, work)
        assert until(lambda: future.done() or waiting_for_locks() >= waiting)
        return future

    @staticmethod
    def _alone(work: Callable[[], object]) -> object:
        try:
            return work()
        finally:
            connections.close_all()
