"""P9: read models sum up their events in any order; a rebuild during writes neither loses nor repeats any."""

from __future__ import annotations

import random
import threading
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from bookings.models import BookingDay, BookingHour, BookingQuarter, TableDay
from tests.wokibrain.events import support
from wokibrain.events import dispatch, readmodels, store
from wokibrain.events.models import Failure, Rebuild, Receipt, StoredEvent

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 5, 4)
DATES = ("2026-05-04", "2026-05-06")


def _story(count: int, seed: int = 1) -> list[UUID]:
    """Append events of bookings created, moved, seated and cancelled; return their ids."""
    rng = random.Random(seed)
    ids = []
    for number in range(count):
        booking = f"b{seed}-{number}"
        state: dict[str, Any] = {"partySize": rng.randint(1, 6), "tableIds": [rng.choice(["T1", "T2"])]}
        ids.append(support.append(booking, **state).event_id)
        for version in range(2, rng.randint(2, 5)):
            kind = rng.choice(["BookingUpdated", "BookingSeated", "BookingCancelled", "BookingNoShow"])
            changes: dict[str, dict[str, Any]] = {
                "BookingUpdated": {"partySize": rng.randint(1, 6), "serviceDate": rng.choice(DATES)},
                "BookingSeated": {"status": "SEATED"},
                "BookingCancelled": {"status": "CANCELLED"},
                "BookingNoShow": {"status": "NO_SHOW"},
            }
            state |= changes[kind]
            ids.append(support.append(booking, version, kind, **state).event_id)
    return ids


def _handle(ids: list[UUID], size: int = 7) -> None:
    for first in range(0, len(ids), size):
        for consumer in ("days", "analytics"):
            dispatch.handle(consumer, ids[first : first + size])


def _rows() -> list[list[tuple[Any, ...]]]:
    return [
        list(model._default_manager.order_by("pk").values_list())
        for model in (BookingDay, BookingHour, BookingQuarter, TableDay)
    ]


def test_figures_follow_a_booking_through_its_life() -> None:
    def day() -> tuple[int, ...]:
        _handle(list(StoredEvent.objects.values_list("event_id", flat=True)))
        return BookingDay.objects.values_list("bookings", "covers", "seated", "cancelled", "no_shows").get(
            service_date=DAY
        )

    support.append("a", partySize=4, tableIds=["T1", "T2"])
    assert day() == (1, 4, 0, 0, 0)
    hour = BookingHour.objects.get()
    assert (hour.hour, hour.bookings, hour.table_minutes) == (20, 1, 180)
    support.append("a", 2, "BookingUpdated", partySize=3, tableIds=["T2"])
    assert day() == (1, 3, 0, 0, 0)
    assert list(TableDay.objects.order_by("table_id").values_list("table_id", "bookings", "minutes")) == [
        ("T1", 0, 0),
        ("T2", 1, 90),
    ]
    support.append("a", 3, "BookingSeated", partySize=3, tableIds=["T2"], status="SEATED")
    assert day() == (1, 3, 1, 0, 0)
    support.append("b", partySize=2)
    support.append("b", 2, "BookingCancelled", partySize=2, status="CANCELLED")
    assert day() == (1, 3, 1, 1, 0)
    hour.refresh_from_db()
    assert (hour.bookings, hour.covers, hour.cancelled) == (2, 3, 1)


def test_order_and_batches_do_not_matter() -> None:
    ids = _story(30)
    _handle(ids)
    expected = _rows()
    for name in ("bookingday", "bookinghour", "bookingquarter", "tableday"):
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE bookings_{name}")
    Receipt.objects.all().delete()
    random.Random(3).shuffle(ids)
    _handle(ids, size=3)
    assert _rows() == expected


@pytest.mark.parametrize("name", ["days", "analytics"])
def test_a_damaged_read_model_is_detected_and_repaired(name: str) -> None:
    _handle(_story(20))
    expected = _rows()
    assert readmodels.differences(name) == 0
    for model in readmodels.get(name).models:
        first = model._default_manager.order_by("pk")[0]
        model._default_manager.filter(pk=first.pk).update(bookings=99)
    last = readmodels.get(name).models[-1]._default_manager
    last.filter(pk=last.order_by("-pk")[0].pk).delete()
    damaged = readmodels.differences(name)
    assert damaged == len(readmodels.get(name).models) + 1
    assert readmodels.rebuild(name).repaired == damaged
    assert readmodels.differences(name) == 0
    assert _rows() == expected


def test_events_applied_by_a_rebuild_are_not_applied_again() -> None:
    ids = _story(20)
    _handle(ids[:15])
    readmodels.rebuild("days")
    _handle(ids)
    assert readmodels.differences("days") == 0


def test_canary_a_rebuild_without_receipts_counts_twice() -> None:
    ids = _story(20)
    _handle(ids[:15])
    BookingDay.objects.all().delete()
    readmodels.get("days").apply(store.by_ids(ids), "")
    _handle(ids)
    assert readmodels.differences("days") > 0


def test_rebuild_during_writes_applies_each_event_once() -> None:
    _handle(_story(60))
    stop = threading.Event()
    event_ids: list[UUID] = []
    errors: list[Exception] = []

    def write() -> None:
        seed = 100
        while not stop.is_set():
            seed += 1
            ids = _story(1, seed)
            event_ids.extend(ids)
            _handle(ids)
            stop.wait(0.01)
        connection.close()

    def read() -> None:
        while not stop.is_set():
            try:
                assert BookingDay.objects.get(service_date=DAY).bookings > 0
            except Exception as error:
                errors.append(error)
            stop.wait(0.005)
        connection.close()

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    rounds = 0
    try:
        while rounds < 5 or len(event_ids) < 40:
            readmodels.rebuild("days")
            readmodels.rebuild("analytics")
            assert (readmodels.differences("days"), readmodels.differences("analytics")) == (0, 0)
            rounds += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert (readmodels.differences("days"), readmodels.differences("analytics")) == (0, 0)
    assert Receipt.objects.filter(consumer="days", event_id__in=event_ids).count() == len(event_ids)


def test_an_event_that_failed_is_left_out_by_rebuild_and_check_alike() -> None:
    ids = _story(5)
    _handle(ids[1:])
    Failure.objects.create(consumer="days", event_id=ids[0], error="x", dead_at=support.NOON)
    assert readmodels.differences("days") == 0
    assert readmodels.rebuild("days").repaired == 0
    Failure.objects.all().delete()
    dispatch.handle("days", [ids[0]])
    assert readmodels.differences("days") == 0


def test_rebuild_command_reports_its_work_and_lists_read_models(capsys: pytest.CaptureFixture[str]) -> None:
    _handle(_story(3))
    call_command("rebuild", "days")
    assert "0 rows changed" in capsys.readouterr().out
    assert Rebuild.objects.get().read_model == "days"
    with pytest.raises(CommandError, match="There are: analytics, days"):
        call_command("rebuild")
    with pytest.raises(CommandError, match="no read model is named nights"):
        call_command("rebuild", "nights")


def test_verify_passes_and_its_exit_status_shows_damage(capsys: pytest.CaptureFixture[str]) -> None:
    _handle(_story(3))
    call_command("verify")
    BookingDay.objects.update(covers=1_000)
    with pytest.raises(CommandError, match="1 checks failed"):
        call_command("verify")
    assert "WRONG  read model days" in capsys.readouterr().out
