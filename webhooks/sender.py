"""Send due deliveries: HTTP in an event loop on a thread of its own, the database on the caller's thread.

So one process can have hundreds of attempts under way, and a receiver that hangs costs a socket, not a
worker. Advisory locks limit the number of running senders to WEBHOOK_PUMPS; one is enough unless it has
a processor to itself and still falls behind.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from webhooks import queue
from webhooks.http_client import Client, Outcome, Trouble
from webhooks.queue import Job, Result
from wokibrain.core import clock

MAX_UNDER_WAY: Final = 400
"""Attempts under way in one sender; well below the 1,024 files a process may have open by default."""
MAX_BATCH: Final = 100
"""Attempts claimed, and results recorded, in one transaction."""
PROMPT_SECONDS: Final = 1.0
"""An endpoint that takes longer to answer gets none of the places reserved for prompt ones."""
POLL_SECONDS: Final = 0.05
"""The pause between two looks at the queue."""
IDLE_SECONDS: Final = 2.0
"""How long a sender without work stays, in case more comes."""
LOOK_AHEAD_SECONDS: Final = 10.0
"""A sender stays for deliveries that are due within this time."""
MAX_RUN_SECONDS: Final = 120.0
"""A sender hands over to a new task after this time, so that a deployment need not wait longer for it."""
MAX_SILENCE: Final = "60s"
"""Postgres ends the session of a sender that is silent for longer, and so frees its place."""
PUMP_LOCK: Final = 0x574F4B58
"""The first key of the advisory locks; the second is the sender's number."""

STOP: Final = threading.Event()
"""Set when this process is about to end: attempts under way are finished, no new ones are claimed."""

MakeClient = Callable[[], Client]


def make_client() -> Client:
    return Client(timeout=settings.WEBHOOK_TIMEOUT_SECONDS)


class Sender:
    """Sends jobs on a thread with an event loop of its own and returns the results through a queue."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._results: SimpleQueue[tuple[Job, Outcome]] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-sender", daemon=True)
        self._under_way: dict[tuple[UUID, int], tuple[UUID, float]] = {}
        self._prompt: set[UUID] = set()

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
        current = asyncio.current_task()
        remaining = [task for task in asyncio.all_tasks() if task is not current]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def prompt_webhooks(self) -> list[UUID]:
        """Return the webhooks that answered promptly the last time and keep no attempt waiting now."""
        late = time.monotonic() - PROMPT_SECONDS
        return list(
            self._prompt - {webhook_id for webhook_id, began in self._under_way.values() if began < late}
        )

    def send(self, jobs: list[Job]) -> None:
        if jobs:
            now = time.monotonic()
            self._under_way |= {(job.delivery_id, job.number): (job.webhook_id, now) for job in jobs}
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
            # A defect of ours must not leave the delivery under way, though the receiver is not to blame.
            outcome = task.result() if error is None else Outcome(None, Trouble.PROTOCOL, 0)
            self._results.put((job, outcome))

    def results(self, wait: float) -> list[Result]:
        """Return up to MAX_BATCH results; wait up to ``wait`` seconds for the first."""
        finished: list[tuple[Job, Outcome]] = []
        try:
            finished.append(self._results.get(timeout=wait))
            while len(finished) < MAX_BATCH:
                finished.append(self._results.get_nowait())
        except Empty:
            pass
        for job, outcome in finished:
            self._under_way.pop((job.delivery_id, job.number), None)
            if outcome.ok and outcome.milliseconds <= PROMPT_SECONDS * 1000:
                self._prompt.add(job.webhook_id)
            else:
                self._prompt.discard(job.webhook_id)
        now = clock.now()
        return [Result(job, outcome, now) for job, outcome in finished]


def drain(make: MakeClient = make_client) -> int:
    """Send until nothing is due any more. Return the number of attempts."""
    attempts = 0
    with Sender(make) as sender:
        while True:
            ended = _turn(sender)
            attempts += ended
            if not ended and not sender.under_way:
                return attempts


def _turn(sender: Sender) -> int:
    """Claim once and record the results that are there. Return how many attempts ended."""
    ended: list[Result] = []
    room, only = _room(sender)
    if room:
        claim = queue.claim(room, concurrency=_share(sender.under_way), only=only)
        sender.send(claim.jobs)
        unsigned = Outcome(None, Trouble.SECRET, 0)
        ended += [Result(job, unsigned, clock.now()) for job in claim.unreadable]
    return _settle(sender, ended)


def _room(sender: Sender) -> tuple[int, list[UUID] | None]:
    """Return how many attempts may be claimed, and of which webhooks (None: of any).

    The last quarter of the places is reserved for endpoints that answer promptly, so that hanging ones can
    take three quarters at most. An endpoint that was never tried may use those three quarters.
    """
    open_to_all = MAX_UNDER_WAY * 3 // 4 - sender.under_way
    if open_to_all > 0:
        return min(open_to_all, MAX_BATCH), None
    return min(MAX_UNDER_WAY - sender.under_way, MAX_BATCH), sender.prompt_webhooks()


def _share(under_way: int) -> int | None:
    """Return the limit of attempts per webhook: low when places run out, so that hanging endpoints leave some free."""
    return None if under_way < MAX_UNDER_WAY // 2 else 2


def _settle(sender: Sender, ended: Sequence[Result] = ()) -> int:
    results = [*ended, *(sender.results(POLL_SECONDS) if sender.under_way else ())]
    if results:
        queue.record(results)
    return len(results)


def run(hand_over: Callable[[], None]) -> None:
    """Send while deliveries are due or will be shortly.

    Does nothing when WEBHOOK_PUMPS senders run already. Calls ``hand_over``, which must start another sender,
    when its time is up and when a delivery came in at the last moment.
    """
    ends = time.monotonic() + MAX_RUN_SECONDS
    with Sender(make_client) as sender:
        with _place() as free:
            if not free:
                return
            timed_out = _work(sender, ends)
        if timed_out or _due_shortly():
            hand_over()
        # Attempts that hang here block nothing: the next sender is at work already.
        while sender.under_way:
            _settle(sender)


def _work(sender: Sender, ends: float) -> bool:
    """Send until there is no work or the time is up. Return whether the time was up."""
    idle_from = time.monotonic()
    while time.monotonic() < ends and not STOP.is_set():
        if _turn(sender) or sender.under_way:
            idle_from = time.monotonic()
        elif time.monotonic() - idle_from > IDLE_SECONDS and not _due_shortly():
            return False
        else:
            STOP.wait(POLL_SECONDS)
    return True


def _due_shortly() -> bool:
    due = queue.next_due()
    return due is not None and (due - clock.now()).total_seconds() < LOOK_AHEAD_SECONDS


@contextmanager
def _place() -> Iterator[bool]:
    """Take one of the WEBHOOK_PUMPS places for this database session. Yield whether one was free."""
    place = next(
        (number for number in range(settings.WEBHOOK_PUMPS) if _lock("pg_try_advisory_lock", number)), None
    )
    if place is None:
        yield False
        return
    try:
        # A frozen sender loses its session and so its place; one that works queries many times a second.
        _end_session_after(MAX_SILENCE)
        yield True
    finally:
        _lock("pg_advisory_unlock", place)
        _end_session_after("0")


def _end_session_after(silence: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [silence])


def _lock(function: str, place: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [PUMP_LOCK, place])
        return bool(cursor.fetchone()[0])
