"""P9: a read model rebuilt by command while 50 events a second arrive and readers query it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.pipeline import INSERT, Pipeline, event_row
from tests.processes import Services, manage, private_services
from wokibrain.core.ids import uuid7

pytestmark = [pytest.mark.fault, pytest.mark.slow]

READ = "SELECT sum(bookings), sum(covers) FROM bookings_bookinghour WHERE restaurant_id = 'R9'"


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.mark.parametrize("run", range(3))
def test_rebuild_during_fifty_writes_a_second(services: Services, run: int) -> None:
    stop = threading.Event()
    counts: list[int] = []
    errors: list[Exception] = []
    with Pipeline(services) as pipeline:
        pipeline.start("relay", "worker")
        pipeline.append_many([event_row(str(uuid7()), restaurantId="R9") for _ in range(2_000)])
        pipeline.until_settled()

        def write() -> None:
            with pipeline.connect() as link:
                while not stop.wait(0.02):
                    link.execute(INSERT, event_row(str(uuid7()), restaurantId="R9"))
                    link.commit()

        def read() -> None:
            with psycopg.connect(pipeline.services.postgres.url, autocommit=True) as link:
                while not stop.wait(0.005):
                    try:
                        row = link.execute(READ).fetchone()
                        assert row is not None
                        counts.append(row[0])
                    except Exception as error:
                        errors.append(error)

        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                # The command itself compares with the events at its end, and fails if a row differs.
                manage("rebuild", "--all", environment=pipeline.settings)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        pipeline.until_settled()
        event_count = pipeline.value("SELECT count(*) FROM events_storedevent")
        assert pipeline.sql(READ) == [(event_count, 2 * event_count)]
        assert errors == []
        assert counts == sorted(counts)
        manage("verify", environment=pipeline.settings)
