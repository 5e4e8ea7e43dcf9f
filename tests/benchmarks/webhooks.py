"""How fast webhooks are delivered. ``python -m tests.benchmarks.webhooks`` prints a markdown table.

On a private Postgres that syncs every commit, with one relay, one Celery worker of two processes and one worker that
delivers; receivers are one process. Deliveries a second stand beside a bare httpx loop to the same receivers in the
same run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")
django.setup()

import httpx  # noqa: E402

from tests.pipeline import COMMANDS, INSERT, Pipeline, event_row  # noqa: E402
from tests.processes import Services, private_services  # noqa: E402
from webhooks import encryption  # noqa: E402
from wokibrain.core.ids import uuid7  # noqa: E402
from wokibrain.management.commands.run import DELIVER  # noqa: E402

ENDPOINTS: Final = 50
RATE: Final = 50
SECONDS: Final = 20
BACKLOG: Final = 2_000
SETTINGS: Final = {"EVENTS_REDRIVE_SECONDS": "60", "LOG_LEVEL": "ERROR", "WEBHOOK_ALLOW_PRIVATE": "1"}
SECRET: Final = "a secret of the benchmarks"

RECEIVER: Final = """
import asyncio, sys, time
log = open(sys.argv[1], "w", buffering=1 << 16)
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin1").lower()
            length = int(head.split("content-length: ")[1].split("\\r\\n")[0])
            await reader.readexactly(length)
            path = head.split(" ")[1]
            event = head.split("webhook-id: ")[1].split("\\r\\n")[0] if "webhook-id: " in head else "-"
            log.write(f"{time.time()} {path} {event}\\n")
            if path == "/hang":
                await asyncio.sleep(60)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def flush():
    while True:
        await asyncio.sleep(0.2)
        log.flush()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(server.serve_forever(), flush())
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, its target, and its ceiling (empty if none applies)."""

    case: str
    value: str
    goal: str = ""
    ceiling: str = ""


@dataclass(frozen=True, slots=True)
class Receivers:
    url: str
    log: Path

    def arrivals(self) -> list[tuple[float, str, str]]:
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [(float(at), path, event) for at, path, event in lines]


@contextmanager
def receivers() -> Iterator[Receivers]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "arrivals"
        command = [sys.executable, "-c", RECEIVER, str(log)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield Receivers(f"http://127.0.0.1:{process.stdout.readline().strip()}", log)
            process.kill()


def run() -> list[Row]:
    COMMANDS.setdefault("deliver", DELIVER)
    rows = []
    with private_services(durable=True) as services:
        rows.append(_steady(services, rate=RATE, seconds=SECONDS, spread=True))
        rows.append(_steady(services, rate=4, seconds=SECONDS, spread=False))
        # Far more than one worker can send; the figure is how long it then takes.
        rows.append(_steady(services, rate=RATE, seconds=5, spread=False))
        rows.append(_throughput(services))
    return rows


def _endpoints(pipeline: Pipeline, base: str, *, spread: bool, hanging: int) -> None:
    """One webhook for each of 50 restaurants, or 50 webhooks of one."""
    pipeline.sql("TRUNCATE webhooks_webhook, webhooks_message CASCADE")
    for number in range(ENDPOINTS):
        place = f"R{number}" if spread else "R0"
        pipeline.sql(
            "INSERT INTO restaurants_restaurant (id, name, zone, min_party, max_party, min_duration, max_duration, "
            "refuse_past, plan_version, created_at, updated_at) "
            "VALUES (%s, %s, 'UTC', 1, 50, 30, 180, false, 1, now(), now()) ON CONFLICT DO NOTHING",
            place,
            place,
        )
        path = "hang" if number < hanging else str(number)
        pipeline.sql(
            "INSERT INTO webhooks_webhook (id, restaurant_id, url, events, status, reason, secret, previous_secret, "
            "failures, created_at, updated_at) "
            "VALUES (%s, %s, %s, '{booking.created}', 'ACTIVE', '', %s, '', 0, now(), now())",
            uuid7(),
            place,
            f"{base}/{path}",
            encryption.seal(SECRET),
        )


def _steady(services: Services, *, rate: int, seconds: int, spread: bool) -> Row:
    """From just before an event's insert to its arrival at the receivers that do not hang."""
    with receivers() as there, Pipeline(services, environment=SETTINGS) as pipeline:
        _endpoints(pipeline, there.url, spread=spread, hanging=1)
        pipeline.start("relay", "worker", "deliver")
        with pipeline.connect() as link:
            # The first ones warm up and are not counted.
            link.execute(
                INSERT, event_row(str(uuid7()), restaurantId=f"R{ENDPOINTS - 1}" if spread else "R0")
            )
            link.commit()
            pipeline.until(lambda: bool(there.arrivals()), 60)
            time.sleep(3)
            sent_at: dict[str, float] = {}
            began = time.monotonic()
            for number in range(rate * seconds):
                row = event_row(str(uuid7()), restaurantId=f"R{number % ENDPOINTS}" if spread else "R0")
                sent_at[str(row[0])] = time.time()
                link.execute(INSERT, row)
                link.commit()
                time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        healthy = len(sent_at) * (ENDPOINTS - 1) // (ENDPOINTS if spread else 1)

        def arrived() -> list[float]:
            return [
                at - sent_at[event]
                for at, path, event in there.arrivals()
                if event in sent_at and path != "/hang"
            ]

        pipeline.until(lambda: len(arrived()) >= healthy, 120)
        waits = sorted(arrived())
    cuts = quantiles(waits, n=100)
    endpoints = "one endpoint each" if spread else f"{ENDPOINTS} endpoints each"
    return Row(
        f"commit to receiver, {rate} events/s to {endpoints} for {seconds} s, 1 of {ENDPOINTS} hanging",
        f"p50 {cuts[49] * 1000:.0f} ms, p95 {cuts[94] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms",
        "p95 <= 2,000 ms",
        f"{len(waits)} arrivals for {healthy} due",
    )


def _throughput(services: Services) -> Row:
    """Measure queued deliveries sent by one worker, without the fan-out."""
    with receivers() as there, Pipeline(services, environment=SETTINGS) as pipeline:
        _endpoints(pipeline, there.url, spread=True, hanging=0)
        pipeline.start("relay", "worker")
        pipeline.append_many(
            [event_row(str(uuid7()), restaurantId=f"R{number % ENDPOINTS}") for number in range(BACKLOG)]
        )
        pipeline.until(lambda: pipeline.value("SELECT count(*) FROM webhooks_delivery") >= BACKLOG, 120)
        pipeline.processes[1].stop()
        pipeline.start("deliver")
        pipeline.until(lambda: len(there.arrivals()) >= BACKLOG, 120)
        at = sorted(at for at, _, _ in there.arrivals())
        rate = len(at) / (at[-1] - at[0])
        bare = {keepalive: asyncio.run(_bare(there.url, keepalive)) for keepalive in (0, 50)}
    return Row(
        f"one worker, {BACKLOG:,} deliveries waiting for {ENDPOINTS} endpoints",
        f"{rate:,.0f} deliveries/s",
        "",
        f"bare httpx loop, 50 at a time: {bare[0]:,.0f}/s a connection each, {bare[50]:,.0f}/s kept open",
    )


async def _bare(url: str, keepalive: int) -> float:
    body = b"x" * 400
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=keepalive)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        turns = asyncio.Semaphore(50)

        async def one() -> None:
            async with turns:
                (await client.post(url, content=body)).raise_for_status()

        began = time.monotonic()
        await asyncio.gather(*(one() for _ in range(BACKLOG)))
        return BACKLOG / (time.monotonic() - began)


def main() -> None:
    print("| what | measured | goal | ceiling |\n|---|---|---|---|")
    for row in run():
        print(f"| {row.case} | {row.value} | {row.goal} | {row.ceiling} |")


if __name__ == "__main__":
    main()
