"""The asynchronous half as real processes, on a private Postgres and Redis, for proofs and benchmarks.

with private_services() as services, Pipeline(services, kafka="127.0.0.1:9092") as pipeline:
    pipeline.start("relay", "worker")
    pipeline.append(booking_id, 1)
    pipeline.until_settled()
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg
import redis
from psycopg.types.json import Jsonb

from tests.processes import Services, manage
from tests.waiting import PATIENCE
from tests.wokibrain.events.support import payload
from wokibrain.core import env
from wokibrain.core.ids import uuid7
from wokibrain.events import readmodels
from wokibrain.events.store import COLUMNS
from wokibrain.events.types import Group
from wokibrain.management.commands.run import DELIVER
from wokibrain.server import sockets as processes

COMMANDS: Final = {
    "relay": ("manage.py", "relay"),
    "consume": ("manage.py", "consume", "--all"),
    "worker": ("-m", "celery", "-q", "-A", "wokibrain.celery", "worker", "--concurrency=2"),
    "deliver": DELIVER,
}
_numbers: Final = itertools.count()
INSERT: Final = (
    f"INSERT INTO events_storedevent ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
).encode()


def event_row(
    booking_id: str, version: int = 1, event_type: str = "BookingCreated", **fields: Any
) -> tuple[Any, ...]:
    """Return an event's row in the shape that the services write."""
    body = Jsonb(payload(booking_id, **fields))
    meta = Jsonb({"actor": "user:1", "requestId": None, "traceparent": None, "source": "rest"})
    return (uuid7(), "booking", booking_id, version, event_type, datetime.now(UTC), body, meta)


@dataclass
class Process:
    name: str
    log: Path
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, *COMMANDS[self.name], *self.arguments],
                cwd=env.ROOT,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=lambda: processes.die_with_parent(parent, signal.SIGKILL),
            )

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def kill(self) -> None:
        """Kill it and its children with SIGKILL."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()

    def stop(self, timeout: float = 30) -> int:
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout)

    def wait(self, timeout: float) -> int:
        assert self.child is not None
        return self.child.wait(timeout)

    def output(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Pipeline:
    services: Services
    kafka: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _link: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Pipeline:
        self._link = psycopg.connect(self.services.postgres.url, autocommit=True)
        self.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            # An orderly stop: a killed consumer stays a member of its group for a while.
            if process.name == "consume" and process.running and kind is None:
                process.stop()
        for process in reversed(self.processes):
            process.kill()
        if self._link is not None:
            self._link.close()

    @property
    def settings(self) -> dict[str, str]:
        own = {"KAFKA_BROKERS": self.kafka, "LOG_LEVEL": "WARNING", "EVENTS_REDRIVE_SECONDS": "3"}
        return dict(os.environ) | self.services.environment | own | dict(self.environment)

    def reset(self) -> None:
        """Delete every event and all that followed from it."""
        books = ("storedevent", "receipt", "watermark", "failure", "rebuild", "auditentry", "snapshot")
        figures = [
            model._meta.db_table for name in readmodels.names() for model in readmodels.get(name).models
        ]
        self.sql(f"TRUNCATE {', '.join([*(f'events_{book}' for book in books), *figures])}")

    def process(self, name: str, *arguments: str, **environment: str) -> Process:
        # Separate even if tests share the servers and their folder.
        log = self.services.folder / f"{name}-{next(_numbers)}.log"
        process = Process(name, log, self.settings | environment, arguments)
        self.processes.append(process)
        return process

    def start(self, *names: str) -> list[Process]:
        started = [self.process(name) for name in names]
        for process in started:
            process.start()
        return started

    # --- the database ---

    def reconnect(self) -> None:
        self._link = psycopg.connect(self.services.postgres.url, autocommit=True)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.services.postgres.url)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        assert self._link is not None
        cursor = self._link.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *parameters: Any) -> Any:
        return self.sql(statement, *parameters)[0][0]

    def append(
        self, booking_id: str = "", version: int = 1, event_type: str = "BookingCreated", **fields: Any
    ) -> Any:
        """Write one event and return its id."""
        row = event_row(booking_id or str(uuid7()), version, event_type, **fields)
        assert self._link is not None
        self._link.execute(INSERT, row)
        return row[0]

    def append_many(self, rows: Sequence[tuple[Any, ...]]) -> None:
        assert self._link is not None
        with self._link.cursor() as cursor:
            cursor.executemany(INSERT, rows)

    def unsettled(self) -> int:
        """Count the pending work: events to publish, events times consumers to handle, and retries.

        Events that wait for a newer program are not.
        """
        return int(
            self.value(
                """
                SELECT (SELECT count(*) FROM events_storedevent WHERE published_at IS NULL)
                     + (SELECT count(*) FROM events_failure
                        WHERE retry_at IS NOT NULL AND NOT starts_with(error, 'UnknownType: '))
                     + (SELECT count(*) FROM events_storedevent e CROSS JOIN events_watermark w
                        WHERE (e.published_at IS NULL OR e.published_at > coalesce(w.through, '-infinity'))
                          AND NOT EXISTS (SELECT FROM events_receipt r
                                          WHERE r.consumer = w.consumer AND r.event_id = e.event_id)
                          AND NOT EXISTS (SELECT FROM events_failure f
                                          WHERE f.consumer = w.consumer AND f.event_id = e.event_id))
                """
            )
        )

    def until_settled(self, timeout: float = PATIENCE) -> None:
        def done() -> bool:
            # A relay first gives the consumers their watermarks.
            return bool(self.value("SELECT count(*) FROM events_watermark")) and not self.unsettled()

        self.until(done, timeout, self._explain)

    def until(
        self, done: Callable[[], bool], timeout: float = PATIENCE, explain: Callable[[], str] = lambda: ""
    ) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(explain() or self._explain())
            time.sleep(0.02)

    def _explain(self) -> str:
        lasts = {process.name: process for process in self.processes}.values()
        tails = "\n".join(
            f"--- {process.name}, {'running' if process.running else 'ended'}\n{process.output()[-2500:]}"
            for process in lasts
        )
        with contextlib.suppress(RuntimeError):
            tails += manage("status", environment=self.settings)
        queues = redis.Redis.from_url(env.redis_database(self.services.redis.url, 1))
        lengths = {group.value: queues.llen(group.value) for group in Group}
        failures = self.sql("SELECT consumer, error, retry_at FROM events_failure LIMIT 5")
        return f"{self.unsettled()} unsettled; failures: {failures}; queues: {lengths}\n{tails}"


@contextlib.contextmanager
def running(pipeline: Pipeline, *names: str) -> Iterator[list[Process]]:
    started = pipeline.start(*names)
    try:
        yield started
    finally:
        for process in started:
            process.kill()
