"""Requests a second over HTTP, each beside a bare Django view behind the same middleware in the same run;
and a create beside the same rows written by pgbench. ``python -m tests.benchmarks.http`` prints the tables.

The load tool is wrk (Debian: apt install wrk); without it there is nothing to report.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from bookings import transactions
from bookings.availability import day
from bookings.repository import statements
from tests.benchmarks.report import Section
from tests.ledger import set_up, sql
from tests.processes import Services, private_services
from wokibrain import embedded
from wokibrain.core import env
from wokibrain.events.sql import APPEND_CTE
from wokibrain.server import sockets

SCRIPT = Path(__file__).with_name("load.lua")
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
CONNECTIONS = (16, 64)
MODES = {
    "bare": "bare Django view",
    "discover5": "discover, 5 tables",
    "discover30": "discover, 30 tables",
    "list": "list a day (60 bookings)",
    "one": "get",
    "create": "create, 30 tables",
}
TARGETS = {"discover30": 40, "list": 40, "create": 12}


@dataclass(frozen=True, slots=True)
class Measure:
    """One run of wrk. Latencies, and the servers' CPU time for one request, in milliseconds."""

    per_second: float
    p50: float
    p95: float
    p99: float
    errors: int
    cpu: float
    cpu_of: str


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    services: Services
    booking: str


@contextlib.contextmanager
def server(**environment: str) -> Iterator[Server]:
    """Run the product with two web processes on a durable Postgres, with data for the requests."""
    (sock,) = sockets.listen("127.0.0.1", 0, 1)
    port = sock.getsockname()[1]
    sock.close()
    url = f"http://127.0.0.1:{port}"
    with private_services(durable=True) as services:
        settings = {
            **os.environ,
            **services.environment,
            "PORT": str(port),
            "WEB_PROCESSES": "2",
            "RATE_LIMIT_MAX": "0",
            "LOG_LEVEL": "WARNING",
            **environment,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "wokibrain.serve"], cwd=env.ROOT, env=settings, process_group=0
        )
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health/live", timeout=1):
                    break
                time.sleep(0.1)
            yield Server(url, services, _data(url, services))
        finally:
            process.terminate()
            process.wait(30)


def _data(url: str, services: Services) -> str:
    """Create B5 and B30, about half booked on 2027-03-10 (B30: 60 bookings); return a booking's reference."""
    reference = ""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for tables in (5, 30):
            name = f"B{tables}"
            sizes = [(1, 2), (2, 4), (2, 4), (4, 6), (2, 4)]
            set_up(client, name, {f"{name}S": {f"{name}-{n}": sizes[n % 5] for n in range(tables)}})
            for number in range(2 * tables):
                body = {
                    "restaurantId": name,
                    "sectorId": f"{name}S",
                    "partySize": 2 + number % 3,
                    "durationMinutes": 90,
                    "date": "2027-03-10",
                }
                body |= {"windowStart": "20:30"} if number % 2 else {"windowStart": "13:00"}
                answer = client.post("/api/v1/woki/bookings", json=body)
                assert answer.status_code == 201, answer.text
                reference = answer.json()["reference"]
    sql(services, "VACUUM ANALYZE")
    return reference


def wrk(
    target: Server, mode: str, connections: int, *, seconds: int = SECONDS, first: int = 0, key: str = ""
) -> Measure:
    """Run wrk with one kind of request, as the caller of ``key``."""
    before = cpu_seconds()
    result = subprocess.run(
        [
            _wrk(),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "10s",
            "-s",
            str(SCRIPT),
            target.url,
        ],
        env=os.environ
        | {"BENCH_MODE": mode, "BENCH_BOOKING": target.booking, "BENCH_FIRST": str(first), "BENCH_KEY": key},
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in result.stdout.splitlines() if line.startswith("BENCH "))
    requests, micros, p50, p95, p99, errors = (int(part) for part in line.split()[1:])
    after = cpu_seconds()
    cpu_ms = [(after[name] - before[name]) / max(requests, 1) * 1000 for name in PROCESSES]
    parts = " + ".join(f"{part:.2f}" for part in cpu_ms)
    return Measure(requests / micros * 1e6, p50 / 1000, p95 / 1000, p99 / 1000, errors, sum(cpu_ms), parts)


PROCESSES = ("python", "postgres", "redis-server")


def cpu_seconds() -> Counter[str]:
    """Return the CPU time of this process's living descendants, by program: web processes, Postgres, Redis."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                head, _, rest = (entry / "stat").read_text().rpartition(")")
                fields = rest.split()
                names[int(entry.name)] = head.partition("(")[2]
                parents[int(entry.name)] = int(fields[1])
                ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
    ours, count = {os.getpid()}, -1
    while count != len(ours):
        count = len(ours)
        ours |= {pid for pid, parent in parents.items() if parent in ours}
    spent: Counter[str] = Counter()
    for pid in ours - {os.getpid()}:
        spent[names[pid]] += ticks[pid]
    return Counter({name: value / os.sysconf("SC_CLK_TCK") for name, value in spent.items()})


def _wrk() -> str:
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("This benchmark needs the load tool wrk (Debian: apt install wrk).")
    return path


def throughput(target: Server) -> Section:
    rows: list[list[object]] = []
    first = 0
    for connections in CONNECTIONS:
        wrk(target, "discover30", connections, seconds=2)
        ceiling = wrk(target, "bare", connections)
        for mode, name in MODES.items():
            measured = ceiling if mode == "bare" else wrk(target, mode, connections, first=first)
            first += 1_000_000
            share = 100 * measured.per_second / ceiling.per_second
            goal = f">= {TARGETS[mode]} %" if mode in TARGETS else ""
            rows.append(
                [
                    connections,
                    name,
                    f"{measured.per_second:,.0f}",
                    f"{measured.p50:.1f}",
                    f"{measured.p95:.1f}",
                    f"{measured.p99:.1f}",
                    f"{share:.0f} %",
                    measured.cpu_of,
                    goal,
                    measured.errors,
                ]
            )
    return Section(
        "HTTP, 2 web processes",
        [
            "connections",
            "request",
            "requests/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "share of bare",
            "CPU ms",
            "wanted",
            "errors",
        ],
        rows,
        [
            "Wanted at 16 connections: p95 of discover under 20 ms, of create under 50 ms.",
            "CPU ms: what one request cost in the web processes + in Postgres + in Redis.",
            "Where a read's time goes, by profile of the web process: a quarter in psycopg (one statement), a "
            "quarter in Django's request, URLs, signals and response, a tenth each in DRF and in parsing the "
            "query, the rest in metrics, headers and our own code; the answer itself is kept.",
            "Where a create's goes: three round trips to Postgres and one to Redis are a third of it; in Postgres "
            "the indexes of three tables, the foreign keys, the day's number and one fsync.",
        ],
    )


def cache_gain() -> Section:
    """Measure discover and list with and without the cache, each on a new server."""
    modes = ("discover30", "list")
    with server() as target:
        cached = [wrk(target, mode, 16) for mode in modes]
    with server(DAY_CACHE="0") as target:
        uncached = [wrk(target, mode, 16) for mode in modes]
    return Section(
        "What the day cache gains, 16 connections",
        ["request", "kept: requests/s", "CPU ms", "worked out each time: requests/s", "CPU ms", "gain"],
        [
            [
                MODES[mode],
                f"{with_it.per_second:,.0f}",
                f"{with_it.cpu:.2f}",
                f"{without.per_second:,.0f}",
                f"{without.cpu:.2f}",
                f"x {with_it.per_second / without.per_second:.1f}",
            ]
            for mode, with_it, without in zip(modes, cached, uncached, strict=True)
        ],
        ["Each request still reads the day's number from Postgres, which is what makes it never stale."],
    )


def mixed(target: Server, seconds: int = 60) -> Section:
    measured = wrk(target, "mixed", 16, seconds=seconds, first=50_000_000)
    return Section(
        f"Mixed load for {seconds} s: 8 discover, 1 create, 1 list, 16 connections",
        ["requests/s", "p50 ms", "p95 ms", "p99 ms", "errors"],
        [
            [
                f"{measured.per_second:,.0f}",
                f"{measured.p50:.1f}",
                f"{measured.p95:.1f}",
                f"{measured.p99:.1f}",
                measured.errors,
            ]
        ],
        ["Wanted: 1,000 requests/s for 60 s with no error."],
    )


VALUES = {
    "id": ":id::uuid",
    "reference": "substr(md5(random()::text), 1, 12)",
    "restaurant_id": "'B30'",
    "sector_id": "'B30S'",
    "table_ids": "('B30-' || (:n::int % 30))",
    "service_date": "date '2060-01-01' + (:n::int / 480)",
    "start": "(timestamptz '2060-01-01 20:00+00' + (:n::int / 30) * interval '90 minutes')",
    "end": "(timestamptz '2060-01-01 21:30+00' + (:n::int / 30) * interval '90 minutes')",
    "duration_minutes": "90",
    "party_size": "4",
    "status": "'CONFIRMED'",
    "channel": "'api'",
    "guest_id": "NULL::uuid",
    "notes": "''",
    "version": "1",
    "event_version": "1",
    "created_at": "now()",
    "updated_at": "now()",
    "event_id": "gen_random_uuid()",
    "aggregate_type": "'booking'",
    "aggregate_id": ":id::text",
    "event_type": "'BookingCreated'",
    "occurred_at": "now()",
    "payload": "jsonb_build_object('id', :id::text, 'reference', 'ABCDEF', 'restaurantId', 'B30', 'sectorId', "
    "'B30S', 'tableIds', ARRAY['B30-1'], 'serviceDate', '2027-01-01', 'partySize', 4, 'start', "
    "'2027-01-01T20:00:00-03:00', 'end', '2027-01-01T21:30:00-03:00', 'durationMinutes', 90, 'status', "
    "'CONFIRMED', 'channel', 'api', 'guestId', NULL, 'createdAt', '2027-01-01T10:00:00-03:00')",
    "metadata": "jsonb_build_object('actor', 'anonymous', 'requestId', :id::text, 'source', 'rest')",
    "restaurant": "'B30'",
    "sectors": "'B30S'",
    "origin": "(timestamptz '2060-01-01 15:00+00' + (:n::int / 30) * interval '90 minutes')",
    "since": "(timestamptz '2060-01-01 15:00+00' + (:n::int / 30) * interval '90 minutes')",
    "without": "''",
}


def pgbench(services: Services) -> float:
    """The statements of a create, transactions a second: 16 clients, prepared, each on rows of its own."""
    read = day.READ.replace("%(end)s", "(%(origin)s + interval '12 hours')")
    script = [
        "\\set n random(1, 1000000000)",
        "SELECT gen_random_uuid() AS id \\gset",
        "BEGIN;",
        transactions.ADVISORY.replace("%s", "'5000ms'", 1)
        .replace("%s", "ARRAY[:n::bigint]", 1)
        .replace("%s", "ARRAY[false]")
        .strip()
        + ";",
        _filled(read) + ";",
        _filled(f"WITH {statements.BOOKING}, {statements.ALLOCATIONS}, {APPEND_CTE} SELECT 1") + ";",
        "COMMIT;",
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "create.sql"
        file.write_text("\n".join(map(_in_one_line, script)) + "\n")
        result = subprocess.run(
            [
                str(embedded.postgres_binary("pgbench")), "-n", "-M", "prepared", "-c", "16", "-j", "1",
                "-T", str(SECONDS), "-f", str(file), services.postgres.url,
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    rate = [line for line in result.stdout.splitlines() if line.startswith("tps")]
    if result.returncode or not rate:
        raise RuntimeError(result.stdout + result.stderr)
    return float(rate[0].split()[2])


def _in_one_line(statement: str) -> str:
    lines = (line.strip() for line in statement.splitlines())
    return " ".join(line for line in lines if not line.startswith("--"))


def _filled(statement: str) -> str:
    for name, sql_value in VALUES.items():
        statement = statement.replace(f"%({name})s", sql_value)
    return statement


def beside_pgbench(target: Server) -> Section:
    ceiling = pgbench(target.services)
    measured = wrk(target, "create", 16, first=90_000_000)
    share = 100 * measured.per_second / ceiling
    return Section(
        "Create beside its own SQL",
        ["what", "per second", "share"],
        [
            ["the same statements by pgbench, 16 clients", f"{ceiling:,.0f}", ""],
            ["create over HTTP, 16 connections", f"{measured.per_second:,.0f}", f"{share:.0f} %"],
        ],
        ["Wanted: at least 30 %. Both on the same Postgres with fsync on, the same rows and indexes."],
    )


def sections() -> Iterator[Section]:
    _wrk()
    with server() as target:
        yield throughput(target)
        yield beside_pgbench(target)
        yield mixed(target)
    yield cache_gain()


if __name__ == "__main__":
    for section in sections():
        print(section.markdown(), flush=True)
