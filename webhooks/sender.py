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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from webhooks import queue as delivery
from webhooks.http_client import Client, Outcome, Trouble
from webhooks.queue import Done, Job
from wokibrain.core import clock

MOST: Final = 400
"""Attempts under way in one pump; well below the 1,024 files a process may have open by default."""
BATCH: Final = 100
BRISK: Final = 1.0
"""An endpoint that takes longer to answer, in seconds, has no part in the places kept for those who do."""
POLL: Final = 0.05
LINGER: Final = 2.0
AHEAD: Final = 10.0
LIFE: Final = 120.0
SILENCE: Final = "60s"
PUMP_LOCK: Final = 0x574F4B58

STOP: Final = threading.Event()
"""Set when this process is to end: what is under way is finished, nothing new is taken."""

MakeClient = Callable[[], Client]


def make_client() -> Client:
    return Client(timeout=settings.WEBHOOK_TIMEOUT_SECONDS)


class Sender:
    """Sends jobs in a thread with an event loop; results come out of a queue."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._results: queue.SimpleQueue[tuple[Job, Outcome]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-sender", daemon=True)
        self._begun: dict[tuple[UUID, int], tuple[UUID, float]] = {}
        self._brisk: set[UUID] = set()

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

    @property
    def under_way(self) -> int:
        return len(self._begun)

    def brisk(self) -> list[UUID]:
        """The webhooks that took what they got last, at once, and let nothing wait now."""
        late = time.monotonic() - BRISK
        return list(self._brisk - {webhook_id for webhook_id, began in self._begun.values() if began < late})

    def send(self, jobs: list[Job]) -> None:
        if jobs:
            now = time.monotonic()
            self._begun |= {(job.delivery_id, job.number): (job.webhook_id, now) for job in jobs}
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
            self._results.put((job, outcome))

    def results(self, wait: float) -> list[Done]:
        """What is finished; waits up to ``wait`` seconds for a first one."""
        found: list[tuple[Job, Outcome]] = []
        try:
            found.append(self._results.get(timeout=wait))
            while len(found) < BATCH:
                found.append(self._results.get_nowait())
        except queue.Empty:
            pass
        for job, outcome in found:
            self._begun.pop((job.delivery_id, job.number), None)
            if outcome.ok and outcome.milliseconds <= BRISK * 1000:
                self._brisk.add(job.webhook_id)
            else:
                self._brisk.discard(job.webhook_id)
        now = clock.now()
        return [Done(job, outcome, now) for job, outcome in found]


def drain(make: MakeClient = make_client) -> int:
    """Send what is due now, and what becomes due meanwhile, until nothing is. Returns how many attempts."""
    made = 0
    with Sender(make) as sender:
        while True:
            ended = _turn(sender)
            made += ended
            if not ended and not sender.under_way:
                return made


def _turn(sender: Sender) -> int:
    """One claim and one look at the results. Returns how many attempts ended."""
    ended: list[Done] = []
    room, only = _room(sender)
    if room:
        taken = delivery.claim(room, concurrency=_share(sender.under_way), only=only)
        sender.send(taken.jobs)
        failed = Outcome(None, Trouble.SECRET, 0)
        ended += [Done(job, failed, clock.now()) for job in taken.unreadable]
    return _settle(sender, ended)


def _room(sender: Sender) -> tuple[int, list[UUID] | None]:
    """How many attempts may be claimed, and of which webhooks (None: of any).

    The last quarter of the places is for those who answer, so that however many hang they get no more than the
    rest. Who is not known yet has a place among those.
    """
    open_to_all = MOST * 3 // 4 - sender.under_way
    if open_to_all > 0:
        return min(open_to_all, BATCH), None
    return min(MOST - sender.under_way, BATCH), sender.brisk()


def _share(under_way: int) -> int | None:
    """How many attempts one webhook may have: few where places run out, so that those who hang leave some free."""
    return None if under_way < MOST // 2 else 2


def _settle(sender: Sender, ended: Sequence[Done] = ()) -> int:
    found = [*ended, *(sender.results(POLL) if sender.under_way else ())]
    if found:
        delivery.record(found)
    return len(found)


def run(hand_over: Callable[[], None]) -> None:
    """Send while there is something to send or will be shortly.

    Does nothing when as many pumps run as may. When its time is up, or when it ends and finds that something
    came in at the last moment, it calls ``hand_over``, which is to see to it that another one runs.
    """
    ends = time.monotonic() + LIFE
    with Sender(make_client) as sender:
        with _place() as found:
            if not found:
                return
            tired = _work(sender, ends)
        if tired or _due_shortly():
            hand_over()
        # What hangs here holds nothing up: the next pump is at work already.
        while sender.under_way:
            _settle(sender)


def _work(sender: Sender, ends: float) -> bool:
    """Returns whether it ended because its time was up, not for lack of work."""
    idle_from = time.monotonic()
    while time.monotonic() < ends and not STOP.is_set():
        if _turn(sender) or sender.under_way:
            idle_from = time.monotonic()
        elif time.monotonic() - idle_from > LINGER and not _due_shortly():
            return False
        else:
            STOP.wait(POLL)
    return True


def _due_shortly() -> bool:
    due = delivery.next_due()
    return due is not None and (due - clock.now()).total_seconds() < AHEAD


@contextmanager
def _place() -> Iterator[bool]:
    """One of the WEBHOOK_PUMPS places, while there is one; held by the database session."""
    place = next(
        (number for number in range(settings.WEBHOOK_PUMPS) if _lock("pg_try_advisory_lock", number)), None
    )
    if place is None:
        yield False
        return
    try:
        # Whoever is frozen loses the place with the session; one that works asks many times a second.
        _let_go_after(SILENCE)
        yield True
    finally:
        _lock("pg_advisory_unlock", place)
        _let_go_after("0")


def _let_go_after(silence: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [silence])


def _lock(function: str, place: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [PUMP_LOCK, place])
        return bool(cursor.fetchone()[0])
