"""The per-thread connection to Redis: scripts that are awaited, and scripts that are only started."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from wokibrain.core import redis
from wokibrain.core.redis import Script

SAY = Script("return ARGV[1]")
PUT = Script("redis.call('set', KEYS[1], ARGV[1]) return 'put'")
GET = Script("return redis.call('get', KEYS[1])")
FAIL = Script("return redis.call('no-such-command')")


def killed() -> None:
    redis.ask(lambda client: client.client_kill_filter(_type="normal", skipme=True))


@pytest.fixture(autouse=True)
def nothing_there() -> None:
    redis.ask(lambda client: client.delete("test:kept"))


def test_script_runs_whether_or_not_redis_has_it_cached() -> None:
    redis.ask(lambda client: client.script_flush())
    assert [SAY.run([], word) for word in ("one", "two")] == [b"one", b"two"]


def test_closed_connection_is_reopened() -> None:
    assert PUT.run(["test:kept"], "1") == b"put"
    killed()
    assert GET.run(["test:kept"]) == b"1"


def test_started_commands_run_before_the_next_one() -> None:
    PUT.start(["test:kept"], "1")
    PUT.start(["test:kept"], "2")
    assert GET.run(["test:kept"]) == b"2"
    assert SAY.run([], "three") == b"three"


def test_failure_of_a_started_command_does_not_affect_the_next() -> None:
    FAIL.start([])
    assert SAY.run([], "one") == b"one"
    assert SAY.run([], "two") == b"two"


def test_responses_lost_with_their_connection_are_not_awaited() -> None:
    SAY.start([], "lost")
    killed()
    assert SAY.run([], "one") == b"one"
    assert SAY.run([], "two") == b"two"


def test_start_on_a_closed_connection_reconnects_without_error() -> None:
    assert SAY.run([], "one") == b"one"
    killed()
    for _ in range(3):
        PUT.start(["test:kept"], "1")
    assert SAY.run([], "two") == b"two"


def test_retries_of_an_unavailable_redis_back_off_and_reset(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_COOL_DOWN_MS = 1_000
    now = 100.0
    monkeypatch.setattr("wokibrain.core.redis.time.monotonic", lambda: now)
    breaker = redis.CircuitBreaker()
    pauses = []
    assert breaker.may_try()
    for _ in range(6):
        breaker.failed(OSError())
        began = now
        while not breaker.may_try():
            now += 0.5
        pauses.append(now - began)
    assert pauses == [1, 2, 4, 8, 8, 8]
    assert not breaker.may_try(), "one caller probes at a time"
    breaker.record_success()
    assert breaker.closed
    breaker.failed(OSError())
    now += 1
    assert breaker.may_try()
