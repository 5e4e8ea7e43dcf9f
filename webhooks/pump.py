"""Sends what is due: HTTP in an event loop of its own thread, the database in the caller's.

One process can so have hundreds of attempts under way, and a receiver that hangs costs a socket, not a
worker. How many pumps run at a time is bounded by WEBHOOK_PUMPS (advisory locks); one is enough unless it
has the processor to itself and is still behind.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django.conf import settings
from django.db import connection

from webhooks import delivery
from webhooks.delivery import Done, Job
from webhooks.transport import Client, Outcome, Trouble
from wokibrain import clock

MOST: Final = 400
"""Attempts under way in one pump; well below the 1,024 files a process may have open by default."""
BATCH: Final = 200
POLL: Final = 0.05
LINGER: Final = 2.0
AHEAD: Final = 10.0
LIFE: Final = 60.0
PUMP_LOCK: Final = 0x574F4B58

MakeClient = Callable[[], Client]


def make_client() -> Client:
    return Client(timeout=settings.WEBHOOK_TIMEOUT_SECONDS)


class Sender:
    """Sends jobs in a thread with an event loop; results come out of a queue."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._results: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-sender", daemon=True)
        self.under_way = 0

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _close(self) -> None:
        mine = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not mine]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def send(self, jobs: list[Job]) -> None:
        if jobs:
            self.under_way += len(jobs)
            self._loop.call_soon_threadsafe(self._start, jobs)

    def _start(self, jobs: list[Job]) -> None:
        if self._client is None:
            self._client = self._make()
        for job in jobs:
            task = self._loop.create_task(self._client.post(job.url, headers=job.headers, body=job.body))
            task.add_done_callback(lambda task, job=job: self._finish(task, job))  # type: ignore[misc]

    def _finish(self, task: asyncio.Task[Outcome], job: Job) -> None:
        if not task.cancelled():
            error = task.exception()
            # A defect of ours is not the receiver's fault, but it must not leave the delivery under way.
            outcome = task.result() if error is None else Outcome(None, Trouble.PROTOCOL, 0)
            self._results.put(Done(job, outcome, clock.now()))

    def results(self, wait: float) -> list[Done]:
        """What is finished; waits up to ``wait`` seconds for a first one."""
        found: list[Done] = []
        try:
            found.append(self._results.get(timeout=wait) if wait > 0 else self._results.get_nowait())
            while len(found) < BATCH:
                found.append(self._results.get_nowait())
        except queue.Empty:
            pass
        self.under_way -= len(found)
        return found


def drain(make: MakeClient = make_client) -> int:
    """Send what is due now, and what becomes due meanwhile, until nothing is. Returns how many attempts."""
    made = 0
    with Sender(make) as sender:
        while True:
            made += _turn(sender)
            if not sender.under_way and not _turn(sender):
                return made


def _turn(sender: Sender) -> int:
    """One claim and one look at the results. Returns how many attempts ended."""
    taken = delivery.claim(min(MOST - sender.under_way, BATCH)) if sender.under_way < MOST else None
    ended: list[Done] = []
    if taken:
        sender.send(taken.jobs)
        failed = Outcome(None, Trouble.SECRET, 0)
        ended += [Done(job, failed, clock.now()) for job in taken.unreadable]
    ended += sender.results(POLL if sender.under_way else 0)
    if ended:
        delivery.record(ended)
    return len(ended)


def run() -> bool:
    """Send while there is something to send or will be shortly, for a minute at most.

    Returns whether there is more to do. Does nothing when as many pumps run as may.
    """
    with _place() as found:
        if not found:
            return False
        return _pump()


def _pump() -> bool:
    ends = time.monotonic() + LIFE
    idle_from = time.monotonic()
    with Sender(make_client) as sender:
        while True:
            late = time.monotonic() > ends
            if late and not sender.under_way:
                return True
            # At the end of its life it lets what is under way finish, and takes nothing new.
            ended = _settle(sender) if late else _turn(sender)
            if ended or sender.under_way:
                idle_from = time.monotonic()
                continue
            if time.monotonic() - idle_from > LINGER and not _due_shortly():
                return False
            time.sleep(POLL)


def _settle(sender: Sender) -> int:
    ended = sender.results(POLL)
    if ended:
        delivery.record(ended)
    return len(ended)


def _due_shortly() -> bool:
    due = delivery.next_due()
    return due is not None and (due - clock.now()).total_seconds() < AHEAD


@contextmanager
def _place() -> Iterator[bool]:
    """One of the WEBHOOK_PUMPS places, while there is one; held by the database session."""
    with connection.cursor() as cursor:
        for number in range(settings.WEBHOOK_PUMPS):
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [PUMP_LOCK, number])
            if cursor.fetchone()[0]:
                break
        else:
            yield False
            return
    try:
        yield True
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [PUMP_LOCK, number])
