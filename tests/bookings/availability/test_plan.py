"""A restaurant's configuration takes effect in the very next request, however it was changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from django.db import connection

from restaurants.models import (
    Combo,
    ComboTable,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    Table,
    TableJoin,
    TurnTime,
)
from restaurants.services.calendar import Hours, set_hours
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, assert_refused, at, make_restaurant
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen


def sql(statement: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def tables_at(api: Api, **query: Any) -> set[str]:
    """Return the table sets offered at 21:15, such as ``T1+T5``."""
    reply = api.discover(**{"windowStart": "21:15", "windowEnd": "22:45", "limit": 50} | query)
    return {"+".join(candidate["tableIds"]) for candidate in reply.body.get("candidates", [])}


def number() -> int:
    return Restaurant.objects.values_list("plan_version", flat=True).get(pk="R1")


ALL = {"T2", "T3", "T1+T5", "T4", "T1+T2", "T1+T3", "T2+T5", "T3+T5", "T2+T3"}


def add_table() -> None:
    create_table(caller=SYSTEM, id="T6", sector_id="S1", capacity_min=4, capacity_max=4)


def close_wednesday() -> None:
    ServiceWindow.objects.filter(restaurant_id="R1", weekday=2).delete()


def join() -> None:
    TableJoin.objects.create(sector_id="S1", first_id="T2", second_id="T3")


def combo() -> None:
    row = Combo.objects.create(sector_id="S1", key="T2+T3", capacity_min=5, capacity_max=10)
    for table in ("T2", "T3"):
        ComboTable.objects.create(combo=row, sector_id="S1", table_id=table)


def special_closed() -> None:
    SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 10, 22))


def special_lunch() -> None:
    day = SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 10, 22))
    SpecialWindow.objects.create(day=day, opens=time(12), closes=time(22))


CHANGES: list[tuple[str, Callable[[], object], set[str]]] = [
    ("a table added", add_table, ALL | {"T6"}),
    ("a table removed", lambda: Table.objects.filter(pk="T5").delete(), ALL - {"T1+T5", "T2+T5", "T3+T5"}),
    ("a table retired", lambda: Table.objects.filter(pk="T3").update(active=False),
     ALL - {"T3", "T1+T3", "T3+T5", "T2+T3"}),
    ("a table not to be combined", lambda: Table.objects.filter(pk="T1").update(combinable=False),
     ALL - {"T1+T5", "T1+T2", "T1+T3"}),
    ("a table that seats more", lambda: Table.objects.filter(pk="T1").update(capacity_max=4), ALL | {"T1"}),
    ("by raw SQL", sql("UPDATE restaurants_table SET capacity_min = 5 WHERE id = 'T4'"), ALL - {"T4"}),
    ("a joinable pair", join, {"T2", "T3", "T4", "T2+T3"}),
    ("a combo's own capacity", combo, ALL - {"T2+T3"}),
    ("a closed special day", special_closed, set()),
    ("a special day with other hours", special_lunch, set()),
    ("other hours", lambda: set_hours(Restaurant.objects.get(pk="R1"), [Hours(time(12), time(16))]), set()),
    ("a weekday closed", close_wednesday, set()),
    ("last seating", lambda: ServiceWindow.objects.filter(opens=time(20)).update(last_seating=time(21)), set()),
    ("smallest party", lambda: Restaurant.objects.filter(pk="R1").update(min_party=5), set()),
    ("largest party", sql("UPDATE restaurants_restaurant SET max_party = 3 WHERE id = 'R1'"), set()),
    ("shortest stay", lambda: Restaurant.objects.filter(pk="R1").update(min_duration=105), set()),
    ("longest stay", lambda: Restaurant.objects.filter(pk="R1").update(max_duration=75), set()),
    ("the past refused", lambda: Restaurant.objects.filter(pk="R1").update(refuse_past=True), set()),
    ("lead time", lambda: Restaurant.objects.filter(pk="R1").update(lead_minutes=60), set()),
    ("horizon", lambda: Restaurant.objects.filter(pk="R1").update(horizon_days=0), ALL),
    ("another zone", lambda: Restaurant.objects.filter(pk="R1").update(zone="Europe/Madrid"), ALL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_change_is_seen_by_the_next_discover(
    guest: Api, change: Callable[[], object], expected: set[str]
) -> None:
    guest.discover()
    assert tables_at(guest) == ALL
    before = number()
    change()
    assert number() > before
    with frozen(datetime(2026, 11, 20, tzinfo=UTC)):
        assert tables_at(guest) == expected


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_change_is_seen_by_the_next_booking(
    guest: Api, change: Callable[[], object], expected: set[str]
) -> None:
    guest.discover()
    change()
    with frozen(datetime(2026, 11, 20, tzinfo=UTC)):
        reply = guest.book(windowStart="21:15", windowEnd="22:45")
    assert (reply.status == 201) == bool(expected)


def test_another_time_zone_shows_in_the_next_response(guest: Api) -> None:
    guest.discover()
    Restaurant.objects.filter(pk="R1").update(zone="Europe/Madrid")
    start = guest.discover(date="2025-10-23").body["candidates"][0]["start"]
    assert start == at("12:00", "2025-10-23", "+02:00")
    assert guest.book(date="2025-10-23").body["start"] == start


def test_a_new_sector_is_known_at_once(guest: Api) -> None:
    guest.discover()
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="T6", sector_id="S2", capacity_min=2, capacity_max=4)
    assert tables_at(guest, sectorId="S2") == {"T6"}
    assert guest.get("/woki/bookings", restaurantId="R1", sectorId="S2", date="2025-10-22").status == 200
    assert guest.book(sectorId="S2").status == 201


def test_a_deleted_sector_is_unknown_at_once(guest: Api) -> None:
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    guest.discover(sectorId="S2")
    Sector.objects.filter(pk="S2").delete()
    assert_refused(guest.discover(sectorId="S2"), 404, "NOT_FOUND", "sectorId")
    assert_refused(guest.book(sectorId="S2"), 404, "NOT_FOUND", "sectorId")


def test_moving_a_sector_raises_the_plan_version_of_both_restaurants(guest: Api) -> None:
    other = make_restaurant("H")
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    version_before, other_before = number(), Restaurant.objects.get(pk=other.pk).plan_version
    Sector.objects.filter(pk="S2").update(restaurant_id="H")
    assert number() > version_before
    assert Restaurant.objects.get(pk="H").plan_version > other_before


def test_a_restaurant_recreated_under_its_id_gets_a_new_plan(db: None) -> None:
    api, where = Api(), {"restaurantId": "H", "sectorId": "H-S", "duration": 60, "limit": 1}
    make_restaurant("H", hours=(Hours(time(20), time(23)),))
    assert api.discover(**where).body["candidates"][0]["start"] == at("20:00")
    Restaurant.objects.get(pk="H").delete()
    assert_refused(api.discover(**where), 404, "NOT_FOUND", "restaurantId")
    make_restaurant("H", hours=(Hours(time(12), time(15)),))
    assert api.discover(**where).body["candidates"][0]["start"] == at("12:00")


def test_saving_a_stale_restaurant_raises_the_plan_version(guest: Api) -> None:
    restaurant = Restaurant.objects.get(pk="R1")
    Table.objects.filter(pk="T1").update(position=9)
    now = number()
    restaurant.name = "Bistro"
    restaurant.save()
    assert number() > now


def test_a_booking_does_not_raise_the_plan_version(guest: Api) -> None:
    before = number()
    guest.book()
    assert number() == before


def test_turn_times_by_size_of_party(guest: Api) -> None:
    def minutes(party: int) -> int:
        duration: int = guest.discover(partySize=party, duration=None).body["durationMinutes"]
        return duration

    TurnTime.objects.create(restaurant_id="R1", party_up_to=2, minutes=75)
    TurnTime.objects.create(restaurant_id="R1", party_up_to=6, minutes=120)
    assert [minutes(party) for party in (2, 3, 6)] == [75, 120, 120]
    # A party larger than every configured size stays as long as the largest one.
    assert minutes(8) == 120
    TurnTime.objects.filter(party_up_to=2).update(minutes=90)
    assert minutes(2) == 90


def test_a_later_turn_time_does_not_resize_a_booking(guest: Api) -> None:
    turn = TurnTime.objects.create(restaurant_id="R1", party_up_to=6, minutes=75)
    booking = guest.book(durationMinutes=None).body
    turn.minutes = 120
    turn.save()
    assert guest.get(f"/woki/bookings/{booking['id']}").body == booking


def test_a_joined_pair_that_connects_three(guest: Api) -> None:
    for first, second in (("T2", "T3"), ("T3", "T4")):
        TableJoin.objects.create(sector_id="S1", first_id=first, second_id=second)
    assert guest.book(partySize=14).body["tableIds"] == ["T2", "T3", "T4"]
    assert_refused(guest.book(partySize=15), 409, "NO_CAPACITY")


def test_a_combos_own_capacity_replaces_the_sum(guest: Api) -> None:
    combo()
    body = guest.book(partySize=10, start=at("21:15")).body
    assert body["tableIds"] == ["T2", "T3"]
    # Its members stay bookable on their own.
    assert guest.book(tableIds=["T2"], start=at("12:00")).status == 201


def test_last_seating_bounds_the_start_not_the_end(db: None) -> None:
    make_restaurant("H", hours=(Hours(time(20), time(23), time(21)),))
    body = Api().discover(restaurantId="H", sectorId="H-S", duration=120, limit=50).body
    assert [candidate["start"][11:16] for candidate in body["candidates"]] == [
        "20:00", "20:15", "20:30", "20:45", "21:00",
    ]  # fmt: skip


def test_lead_time_counts_from_now(db: None) -> None:
    make_restaurant("H", lead_minutes=45)
    with frozen(datetime(2025, 10, 22, 23, 20, tzinfo=UTC)):  # 20:20 in Buenos Aires
        body = Api().discover(restaurantId="H", sectorId="H-S", limit=1).body
        assert body["candidates"][0]["start"] == at("21:15")
        assert_refused(
            Api().book(restaurantId="H", sectorId="H-S", start=at("21:00")), 400, "VALIDATION_ERROR", "start"
        )


def test_horizon_counts_the_restaurants_local_days(db: None) -> None:
    make_restaurant("H", horizon_days=1)
    where = {"restaurantId": "H", "sectorId": "H-S"}
    # 23:30 on the 21st in Buenos Aires, already the 22nd in UTC.
    with frozen(datetime(2025, 10, 22, 2, 30, tzinfo=UTC)):
        assert Api().discover(**where, date="2025-10-22").status == 200
        assert assert_refused(
            Api().discover(**where, date="2025-10-23"), 400, "VALIDATION_ERROR", "date"
        ) == ("This restaurant can be booked up to 2025-10-22.")


def test_several_windows_of_one_day_stay_separate(db: None) -> None:
    make_restaurant("H", hours=(Hours(time(12), time(13)), Hours(time(14), time(15))))
    body = Api().discover(restaurantId="H", sectorId="H-S", duration=60, limit=50).body
    assert [candidate["start"][11:16] for candidate in body["candidates"]] == ["12:00", "14:00"]
    assert_refused(Api().discover(restaurantId="H", sectorId="H-S", duration=75), 409, "NO_CAPACITY")
