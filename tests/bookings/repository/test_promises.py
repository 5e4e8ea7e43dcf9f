"""Looking for promises that are missing costs what is to come, not all that was ever booked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from bookings.models import Booking, TableBlock
from bookings.repository import promises
from tests.api import make_restaurant
from wokibrain.core import clock

pytestmark = pytest.mark.django_db

OVER = 3_000

BOOKINGS_OVER = """
INSERT INTO bookings_booking (
    id, reference, restaurant_id, sector_id, table_ids, service_date, start, "end", duration_minutes, party_size,
    status, channel, notes, version, created_at, updated_at
)
SELECT gen_random_uuid(), 'OLD' || n, 'H', 'H-S', ARRAY['H-T'], '2020-01-01', begins, begins + interval '1 hour', 60, 2,
       'CANCELLED', 'api', '', 1, begins, begins
FROM generate_series(1, %s) AS n, LATERAL (SELECT '2020-01-01Z'::timestamptz + n * interval '1 hour') AS day (begins)
"""
BLOCKS_OVER = """
INSERT INTO bookings_tableblock (id, table_id, start, "end", reason, created_at)
SELECT gen_random_uuid(), 'H-T', begins, begins + interval '1 hour', '', begins
FROM generate_series(1, %s) AS n, LATERAL (SELECT '2020-01-01Z'::timestamptz + n * interval '1 hour') AS day (begins)
"""

EVERY_WAY = [("Index", "booking_not_promised"), ("Index", "table_block_not_promised")]


@pytest.fixture(autouse=True)
def old(db: None) -> None:
    """Much that was over before promises were stored, and so has none."""
    make_restaurant("H")
    with connection.cursor() as cursor:
        cursor.execute(BOOKINGS_OVER, [OVER])
        cursor.execute(BLOCKS_OVER, [OVER])
        cursor.execute("ANALYZE bookings_booking, bookings_tableblock")
    assert (Booking.objects.count(), TableBlock.objects.count()) == (OVER, OVER)


def scans(sql: str) -> list[tuple[str, str]]:
    """Return how the statement reads bookings and blocks: ("Index", its name) or ("Seq", the table)."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) {sql}",
            {"now": now, "end": now, "id": promises.LAST_ID, "limit": promises.BATCH},
        )
        (((plan,),),) = cursor.fetchall()
    return sorted(set(_scans(plan["Plan"])))


def _scans(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for child in node.get("Plans", ()):
        yield from _scans(child)
    if node.get("Relation Name") in ("bookings_booking", "bookings_tableblock"):
        kind = str(node["Node Type"]).split()[0]
        yield kind, node["Index Name"] if kind == "Index" else node["Relation Name"]


def test_a_start_and_verify_read_what_is_to_come_only() -> None:
    assert scans(promises.BOOKINGS) == EVERY_WAY[:1]
    assert scans(promises.BLOCKS) == EVERY_WAY[1:]
    assert scans(promises.MISSING) == EVERY_WAY
    assert (promises.complete(), promises.missing()) == (0, 0)


def test_canary_without_the_indexes_all_bookings_are_read() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX booking_not_promised, table_block_not_promised")
    assert scans(promises.BOOKINGS) == [("Seq", "bookings_booking")]
    assert scans(promises.BLOCKS) == [("Seq", "bookings_tableblock")]
    assert scans(promises.MISSING) == [("Seq", "bookings_booking"), ("Seq", "bookings_tableblock")]


def test_what_is_to_come_is_completed_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "BATCH", 2)
    # Five that end at one instant, so that a batch ends between them, and one that ends now and so is over.
    now = clock.now()
    ids = list(Booking.objects.order_by("id").values_list("pk", flat=True)[:6])
    Booking.objects.filter(pk__in=ids[:5]).update(start=now, end=now + timedelta(hours=1))
    with clock.frozen(now):
        Booking.objects.filter(pk=ids[5]).update(end=now)
        assert promises.missing() == 5
        assert (promises.complete(), promises.missing()) == (5, 0)
    assert set(Booking.objects.filter(promised_start__isnull=False).values_list("pk", flat=True)) == set(
        ids[:5]
    )
