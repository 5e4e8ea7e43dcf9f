"""The dashboard: the figures of an invented day from the read models, and the refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bookings import readmodels
from bookings.availability import turned_away
from bookings.availability.turned_away import Door
from bookings.models import Booking, BookingQuarter
from bookings.services import create, lifecycle
from bookings.services.create import NewBooking
from restaurants.services.calendar import Hours
from tests.api import api_as, make_restaurant
from tests.wokibrain.office.pages import person
from wokibrain.core import clock, redis
from wokibrain.core.callers import SYSTEM, Caller, CallerKind
from wokibrain.core.errors import Conflict, NotFound
from wokibrain.core.permissions import PERMISSIONS, Role
from wokibrain.core.redis import ask
from wokibrain.events import dispatch
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent

TABLES = {"A": (1, 2), "B": (2, 4), "C": (4, 6)}
NOON = datetime(2026, 5, 4, 15, tzinfo=UTC)
"""12:00 of Monday 4 May 2026 in Buenos Aires."""


@pytest.fixture
def redis_empty() -> Iterator[None]:
    ask(lambda client: client.flushdb())
    yield
    ask(lambda client: client.flushdb())


@pytest.fixture
def at_noon(db: None, redis_empty: None) -> Iterator[None]:
    with clock.frozen(NOON):
        yield


def book(place: str, day: date, at: str, party: int, table: str, **more: Any) -> str:
    """A booking of 60 minutes at a wall time in Buenos Aires."""
    hour, minute = map(int, at.split(":"))
    start = datetime.combine(day, time(hour, minute), UTC) + timedelta(hours=3)
    booking = create.create_booking(
        caller=SYSTEM,
        new=NewBooking(
            place,
            party,
            day,
            start=start,
            table_ids=frozenset({f"{place}-{table}"}),
            duration_minutes=60,
            **more,
        ),
    )
    return str(booking.id)  # type: ignore[union-attr]


def fold() -> None:
    """Handle all events, as the workers do."""
    events = [Envelope.from_row(event) for event in StoredEvent.objects.order_by("position")]
    readmodels.apply_days(events)
    readmodels.apply_analytics(events)


def open_dashboard(client: Client, restaurant: str = "H", language: str = "en") -> Any:
    response = client.get(f"/admin/?restaurant={restaurant}", headers={"Accept-Language": language})
    assert response.status_code == 200
    return response


def test_the_figures_of_a_day(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    make_restaurant("X", tables=TABLES)
    today = date(2026, 5, 4)
    book("H", today, "20:00", 2, "A")
    book("H", today, "20:00", 4, "B")
    third = book("H", today, "20:45", 6, "C")
    fourth = book("H", today, "21:30", 2, "A")
    book("H", today + timedelta(days=1), "21:00", 3, "B")
    book("H", today + timedelta(days=7), "21:00", 4, "C")
    book("H", today + timedelta(days=8), "21:00", 4, "C")
    # Last week: one cancelled and one no-show of four.
    past = [book("H", today - timedelta(days=6), f"{hour}:00", 2, "A") for hour in (20, 21)]
    past += [book("H", today - timedelta(days=6), f"{hour}:00", 4, "B") for hour in (20, 21)]
    lifecycle.cancel_booking(past[0], caller=SYSTEM)
    lifecycle.no_show_booking(past[3], caller=SYSTEM)
    lifecycle.seat_booking(third, caller=SYSTEM)
    lifecycle.cancel_booking(fourth, caller=SYSTEM)
    book("X", today, "20:00", 2, "A")
    fold()

    page = open_dashboard(person(Role.STAFF, "H")).context
    assert [(figure["label"], figure["value"], figure["detail"]) for figure in page["figures"]] == [
        ("covers today", 12, "3 bookings"),
        ("in the room now", 6, ""),
        ("still to come", 6, ""),
        ("no-show rate", "25.0 %", "28 days"),
        ("cancellation rate", "25.0 %", "28 days"),
    ]
    # 12 seats, one service a night.
    assert [(day["date"], day["text"]) for day in page["week"]] == [
        ("Mon 4", "12 of 12 · 100 %"), ("Tue 5", "3 of 12 · 25 %"), ("Wed 6", "0 of 12 · 0 %"),
        ("Thu 7", "0 of 12 · 0 %"), ("Fri 8", "0 of 12 · 0 %"), ("Sat 9", "0 of 12 · 0 %"),
        ("Sun 10", "0 of 12 · 0 %"), ("Mon 11", "4 of 12 · 33 %"),
    ]  # fmt: skip
    assert [(bar.time, bar.value) for bar in page["arrivals"]] == [
        ("20:00", "6"), ("20:15", ""), ("20:30", ""), ("20:45", "6"),
    ]  # fmt: skip
    assert [(table["name"], table["hours"], table["percent"]) for table in page["tables"]] == [
        ("Room · H-A", "2.0", 100.0), ("Room · H-B", "2.0", 100.0), ("Room · H-C", "1.0", 50.0),
    ]  # fmt: skip
    assert page["refusals"] == {"rows": [], "today": 0}
    assert [restaurant.pk for restaurant in page["restaurants"]] == ["H"]


def test_the_figures_in_spanish(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    past = [book("H", date(2026, 5, 1), f"{hour}:00", 2, "A") for hour in (20, 21)] + [
        book("H", date(2026, 5, 1), "20:00", 2, "B")
    ]
    lifecycle.cancel_booking(past[0], caller=SYSTEM)
    book("H", date(2026, 5, 4), "20:00", 2, "A")
    fold()
    page = open_dashboard(person(Role.STAFF, "H"), language="es").context
    assert [(figure["label"], figure["value"], figure["detail"]) for figure in page["figures"]] == [
        ("cubiertos hoy", 2, "1 reserva"),
        ("en sala ahora", 0, ""),
        ("por llegar", 2, ""),
        ("tasa de no presentados", "0,0 %", "28 días"),
        ("tasa de cancelación", "33,3 %", "28 días"),
    ]
    assert page["week"][0]["text"] == "2 de 12 · 16 %"


def test_the_busiest_tables_are_those_of_28_dates(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    today = date(2026, 5, 4)
    book("H", today - timedelta(days=28), "20:00", 2, "A")
    book("H", today - timedelta(days=27), "20:00", 4, "B")
    book("H", today, "20:00", 4, "B")
    fold()
    tables = open_dashboard(person(Role.STAFF, "H")).context["tables"]
    assert [(table["name"], table["hours"]) for table in tables] == [("Room · H-B", "2.0")]


def test_another_tenants_restaurant_is_not_shown(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    make_restaurant("X", tables=TABLES)
    book("X", date(2026, 5, 4), "20:00", 2, "A")
    fold()
    response = open_dashboard(person(Role.STAFF, "H"), "X")
    assert response.context["chosen_restaurant"].pk == "H"
    assert (response.context["figures"][0]["value"], "X-A" in response.content.decode()) == (0, False)


def test_an_empty_restaurant_and_a_user_without_restaurants(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES, hours=())
    text = open_dashboard(person(Role.STAFF, "H")).content.decode()
    assert "No arrivals today." in text
    assert text.count(">closed<") == 8
    client = Client()
    client.force_login(User.objects.create_user("lost", is_staff=True))
    text = open_dashboard(client).content.decode()
    assert ("You have no restaurant yet." in text, "Create a restaurant" in text) == (True, False)


def test_a_repeated_hour_has_two_sets_of_bars(db: None, redis_empty: None) -> None:
    make_restaurant("S", zone="America/Santiago", tables={"A": (1, 2)}, hours=(Hours(time(20), time(2)),))
    # 23:00 of Saturday 4 April 2026 comes twice in Santiago; only the first one can be named in a request.
    with clock.frozen(datetime(2026, 4, 5, 1, tzinfo=UTC)):
        for start in (datetime(2026, 4, 5, 2, 30, tzinfo=UTC), datetime(2026, 4, 5, 4, 15, tzinfo=UTC)):
            request = NewBooking("S", 2, date(2026, 4, 4), start=start, duration_minutes=30)
            create.create_booking(caller=SYSTEM, new=request)
        fold()
        page = open_dashboard(person(Role.STAFF, "S"), "S").context
    assert page["today"] == date(2026, 4, 4)
    assert [(bar.time, bar.value) for bar in page["arrivals"]] == [
        ("23:30", "2"), ("23:45", ""), ("23:00", ""), ("23:15", ""), ("23:30", ""), ("23:45", ""),
        ("00:00", ""), ("00:15", "2"),
    ]  # fmt: skip


def test_a_page_with_lagging_figures_says_so(db: None, redis_empty: None) -> None:
    make_restaurant("H", tables=TABLES)
    client, notice = person(Role.STAFF, "H"), "the workers are still catching up"
    with clock.frozen(clock.now() - timedelta(minutes=1)):
        book("H", clock.now().date() + timedelta(days=2), "20:00", 2, "A")
    assert notice in open_dashboard(client).content.decode()
    ids = list(StoredEvent.objects.values_list("event_id", flat=True))
    for consumer in ("days", "analytics"):
        dispatch.handle(consumer, ids)
    assert notice not in open_dashboard(client).content.decode()


def test_arrivals_follow_a_moved_booking(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    book("H", date(2026, 5, 4), "20:00", 2, "A")
    booking = Booking.objects.get()
    reply = api_as(Role.ADMIN, "H").change(booking.reference, start="2026-05-04T21:15:00-03:00", partySize=1)
    assert reply.status == 200, reply.body
    fold()
    rows = BookingQuarter.objects.order_by("quarter").values_list("quarter", "bookings", "covers")
    assert list(rows) == [
        (datetime(2026, 5, 4, 23, tzinfo=UTC), 0, 0),
        (datetime(2026, 5, 5, 0, 15, tzinfo=UTC), 1, 1),
    ]


def test_the_dashboard_needs_few_queries(at_noon: None) -> None:
    for number in range(8):
        make_restaurant(f"H{number}", tables=TABLES)
    client = person(Role.STAFF, "H0")
    user = User.objects.get()
    for number in range(1, 8):
        user.memberships.create(restaurant_id=f"H{number}", role=Role.STAFF)
    with CaptureQueriesContext(connection) as queries:
        response = open_dashboard(client, "H5")
    assert response.context["chosen_restaurant"].pk == "H5"
    assert 'name="restaurant"' in response.content.decode()
    assert len(queries) <= 30


# --- refusals --------------------------------------------------------------------------------------------------------


def refusals(restaurant: str = "H") -> dict[str, dict[Door, int]] | None:
    counts = turned_away.refused(caller=SYSTEM, restaurant_id=restaurant, last=date(2026, 5, 4))
    return None if counts is None else {why: dict(doors) for why, doors in counts.items()}


def refuse_all() -> None:
    """Fail a search, a booking, one of named tables over REST, one on the board, and a walk-in."""
    make_restaurant("H", tables={"A": (1, 2)}, hours=(Hours(time(20), time(21)),))
    book("H", date(2026, 5, 4), "20:00", 2, "A")
    api = api_as(Role.ADMIN, "H")
    request: dict[str, Any] = {
        "restaurantId": "H", "sectorId": None, "date": "2026-05-04", "partySize": 2,
    }  # fmt: skip
    assert api.discover(**request, duration=60).body["error"] == "NO_CAPACITY"
    body = request | {"durationMinutes": 60}
    assert api.book(**body).body["error"] == "NO_CAPACITY"
    assert api.book(**body, start="2026-05-04T20:00:00-03:00", tableIds=["H-A"]).body["error"] == "CONFLICT"
    assert (
        api.book(**body | {"windowStart": "12:00", "windowEnd": "13:00"}).body["error"]
        == "OUTSIDE_SERVICE_WINDOW"
    )
    board = person(Role.MANAGER, "H")
    del body["sectorId"]
    refused_there = board.post("/admin/floor/bookings", body, content_type="application/json")
    assert refused_there.json()["error"] == "NO_CAPACITY"
    at_the_door = {"restaurantId": "H", "partySize": 2}
    answer = board.post("/admin/floor/walk-in", at_the_door, content_type="application/json")
    assert answer.json()["error"] == "OUTSIDE_SERVICE_WINDOW"


def test_refusals_are_counted_by_reason_and_door(at_noon: None) -> None:
    refuse_all()
    assert refusals() == {
        "FULL": {Door.SEARCH: 1, Door.BOOKING: 3},
        "OUTSIDE_WINDOW": {Door.BOOKING: 1},
        "OUTSIDE_SERVICE_WINDOW": {Door.WALK_IN: 1},
    }
    client = Client()
    client.force_login(User.objects.get(username="restaurant_manager-H"))
    page = open_dashboard(client).context
    assert page["refusals"] == {
        "rows": [
            {"reason": "No table free then", "counts": [1, 3, 0], "total": 4},
            {"reason": "Not serving at that moment", "counts": [0, 0, 1], "total": 1},
            {"reason": "Outside the hours", "counts": [0, 1, 0], "total": 1},
        ],
        "today": 6,
    }


def test_refusals_are_per_restaurant_and_need_permission(at_noon: None) -> None:
    refuse_all()
    make_restaurant("X", tables=TABLES)
    assert refusals("X") == {}
    stranger = Caller(CallerKind.USER, "1", {"X": PERMISSIONS[Role.ADMIN]})
    with pytest.raises(NotFound):
        turned_away.refused(caller=stranger, restaurant_id="H", last=date(2026, 5, 4))


def test_old_refusals_expire_and_unknown_restaurants_are_not_counted(at_noon: None) -> None:
    refuse_all()
    api = api_as(Role.SUPER_ADMIN)
    assert api.book(restaurantId="NOWHERE", sectorId=None).status == 404
    keys: Any = ask(lambda client: client.keys("refused:*"))
    assert keys == [b"refused:H:2026-05-04"]
    ttl: Any = ask(lambda client: client.ttl(keys[0]))
    assert 0 < ttl <= turned_away.KEPT_DAYS * 86_400
    with clock.frozen(NOON + timedelta(days=28)):
        assert turned_away.refused(caller=SYSTEM, restaurant_id="H", last=date(2026, 6, 1)) == {}


def counts_written() -> int:
    """Return how many counting commands Redis reports to have run."""
    stats: Any = ask(lambda client: client.info("commandstats"))
    return int(stats.get("cmdstat_hincrby", {"calls": 0})["calls"])


def test_a_successful_booking_does_not_touch_the_refusal_counts(at_noon: None) -> None:
    make_restaurant("H", tables=TABLES)
    before = counts_written()
    book("H", date(2026, 5, 4), "20:00", 2, "A")
    assert counts_written() == before
    with pytest.raises(Conflict):
        book("H", date(2026, 5, 4), "20:00", 2, "A")
    assert counts_written() == before + 1


def test_no_request_fails_while_redis_cannot_count(at_noon: None, settings: Any) -> None:
    make_restaurant("H", tables={"A": (1, 2)})
    book("H", date(2026, 5, 4), "20:00", 2, "A")
    settings.REDIS_COOL_DOWN_MS = 60_000
    redis._breaker.failed(redis.Away())
    try:
        with pytest.raises(Conflict):
            book("H", date(2026, 5, 4), "20:00", 2, "A")
        assert refusals() is None
        text = open_dashboard(person(Role.STAFF, "H")).content.decode()
        assert "The counts are not available right now." in text
    finally:
        redis._breaker.record_success()
    assert refusals() == {}
