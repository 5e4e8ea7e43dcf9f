"""The wrappers of services that write: the key of a refused request, and the count of refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bookings.availability import turned_away
from bookings.availability.turned_away import Door
from bookings.models import Booking
from tests.wokibrain.office.pages import DAY, make_restaurants, person
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.core.redis import ask
from wokibrain.idempotency.keys import Replay, Ticket

EVENING = datetime(2025, 10, 22, 23, 7, tzinfo=UTC)
NOBODY_FITS = {"restaurantId": "R1", "partySize": 40, "durationMinutes": 60}


@pytest.fixture
def board(db: None) -> Iterator[Client]:
    make_restaurants()
    ask(lambda client: client.delete("refused:R1:2025-10-22"))
    with clock.frozen(EVENING):
        yield person(Role.MANAGER)


def send(board: Client, path: str, body: dict[str, Any]) -> Any:
    return board.post(
        f"/admin/floor/{path}", json.dumps(body), "application/json", headers={"Idempotency-Key": "k"}
    )


def turned_away_at(door: Door) -> int:
    counts = turned_away.refused(caller=SYSTEM, restaurant_id="R1", last=date(2025, 10, 22), days=1)
    assert counts is not None
    return sum(doors[door] for doors in counts.values())


BOTH_DOORS = pytest.mark.parametrize(
    ("path", "body", "door"),
    [("bookings", NOBODY_FITS | {"date": DAY}, Door.BOOKING), ("walk-in", NOBODY_FITS, Door.WALK_IN)],
    ids=["booking", "walk-in"],
)


@BOTH_DOORS
def test_a_refusal_on_the_board_marks_its_key_once_and_counts_once(
    board: Client, path: str, body: dict[str, Any], door: Door
) -> None:
    with CaptureQueriesContext(connection) as queries:
        refusal = send(board, path, body)
    assert refusal.status_code == 409
    assert sum("clock_timestamp()" in query["sql"] and "INSERT" in query["sql"] for query in queries) == 1
    assert turned_away_at(door) == 1


@BOTH_DOORS
def test_a_refusal_replaced_by_its_twins_result_is_not_counted(
    board: Client, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], door: Door
) -> None:
    booking = Booking.objects.get(reference="B1")
    monkeypatch.setattr(Ticket, "refuse", lambda self: Replay(200, str(booking.pk)))
    answer = send(board, path, body)
    assert (answer.status_code, answer.json()["id"], answer.json()["again"]) == (200, str(booking.pk), "same")
    assert turned_away_at(door) == 0
