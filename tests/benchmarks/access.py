"""What knowing and limiting a caller costs, in a bare view behind all middleware.

It brings a Postgres and a Redis of its own. The bare view is measured without a web server in front,
which costs several times as much again.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from io import BytesIO
from statistics import median
from time import perf_counter, process_time
from typing import Any

from tests.processes import private_services

WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds a request: the median by the clock, the mean of this process' own work, and the share
    of the latter on top of the bare view."""

    case: str
    median_us: float
    work_us: float
    share: float


def run(rounds: int = 3_000) -> list[Row]:
    """The same view bare, authenticated, limited, and both; by key, by access token and by nobody."""
    with private_services() as services:
        # A process of its own, because settings are read once and these servers are new.
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.access", str(rounds)],
            env=dict(os.environ) | services.environment | {"PUBLIC_PERMISSIONS": "none", "LOG_LEVEL": "ERROR"},
            stdout=subprocess.PIPE, text=True, check=True, timeout=600,
        )  # fmt: skip
    return [Row(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def _measured(rounds: int) -> list[Row]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import RequestFactory
    from django.urls import path
    from rest_framework.request import Request

    from wokibrain.access import keys, sessions
    from wokibrain.access.callers import SYSTEM
    from wokibrain.access.permissions import Role
    from wokibrain.rest import ApiView, reply_json

    class Bare(ApiView):
        authentication_classes = []

        def get(self, request: Request) -> HttpResponse:
            return reply_json(b"{}")

    class Known(ApiView):
        def get(self, request: Request) -> HttpResponse:
            return reply_json(b"{}")

    settings.ROOT_URLCONF = type("urls", (), {})
    settings.ROOT_URLCONF.urlpatterns = [path("bare", Bare.as_view()), path("known", Known.as_view())]
    settings.ALLOWED_HOSTS = ["*"]
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
        ("limited, by address", 10**9, ask("/bare")),
        ("API key", 0, ask("/known", **by_key)),
        ("API key, limited", 10**9, ask("/known", **by_key)),
        ("access token, limited", 10**9, ask("/known", **by_token)),
        ("nobody, limited", 10**9, ask("/known")),
    ]
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in cases}
    for _name, limit, one in cases:
        settings.RATE_LIMIT_MAX = limit
        for _ in range(WARM_UP):
            one()
    # In turns, so that whatever else the machine does meets all of them.
    for _ in range(10):
        for name, limit, one in cases:
            settings.RATE_LIMIT_MAX = limit
            timed[name].append(_turn(one, rounds // 10))
    bare = median(work for _, work in timed["bare view"])
    return [
        Row(
            name,
            median(each for each, _ in turns),
            work := median(each for _, each in turns),
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


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")
    import django

    django.setup()
    print(json.dumps([astuple(row) for row in _measured(int(sys.argv[1]))]))
