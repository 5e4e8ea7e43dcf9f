"""The kept connection to Redis: scripts that are waited for, and scripts that are only started."""

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


def test_script_is_run_whether_redis_knows_it_or_not() -> None:
    redis.ask(lambda client: client.script_flush())
    assert [SAY.run([], each) for each in ("one", "two")] == [b"one", b"two"]


def test_connection_that_was_closed_is_made_anew() -> None:
    assert PUT.run(["test:kept"], "1") == b"put"
    killed()
    assert GET.run(["test:kept"]) == b"1"


def test_what_was_only_started_has_happened_before_what_is_asked_next() -> None:
    PUT.start(["test:kept"], "1")
    PUT.start(["test:kept"], "2")
    assert GET.run(["test:kept"]) == b"2"
    assert SAY.run([], "three") == b"three"


def test_failure_of_what_was_only_started_is_nobody_elses() -> None:
    FAIL.start([])
    assert SAY.run([], "one") == b"one"
    assert SAY.run([], "two") == b"two"


def test_answers_that_were_lost_with_their_connection_are_not_waited_for() -> None:
    SAY.start([], "lost")
    killed()
    assert SAY.run([], "one") == b"one"
    assert SAY.run([], "two") == b"two"


def test_start_on_a_closed_connection_is_no_error_and_leaves_a_good_one() -> None:
    assert SAY.run([], "one") == b"one"
    killed()
    for _ in range(3):
        PUT.start(["test:kept"], "1")
    assert SAY.run([], "two") == b"two"


def test_who_stays_away_is_tried_ever_more_rarely_and_at_once_when_back(
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
    breaker.answered()
    assert breaker.closed
    breaker.failed(OSError())
    now += 1
    assert breaker.may_try()
