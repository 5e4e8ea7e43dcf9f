"""Whatever is lost outside Postgres, and whichever process dies: `verify` confirms that every event is handled once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from bookings.event_types import BOOKING
from tests.kafka import Broker, Kafka
from tests.pipeline import INSERT, Pipeline, event_row
from tests.processes import Services, manage, private_services
from wokibrain.core.ids import uuid7

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.fixture
def direct(services: Services) -> Iterator[Pipeline]:
    redis.Redis.from_url(services.redis.url).flushall()
    with Pipeline(services) as pipeline:
        yield pipeline


@pytest.fixture
def through_kafka(services: Services, real_kafka: Kafka) -> Iterator[Pipeline]:
    redis.Redis.from_url(services.redis.url).flushall()
    real_kafka.reset()
    with Pipeline(services, real_kafka.address) as pipeline:
        yield pipeline


def _write(pipeline: Pipeline, count: int) -> None:
    pipeline.append_many([event_row(str(uuid7()), restaurantId="R9") for _ in range(count)])


@contextmanager
def _writing(pipeline: Pipeline, pause: float = 0.02) -> Iterator[None]:
    """Write events during the block: 50 a second by default."""
    stop = threading.Event()

    def write() -> None:
        with pipeline.connect() as link:
            while not stop.wait(pause):
                link.execute(INSERT, event_row(str(uuid7()), restaurantId="R9"))
                link.commit()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _all_there(pipeline: Pipeline) -> None:
    pipeline.until_settled()
    event_count = pipeline.value("SELECT count(*) FROM events_storedevent")
    assert pipeline.value("SELECT sum(bookings) FROM bookings_bookinghour") == event_count
    assert pipeline.value("SELECT count(*) FROM events_auditentry") == event_count
    assert pipeline.value("SELECT count(*) FROM events_failure") == 0
    manage("verify", environment=pipeline.settings)


def test_redis_flushed_with_the_queue_full(direct: Pipeline) -> None:
    direct.start("relay")
    _write(direct, 300)
    direct.until(
        lambda: direct.value("SELECT count(*) FROM events_storedevent WHERE published_at IS NULL") == 0
    )
    redis.Redis.from_url(direct.services.redis.url).flushall()
    direct.start("worker")
    _all_there(direct)


def test_redis_full_and_emptied_again(direct: Pipeline) -> None:
    client = redis.Redis.from_url(direct.services.redis.url)
    relay, _ = direct.start("relay", "worker")
    _write(direct, 10)
    direct.until_settled()
    client.config_set("maxmemory", 1)
    try:
        _write(direct, 10)
        direct.until(lambda: "events wait: the queue does not take work" in relay.output())
        # Meanwhile the sweeper keeps queueing tasks there.
        direct.until(lambda: relay.output().count("events wait") >= 4)
    finally:
        client.config_set("maxmemory", 0)
    _all_there(direct)
    assert relay.running
    assert "Traceback" not in relay.output()


@pytest.mark.slow
def test_redis_outage_and_recovery(direct: Pipeline) -> None:
    direct.start("relay", "worker")
    _write(direct, 10)
    direct.until_settled()
    with _writing(direct):
        direct.services.redis.kill()
        threading.Event().wait(3)
        direct.services.redis.start()
        threading.Event().wait(1)
    _all_there(direct)


@pytest.mark.slow
def test_repeatedly_killed_workers(direct: Pipeline) -> None:
    direct.start("relay")
    with _writing(direct):
        for _ in range(3):
            (worker,) = direct.start("worker")
            threading.Event().wait(2.5)
            worker.kill()
    direct.start("worker")
    _all_there(direct)


def test_an_orderly_stop_returns_unfinished_work(direct: Pipeline) -> None:
    started = direct.start("relay", "worker")
    _write(direct, 1)
    direct.until_settled()
    with _writing(direct, 0.005):
        threading.Event().wait(1)
        assert [process.stop() for process in started] == [0, 0]
    direct.start("relay", "worker")
    _all_there(direct)


@pytest.mark.slow
def test_postgres_restarted(direct: Pipeline) -> None:
    direct.start("relay", "worker")
    _write(direct, 20)
    direct.until_settled()
    direct.services.postgres.kill()
    direct.services.postgres.start()
    direct.reconnect()
    _write(direct, 20)
    _all_there(direct)


@pytest.mark.slow
def test_a_topic_deleted_with_unread_messages(through_kafka: Pipeline, real_kafka: Kafka) -> None:
    through_kafka.start("relay", "worker")
    _write(through_kafka, 200)
    through_kafka.until(
        lambda: through_kafka.value("SELECT count(*) FROM events_storedevent WHERE published_at IS NULL") == 0
    )
    real_kafka.delete(BOOKING.kafka)
    through_kafka.start("consume")
    _write(through_kafka, 20)
    _all_there(through_kafka)


@pytest.mark.slow
@pytest.mark.parametrize(("away_seconds", "pause"), [(3, 0.02), (600, 0.5)])
def test_kafka_outage_and_recovery(
    through_kafka: Pipeline, real_kafka: Kafka, away_seconds: int, pause: float
) -> None:
    through_kafka.start("relay", "consume", "worker")
    _write(through_kafka, 20)
    through_kafka.until_settled()
    with _writing(through_kafka, pause):
        real_kafka.kill()
        threading.Event().wait(away_seconds)
        real_kafka.start()
    _all_there(through_kafka)


@pytest.mark.slow
def test_repeatedly_killed_readers(through_kafka: Pipeline, kafka: Broker) -> None:
    through_kafka.start("relay", "worker")
    with _writing(through_kafka):
        for _ in range(2):
            (reader,) = through_kafka.start("consume")
            threading.Event().wait(3)
            reader.kill()
    through_kafka.start("consume")
    _all_there(through_kafka)
    print(f"ran on {kafka.kind}")
