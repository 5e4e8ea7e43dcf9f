"""The cost of authenticating and rate-limiting a caller: over HTTP, and in-process in a bare view.

It brings Postgres and Redis of its own.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.http import Measure, Server, server, wrk
from tests.benchmarks.report import Section
from tests.processes import manage, private_services

OWN_PROCESS = """
import json
from dataclasses import astuple
import django
django.setup()
from tests.benchmarks.access import _measured
print(json.dumps([astuple(row) for row in """
WARM_UP = 200
NO_END = 10**9
CONNECTIONS = 16
CASES = {
    "bare Django view": ("bare", False),
    "bare API view": ("view", False),
    "bare API view, nobody": ("known", False),
    "bare API view, API key": ("known", True),
    "discover, 30 tables, nobody": ("discover30", False),
    "discover, 30 tables, API key": ("discover30", True),
    "create, 30 tables, nobody": ("create", False),
    "create, 30 tables, API key": ("create", True),
}
"""What is asked -> the load's mode, and whether with a key. The first is the ceiling, and has no limit ever."""


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds a request: the median by the clock, the mean of this process' own work, and the share
    of the latter on top of the bare view."""

    case: str
    median_us: float
    work_us: float
    share: float


def sections() -> Iterator[Section]:
    yield over_http()
    yield Section(
        "Callers and limits within the process",
        ["case", "median us", "work us", "on top of bare"],
        [
            [row.case, f"{row.median_us:.0f}", f"{row.work_us:.0f}", f"{row.share:+.0%}"]
            for row in in_process()
        ],
        ["A bare view behind all middleware, without a web server; work: this process' own CPU."],
    )


def over_http() -> Section:
    """Measure each case with the limit off and on (a limit never reached), each on a new server."""
    off, on = (_loaded(str(limit)) for limit in (0, NO_END))
    ceilings = off["bare Django view"].per_second, on["bare Django view"].per_second
    rows: list[list[object]] = []
    for name in CASES:
        pair = (off[name], on[name])
        shares = [
            f"{100 * measure.per_second / top:.0f} %" for measure, top in zip(pair, ceilings, strict=True)
        ]
        rate = [f"{measure.per_second:,.0f}" for measure in pair]
        twin = on["bare API view, API key" if CASES[name][1] else "bare API view, nobody"].per_second
        rows.append(
            [name, rate[0], shares[0], off[name].cpu_of, rate[1], shares[1],
             f"{100 * on[name].per_second / twin:.0f} %", on[name].cpu_of, sum(measure.errors for measure in pair)]
        )  # fmt: skip
    return Section(
        f"Callers and limits over HTTP, 2 web processes, {CONNECTIONS} connections",
        [
            "request", "no limit: requests/s", "share of bare", "CPU ms", "limit on: requests/s", "share of bare",
            "share of its caller's bare API view", "CPU ms", "errors",
        ],
        rows,
        [
            "CPU ms: what one request cost in the web processes + in Postgres + in Redis. The bare Django view "
            "is never limited.",
            "Wanted with callers and limits on: discover >= 40 % of bare, create >= 12 %. The bare Django view has "
            "neither callers nor limits; a bare API view of the same caller, limited as well, stands behind all that "
            "the request itself stands behind.",
            "Counting a request is one round trip to Redis: 11 us of our own work when nothing else runs, the rest is "
            "the kernel waking the other side and the threads handing over; a bare socket in place of the client "
            "changed nothing that could be measured.",
        ],
    )  # fmt: skip


def _loaded(limit: str) -> dict[str, Measure]:
    environment = {"RATE_LIMIT_MAX": limit, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings"}
    with server(**environment) as target:
        key = _key(target)
        wrk(target, "discover30", CONNECTIONS, seconds=2)
        return {
            name: wrk(target, mode, CONNECTIONS, first=number * 1_000_000, key=key if keyed else "")
            for number, (name, (mode, keyed)) in enumerate(CASES.items())
        }


def _key(target: Server) -> str:
    output = manage(
        "apikey", "create", "bench", "--role", "super_admin", environment=target.services.environment
    )
    return output.strip()


def in_process(rounds: int = 3_000) -> list[Row]:
    """Measure one view bare, authenticated, limited, and both; by key, by access token and anonymously."""
    with private_services() as services:
        # A separate process, because settings are read once and these servers are new.
        result = subprocess.run(
            [sys.executable, "-c", f"{OWN_PROCESS}_measured({rounds})]))"],
            env=os.environ
            | services.environment
            | {
                "PUBLIC_PERMISSIONS": "none", "LOG_LEVEL": "ERROR",
                "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            },
            stdout=subprocess.PIPE, text=True, check=True, timeout=600,
        )  # fmt: skip
    return [Row(*values) for values in json.loads(result.stdout.splitlines()[-1])]


def _measured(rounds: int) -> list[Row]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import RequestFactory

    from wokibrain.access import keys, sessions
    from wokibrain.core.callers import SYSTEM
    from wokibrain.core.permissions import Role

    handler = WSGIHandler()
    _, key = keys.create_key(caller=SYSTEM, name="bench", role=Role.SUPER_ADMIN)
    User.objects.create_user("bench", password="a-long-password")
    login = RequestFactory().post("/")
    token = sessions.login(request=login, username="bench", password="a-long-password").access

    def ask(url: str, **headers: str) -> Callable[[], object]:
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": url, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, **headers,
        }  # fmt: skip

        def one() -> object:
            statuses: list[str] = []
            start: Any = lambda status, _headers: statuses.append(status)  # noqa: E731
            response: Any = handler(environ | {"wsgi.input": BytesIO()}, start)
            body = b"".join(response)
            response.close()
            assert statuses == ["200 OK"], body
            return body

        return one

    by_key, by_token = {"HTTP_X_API_KEY": key}, {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    cases: list[tuple[str, int, Callable[[], object]]] = [
        ("bare view", 0, ask("/bare")),
        ("limited, by address", NO_END, ask("/bare")),
        ("API key", 0, ask("/known", **by_key)),
        ("API key, limited", NO_END, ask("/known", **by_key)),
        ("access token, limited", NO_END, ask("/known", **by_token)),
        ("nobody, limited", NO_END, ask("/known")),
    ]
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in cases}
    for _name, limit, one in cases:
        settings.RATE_LIMIT_MAX = limit
        for _ in range(WARM_UP):
            one()
    # In turns, so that other load on the machine affects all of them alike.
    for _ in range(10):
        for name, limit, one in cases:
            settings.RATE_LIMIT_MAX = limit
            timed[name].append(_turn(one, rounds // 10))
    bare = median(work for _, work in timed["bare view"])
    return [
        Row(
            name,
            median(latency for latency, _ in turns),
            work := median(cpu_time for _, cpu_time in turns),
            work / bare - 1,
        )
        for name, turns in timed.items()
    ]


def _turn(one: Callable[[], object], count: int) -> tuple[float, float]:
    gc.collect()
    times = []
    work = process_time()
    for _ in range(count):
        began = perf_counter()
        one()
        times.append(perf_counter() - began)
    return median(times) * 1e6, (process_time() - work) / count * 1e6
