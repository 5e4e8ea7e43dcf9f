"""Setting up a restaurant in the admin: through the services, and with a question before a booking is stranded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from bookings.models import Booking
from bookings.services.create import NewBooking, create_booking
from restaurants.models import (
    Combo,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    Table,
    TableJoin,
    TurnTime,
)
from restaurants.services.calendar import Calendar, Hours, SpecialHours
from restaurants.services.plan_guard import Stranded
from restaurants.services.restaurants import update_restaurant, update_sector
from restaurants.services.table_joins import Joined
from tests.wokibrain.office.pages import filled_form, make_restaurants, owner, person
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.postgres.advisory import advisory_number

# B1 is on T2 on 2025-10-22 20:30-21:15 for 3.
BEFORE = datetime(2025, 10, 20, 12, tzinfo=UTC)


@pytest.fixture
def two_restaurants(db: None) -> Iterator[None]:
    make_restaurants()
    with clock.frozen(BEFORE):
        yield


@pytest.fixture
def client(two_restaurants: None) -> Client:
    return person(Role.ADMIN)


def page_of(row: Any) -> str:
    return f"/admin/restaurants/{row._meta.model_name}/{row.pk}/change/"


def b1() -> Booking:
    return Booking.objects.get(reference="B1")


def stranded(response: Any) -> tuple[Stranded, ...]:
    """Return the bookings that the page asks to acknowledge."""
    assert "stranded" in response.context, response.context["errors"]
    bookings: tuple[Stranded, ...] = response.context["stranded"]
    return bookings


def evenings_gone(page: Any) -> dict[str, Any]:
    """Return the restaurant's form with every evening window ticked for deletion."""
    rows = enumerate(page.context["inline_admin_formsets"][0].formset.forms)
    return filled_form(
        page, **{f"windows-{n}-DELETE": "on" for n, row in rows if row.instance.opens == time(20)}
    )


def inactive(*numbers: int) -> Callable[[Any], dict[str, Any]]:
    return lambda page: filled_form(page, **{f"tables-{number}-active": None for number in numbers})


STRANDING: list[tuple[type[Any], str, Callable[[Any], dict[str, Any]], str]] = [
    (Restaurant, "R1", evenings_gone, "hours"),
    (Restaurant, "R1", lambda page: filled_form(page, zone="America/Bogota"), "zone"),
    (Sector, "S1", inactive(1), "tables"),
    (Sector, "S1", lambda page: filled_form(page, **{"tables-1-capacity_max": "2"}), "tables"),
    (Table, "T2", lambda page: filled_form(page, active=None), "tables"),
    (Table, "T2", lambda page: filled_form(page, capacity_min="4", capacity_max="6"), "tables"),
]


@pytest.mark.parametrize(("model", "pk", "typed", "cause"), STRANDING)
def test_a_change_that_strands_a_booking_lists_it_and_asks(
    client: Client, model: type[Any], pk: str, typed: Callable[[Any], dict[str, Any]], cause: str
) -> None:
    row = model.objects.get(pk=pk)
    body = typed(client.get(page_of(row))) | {"name": "Typed anew", "_save": "1"}
    response = client.post(page_of(row), body)
    assert response.status_code == 200
    (booking,) = stranded(response)
    assert (booking.reference, booking.start, booking.party_size) == ("B1", time(20, 30), 3)
    assert "<td>20:30</td>" in response.content.decode()
    assert f"/admin/bookings/booking/{b1().pk}/change/" in response.content.decode()
    # The form still has the input, and nothing was saved.
    again = filled_form(response)
    assert {name: again.get(name) for name in body if name != "_save"} == {
        name: value if isinstance(value, list) else [value] for name, value in body.items() if name != "_save"
    }
    row.refresh_from_db()
    assert (row.name == "Typed anew", b1().attention) == (False, [])
    wrong = client.post(page_of(row), body | {"_acknowledge": "wrong"})
    assert (wrong.status_code, wrong.context["acknowledge"]) == (200, response.context["acknowledge"])
    acknowledgement = client.post(page_of(row), body | {"_acknowledge": response.context["acknowledge"]})
    assert acknowledgement.status_code == 302
    row.refresh_from_db()
    assert (row.name, b1().attention, b1().table_ids) == ("Typed anew", [cause], ["T2"])


def test_retiring_two_tables_together_asks_once(client: Client, two_restaurants: None) -> None:
    start = datetime(2025, 10, 23, 0, tzinfo=UTC)
    other = create_booking(
        caller=SYSTEM,
        new=NewBooking(
            "R1", 4, date(2025, 10, 22), start=start, table_ids=frozenset({"T3"}), duration_minutes=60
        ),
    )
    path = "/admin/restaurants/sector/S1/change/"
    body = inactive(1, 2)(client.get(path)) | {"_save": "1"}
    response = client.post(path, body)
    assert [booking.reference for booking in stranded(response)] == ["B1", other.reference]  # type: ignore[union-attr]
    assert client.post(path, body | {"_acknowledge": response.context["acknowledge"]}).status_code == 302
    assert list(Booking.objects.values_list("attention", flat=True)) == [["tables"], ["tables"]]
    assert list(Table.objects.filter(sector="S1", active=False).values_list("pk", flat=True)) == ["T2", "T3"]


def test_a_special_day_asks_when_added_and_when_deleted(client: Client) -> None:
    body = {
        "restaurant": "R1", "date": "2025-10-22", "name": "Works",
        "windows-TOTAL_FORMS": "0", "windows-INITIAL_FORMS": "0", "_save": "1",
    }  # fmt: skip
    path = "/admin/restaurants/specialday/add/"
    response = client.post(path, body)
    assert ([booking.label for booking in stranded(response)], SpecialDay.objects.count()) == (
        ["Outside of the opening hours"],
        0,
    )
    assert client.post(path, body | {"_acknowledge": response.context["acknowledge"]}).status_code == 302
    day = SpecialDay.objects.get()
    assert (day.name, day.windows.count(), b1().attention) == ("Works", 0, ["hours"])

    late = SpecialHours(date(2025, 10, 22), "Late", (Hours(time(20), time(23)),))
    update_restaurant(
        caller=SYSTEM, restaurant_id="R1", settings={}, calendar=Calendar(hours=(), special=(late,))
    )
    Booking.objects.update(attention=[])
    delete_path = f"/admin/restaurants/specialday/{SpecialDay.objects.get().pk}/delete/"
    assert "Delete 2025-10-22 Late?" in client.get(delete_path).content.decode()
    response = client.post(delete_path, {"post": "yes"})
    assert [booking.reference for booking in stranded(response)] == ["B1"]
    assert SpecialDay.objects.count() == 1
    acknowledgement = client.post(
        delete_path, {"post": "yes", "_acknowledge": response.context["acknowledge"]}
    )
    assert (acknowledgement.status_code, SpecialDay.objects.count(), b1().attention) == (302, 0, ["hours"])


def test_a_special_day_keeps_its_row_when_it_changes(client: Client) -> None:
    late = SpecialHours(date(2025, 12, 24), "Eve", (Hours(time(12), time(16)),))
    update_restaurant(caller=SYSTEM, restaurant_id="R1", settings={}, calendar=Calendar(special=(late,)))
    day = SpecialDay.objects.get()
    page = client.get(page_of(day))
    changes = {"name": "Christmas Eve", "windows-0-closes": "15:00", "_continue": "1"}
    response = client.post(page_of(day), filled_form(page, **changes))
    assert (response.status_code, response["Location"]) == (302, page_of(day))
    day = SpecialDay.objects.get()
    assert (day.name, [str(window) for window in day.windows.all()]) == ("Christmas Eve", ["12:00-15:00"])


def test_changes_of_joins_and_combinations_ask_too(client: Client) -> None:
    Booking.objects.update(party_size=8, table_ids=["T2", "T3"])
    path = "/admin/restaurants/tablejoin/add/"
    body = {"first": "T4", "second": "T1", "_save": "1"}
    response = client.post(path, body)
    assert [booking.label for booking in stranded(response)] == ["Its tables are gone or too small"]
    assert client.post(path, body | {"_acknowledge": response.context["acknowledge"]}).status_code == 302
    join = TableJoin.objects.get()
    assert (join.first_id, join.second_id, b1().attention) == ("T1", "T4", ["tables"])
    assert client.post(f"/admin/restaurants/tablejoin/{join.pk}/delete/", {"post": "yes"}).status_code == 302

    Booking.objects.update(attention=[], party_size=10)
    ten = Joined(frozenset({"T2", "T3"}), 9, 10)
    update_sector(caller=SYSTEM, sector_id="S1", settings={}, joins=[], combos=[ten])
    combo = Combo.objects.get()
    ten_less = {"tables": ["T2", "T3"], "capacity_min": "5", "capacity_max": "9", "_save": "1"}
    response = client.post(page_of(combo), ten_less)
    assert [booking.reference for booking in stranded(response)] == ["B1"]
    acknowledgement = client.post(
        page_of(combo), ten_less | {"_acknowledge": response.context["acknowledge"]}
    )
    combo.refresh_from_db()
    assert (acknowledgement.status_code, combo.capacity_max, b1().attention) == (302, 9, ["tables"])


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("tablejoin/add", {"first": "T1", "second": "T1"}, "second", "Choose another table."),
        ("combo/add", {"tables": ["T1"], "capacity_min": "1", "capacity_max": "2"}, "tables", "Choose 2 to 4 tables."),
        ("tablejoin/add", {"first": "T1", "second": "Z1"}, "second",
         "Select a valid choice. That choice is not one of the available choices."),
        ("table/T2/change", {"capacity_min": "0"}, "capacity_min", "Ensure this value is greater than or equal to 1."),
        ("restaurant/R1/change", {"min_duration": "50"}, "min_duration", "Use a multiple of 15 minutes."),
    ],
)  # fmt: skip
def test_invalid_input_is_explained_at_its_field(
    client: Client, path: str, body: dict[str, Any], field: str, message: str
) -> None:
    url = f"/admin/restaurants/{path}/"
    response = client.post(url, filled_form(client.get(url), **body) | {"_save": "1"})
    assert response.context["adminform"].form.errors == {field: [message]}


def test_an_off_grid_window_is_explained_at_its_row_and_other_input_kept(client: Client) -> None:
    path = "/admin/restaurants/restaurant/R1/change/"
    form = filled_form(
        client.get(path), **{"windows-0-opens": "12:10", "name": "Kept", "turn_times-0-minutes": "75"}
    )
    response = client.post(path, form | {"_save": "1"})
    rows = response.context["inline_admin_formsets"][0].formset
    assert rows.forms[0].non_field_errors() == ["Times lie on quarter hours."]
    again = filled_form(response)
    assert (again["windows-0-opens"], again["name"]) == (["12:10"], ["Kept"])
    assert Restaurant.objects.get(pk="R1").name == "Bistro Central"


def test_a_manager_of_one_restaurant_sets_up_from_nothing(two_restaurants: None) -> None:
    client = owner()
    response = client.post(
        "/admin/restaurants/restaurant/add/",
        {"name": "Nueva", "zone": "Europe/Madrid", "id": "N", "_save": "1"},
    )
    path = "/admin/restaurants/restaurant/N/change/"
    assert (response.status_code, response["Location"]) == (302, path)
    assert ServiceWindow.objects.filter(restaurant="N").count() == 14
    assert list(TurnTime.objects.filter(restaurant="N").values_list("party_up_to", "minutes")) == [
        (2, 90), (4, 105), (6, 120), (50, 150),
    ]  # fmt: skip
    room = {"sectors-TOTAL_FORMS": "1", "sectors-0-name": "Comedor", "sectors-0-position": "0"}
    assert client.post(path, filled_form(client.get(path), **room) | {"_save": "1"}).status_code == 302
    sector = Sector.objects.get(restaurant="N")
    tables = {"tables-TOTAL_FORMS": "2"}
    for number, most in enumerate((2, 6)):
        tables |= {
            f"tables-{number}-name": f"M{number}", f"tables-{number}-capacity_min": "1",
            f"tables-{number}-capacity_max": str(most), f"tables-{number}-shape": "round",
            f"tables-{number}-active": "on", f"tables-{number}-position": str(number),
        }  # fmt: skip
    response = client.post(
        page_of(sector), filled_form(client.get(page_of(sector)), **tables) | {"_save": "1"}
    )
    assert response.status_code == 302
    assert list(sector.tables.values_list("name", "capacity_max", "combinable", "x", "y", "position")) == [
        ("M0", 2, False, 60, 60, 0), ("M1", 6, False, 220, 60, 1),
    ]  # fmt: skip


def test_rows_with_history_are_not_deleted_and_the_page_says_so(client: Client) -> None:
    response = client.post("/admin/restaurants/table/T2/delete/", {"post": "yes"})
    assert "This table has bookings or blocks" in response.content.decode()
    assert client.post("/admin/restaurants/table/T5/delete/", {"post": "yes"}).status_code == 302
    response = client.post("/admin/restaurants/sector/S1/delete/", {"post": "yes"})
    assert "This sector has bookings or blocks" in response.content.decode()
    assert list(Table.objects.filter(sector="S1").values_list("pk", flat=True)) == ["T1", "T2", "T3", "T4"]


def test_only_edited_fields_are_written(client: Client) -> None:
    path = "/admin/restaurants/table/T3/change/"
    body = filled_form(client.get(path), name="Window")
    Table.objects.filter(pk="T3").update(position=77)
    assert client.post(path, body | {"_save": "1"}).status_code == 302
    assert Table.objects.values_list("name", "position").get(pk="T3") == ("Window", 77)


def test_a_role_without_permission_changes_nothing(two_restaurants: None) -> None:
    client = person(Role.MANAGER)
    for path in ("restaurant/R1", "sector/S1", "table/T2"):
        assert (
            client.post(f"/admin/restaurants/{path}/change/", {"name": "Mine", "_save": "1"}).status_code
            == 403
        )
    for path in ("tablejoin", "combo", "specialday"):
        assert client.post(f"/admin/restaurants/{path}/add/", {"_save": "1"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_save_during_a_booking_waits_and_then_asks_to_retry(settings: Any) -> None:
    make_restaurants()
    settings.LOCK_WAIT_MS = 50
    client = person(Role.ADMIN)
    path = "/admin/restaurants/table/T2/change/"
    body = filled_form(client.get(path), capacity_max="5") | {"_save": "1"}
    here = connection.settings_dict
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    with psycopg.connect(**{name: here[key] for name, key in names.items() if here[key]}) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", [advisory_number("plan:S1")])
        response = client.post(path, body)
        assert response.context["adminform"].form.non_field_errors() == [
            "Another change is being saved right now. Please save again."
        ]
        assert filled_form(response)["capacity_max"] == ["5"]
        # A change that does not matter to bookings does not wait for them.
        rename = filled_form(client.get(path), name="Window") | {"_save": "1"}
        assert client.post(path, rename).status_code == 302
    assert client.post(path, body).status_code == 302
