"""What discover offers, and in which order: the contract's example, nights past midnight, and clock changes."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest

from restaurants.models import SpecialDay
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, assert_refused, at, make_restaurant, seat_of
from wokibrain.core.callers import SYSTEM

DINNER = {"windowStart": "20:00", "windowEnd": "23:45"}


def candidates_of(reply_body: Any) -> list[tuple[str, list[str], str, float]]:
    return [
        (candidate["kind"], candidate["tableIds"], candidate["start"][11:16], candidate["score"])
        for candidate in reply_body["candidates"]
    ]


def starts(reply_body: Any) -> list[str]:
    """Return the offered starts in order of time."""
    return sorted({candidate["start"] for candidate in reply_body["candidates"]}, key=lambda start: start)


def test_scores_of_the_contracts_example(guest: Api) -> None:
    scores: dict[str, float] = {}
    for window in (("21:15", "22:45"), ("21:30", "23:00")):
        body = guest.discover(windowStart=window[0], windowEnd=window[1], limit=50).body
        for _, tables, _, score in candidates_of(body):
            assert scores.setdefault("+".join(tables), score) == score
    assert scores["T2"] == 100.0
    assert scores["T3"] == 100.0
    assert scores["T4"] == 53.3
    assert scores["T1+T5"] == 80.0
    assert scores["T2+T3"] == 25.0


def test_one_start_lists_singles_and_combos_in_the_contracts_order(guest: Api) -> None:
    body = guest.discover(windowStart="21:15", windowEnd="22:45", limit=50).body
    assert candidates_of(body) == [
        ("single", ["T2"], "21:15", 100.0),
        ("single", ["T3"], "21:15", 100.0),
        ("combo", ["T1", "T5"], "21:15", 80.0),
        ("single", ["T4"], "21:15", 53.3),
        ("combo", ["T1", "T2"], "21:15", 33.3),
        ("combo", ["T1", "T3"], "21:15", 33.3),
        ("combo", ["T2", "T5"], "21:15", 33.3),
        ("combo", ["T3", "T5"], "21:15", 33.3),
        ("combo", ["T2", "T3"], "21:15", 25.0),
    ]
    assert body["slotMinutes"] == 15
    assert body["durationMinutes"] == 90


def test_the_booked_table_is_offered_only_around_its_booking(guest: Api) -> None:
    body = guest.discover(duration=45, limit=50, **DINNER).body
    t2 = [start for _, tables, start, _ in candidates_of(body) if tables == ["T2"]]
    t3 = [start for _, tables, start, _ in candidates_of(body) if tables == ["T3"]]
    # B1 holds T2 from 20:30 to 21:15.
    assert t2 == ["21:15", "21:30", "21:45", "22:00", "22:15", "22:30", "22:45", "23:00"]
    assert t3[0] == "20:00"
    assert t3[-1] == "23:00"
    assert len(t3) == 13


def test_back_to_back_bookings_are_offered(guest: Api) -> None:
    body = guest.discover(duration=30, windowStart="20:00", windowEnd="20:30", limit=50).body
    assert ("single", ["T2"], "20:00", 100.0) in candidates_of(body)
    body = guest.discover(duration=30, windowStart="21:15", windowEnd="21:45", limit=50).body
    assert ("single", ["T2"], "21:15", 100.0) in candidates_of(body)
    body = guest.discover(duration=30, windowStart="20:15", windowEnd="20:45", limit=50).body
    assert all("T2" not in tables for _, tables, _, _ in candidates_of(body))


def test_without_a_limit_there_are_ten_candidates(guest: Api) -> None:
    assert len(guest.discover().body["candidates"]) == 10


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_a_limit_keeps_the_best_candidates(guest: Api, limit: int) -> None:
    everything = guest.discover(limit=50).body["candidates"]
    assert guest.discover(limit=limit).body["candidates"] == everything[:limit]


def test_equal_requests_have_equal_responses(guest: Api) -> None:
    assert guest.discover(limit=50).content == guest.discover(limit=50).content


def test_table_ids_count_in_natural_order(db: None) -> None:
    make_restaurant("H", tables={"10": (2, 2), "2": (2, 2), "1": (2, 2)})
    body = Api().discover(restaurantId="H", sectorId="H-S", partySize=2, duration=180, limit=3).body
    assert [candidate["tableIds"] for candidate in body["candidates"]] == [["H-1"], ["H-2"], ["H-10"]]


def test_a_combo_of_four_tables_at_most(db: None) -> None:
    make_restaurant("H", tables={str(number): (2, 2) for number in range(1, 7)}, max_party=50)
    body = Api().discover(restaurantId="H", sectorId="H-S", partySize=8, duration=180).body
    assert body["candidates"][0]["tableIds"] == ["H-1", "H-2", "H-3", "H-4"]
    assert len(body["candidates"]) == 10
    reply = Api().discover(restaurantId="H", sectorId="H-S", partySize=10, duration=180)
    assert assert_refused(reply, 409, "NO_CAPACITY") == (
        "No table or combination of tables seats a party of 10; the largest is 8."
    )


def test_without_a_sector_all_are_searched_and_never_combined(guest: Api) -> None:
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="T6", sector_id="S2", capacity_min=2, capacity_max=2)
    create_table(caller=SYSTEM, id="T7", sector_id="S2", capacity_min=4, capacity_max=4)
    body = guest.discover(sectorId=None, windowStart="21:15", windowEnd="22:45", limit=50).body
    assert candidates_of(body)[:5] == [
        ("single", ["T2"], "21:15", 100.0),
        ("single", ["T3"], "21:15", 100.0),
        ("single", ["T7"], "21:15", 100.0),
        ("combo", ["T1", "T5"], "21:15", 80.0),
        ("single", ["T4"], "21:15", 53.3),
    ]
    terrace = {"T6", "T7"}
    for candidate in body["candidates"]:
        tables = set(candidate["tableIds"])
        assert tables <= terrace or not tables & terrace
    # T1 + T6 would fit four exactly, but they are in two sectors.
    assert ["T1", "T6"] not in [candidate["tableIds"] for candidate in body["candidates"]]


def test_a_window_past_midnight_offers_the_small_hours_of_the_same_service_date(db: None) -> None:
    make_restaurant("N", hours=(Hours(time(22), time(2)),))
    body = Api().discover(restaurantId="N", sectorId="N-S", partySize=2, duration=60, limit=50).body
    assert [candidate["start"] for candidate in body["candidates"]] == [
        *(at(f"{hour}:{minute:02}") for hour in (22, 23) for minute in (0, 15, 30, 45)),
        *(at(f"00:{minute:02}", "2025-10-23") for minute in (0, 15, 30, 45)),
        at("01:00", "2025-10-23"),
    ]
    request = {"restaurantId": "N", "sectorId": "N-S", "partySize": 2, "duration": 60}
    late = Api().discover(**request, windowStart="00:30", windowEnd="02:00").body
    assert starts(late) == [at(clock, "2025-10-23") for clock in ("00:30", "00:45", "01:00")]
    across = Api().discover(**request, windowStart="23:30", windowEnd="00:45").body
    assert starts(across) == [at("23:30"), at("23:45")]


def test_yesterdays_late_guests_still_hold_the_table(db: None) -> None:
    make_restaurant("N", hours=(Hours(time(0), time(4)), Hours(time(22), time(2))))
    api = Api()
    late = api.book(
        restaurantId="N", sectorId="N-S", partySize=2, start=at("00:30", "2025-10-23"), durationMinutes=60
    )
    assert late.status == 201
    body = api.discover(
        restaurantId="N", sectorId="N-S", date="2025-10-23", partySize=2, duration=60,
        windowStart="00:00", windowEnd="03:00", limit=50,
    ).body  # fmt: skip
    # The requested window is read on the date and again after its midnight.
    assert starts(body) == [
        *(at(clock, "2025-10-23") for clock in ("01:30", "01:45", "02:00")),
        *(at(clock, "2025-10-24") for clock in ("00:00", "00:15", "00:30", "00:45", "01:00")),
    ]


def night(zone: str, day: str, opens: time, closes: time, duration: int = 30) -> list[str]:
    make_restaurant("D", zone=zone, hours=(Hours(opens, closes),))
    reply = Api().discover(
        restaurantId="D", sectorId="D-S", date=day, partySize=2, duration=duration, limit=50
    )
    assert reply.status == 200, reply.body
    return [candidate["start"] for candidate in reply.body["candidates"]]


def test_santiagos_repeated_hour_is_offered_once_at_its_first_occurrence(db: None) -> None:
    candidates = night("America/Santiago", "2026-04-04", time(22), time(1))
    assert candidates == [
        *(at(f"22:{minute:02}", "2026-04-04") for minute in (0, 15, 30, 45)),
        *(at(f"23:{minute:02}", "2026-04-04") for minute in (0, 15, 30, 45)),
        *(at(f"00:{minute:02}", "2026-04-05", "-04:00") for minute in (0, 15, 30)),
    ]


def test_duration_is_elapsed_time_over_the_clock_change(db: None) -> None:
    make_restaurant("D", zone="America/Santiago", hours=(Hours(time(22), time(1)),))
    booking = Api().book(
        restaurantId="D", sectorId="D-S", date="2026-04-04", partySize=2, durationMinutes=120,
        start=at("22:30", "2026-04-04"),
    ).body  # fmt: skip
    assert (booking["start"], booking["end"]) == (
        at("22:30", "2026-04-04"),
        at("23:30", "2026-04-04", "-04:00"),
    )
    assert booking["durationMinutes"] == 120


def test_santiagos_missing_hour_is_skipped(db: None) -> None:
    candidates = night("America/Santiago", "2026-09-05", time(23), time(2))
    assert candidates == [
        *(at(f"23:{minute:02}", "2026-09-05", "-04:00") for minute in (0, 15, 30, 45)),
        *(at(f"01:{minute:02}", "2026-09-06", "-03:00") for minute in (0, 15, 30)),
    ]


def test_a_day_whose_midnight_does_not_exist_can_be_booked(db: None) -> None:
    make_restaurant("D", zone="America/Santiago", hours=(Hours(time(0), time(3)),))
    reply = Api().discover(
        restaurantId="D", sectorId="D-S", date="2026-09-06", partySize=2, duration=90, limit=50
    )
    assert starts(reply.body) == [at(clock, "2026-09-06") for clock in ("01:00", "01:15", "01:30")]


def test_beiruts_repeated_hour_is_offered_once(db: None) -> None:
    candidates = night("Asia/Beirut", "2026-10-24", time(22, 30), time(0, 30))
    assert candidates == [
        *(at(f"22:{minute:02}", "2026-10-24", "+03:00") for minute in (30, 45)),
        *(at(f"23:{minute:02}", "2026-10-24", "+03:00") for minute in (0, 15, 30, 45)),
        at("00:00", "2026-10-25", "+02:00"),
    ]


def test_lord_howe_shifts_by_half_an_hour(db: None) -> None:
    # 02:00 becomes 02:30 on Sunday 4 October 2026.
    candidates = night("Australia/Lord_Howe", "2026-10-04", time(1, 30), time(3, 30))
    assert candidates == [
        *(at(clock, "2026-10-04", "+10:30") for clock in ("01:30", "01:45")),
        *(at(clock, "2026-10-04", "+11:00") for clock in ("02:30", "02:45", "03:00")),
    ]


def test_a_repeated_time_can_be_booked_only_at_its_first_occurrence(db: None) -> None:
    make_restaurant("D", zone="America/Santiago", hours=(Hours(time(22), time(1)),))
    request: dict[str, Any] = {
        "restaurantId": "D",
        "sectorId": "D-S",
        "date": "2026-04-04",
        "partySize": 2,
        "durationMinutes": 30,
    }
    second = Api().book(**request, start=at("23:15", "2026-04-04", "-04:00"))
    assert second.status == 422
    first = Api().book(**request, start=at("23:15", "2026-04-04", "-03:00"))
    assert first.body["start"] == at("23:15", "2026-04-04", "-03:00")


def test_a_special_days_windows_replace_the_weekdays_past_midnight_too(db: None) -> None:
    restaurant = make_restaurant("H")
    day = SpecialDay.objects.create(restaurant=restaurant, date=date(2025, 10, 22))
    day.windows.create(opens=time(13), closes=time(14))
    body = Api().discover(restaurantId="H", sectorId="H-S", duration=30, limit=50).body
    assert [seat_of(candidate)[1] for candidate in body["candidates"]] == ["13:00", "13:15", "13:30"]
