"""Every page of the admin: permissions, number of queries, and error messages."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from waffle.models import Flag, Switch

from bookings.models import Booking, Guest
from bookings.services.table_blocks import block_table
from restaurants.models import Combo, SpecialDay, TableJoin
from restaurants.services.calendar import Calendar, Hours, SpecialHours
from restaurants.services.restaurants import update_restaurant, update_sector
from restaurants.services.table_joins import Joined
from tests.wokibrain.office.pages import DAY, filled_form, make_restaurants, owner, person
from wokibrain.access.keys import create_key
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.events import audit
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import AuditEntry, StoredEvent

HTML = {"Accept": "text/html"}
START = datetime.fromisoformat("2025-10-22T12:00:00-03:00")


@pytest.fixture
def two_restaurants(db: None) -> None:
    """Create the example with one row of every kind that the admin shows."""
    make_restaurants()
    eve = SpecialHours(date(2025, 12, 24), "Eve", (Hours(time(12), time(16)),))
    update_restaurant(caller=SYSTEM, restaurant_id="R1", settings={}, calendar=Calendar(special=(eve,)))
    seven = Joined(frozenset({"T2", "T3"}), 5, 7)
    update_sector(caller=SYSTEM, sector_id="S1", settings={}, joins=[frozenset({"T2", "T3"})], combos=[seven])
    block_table(caller=SYSTEM, table_id="T5", start=START, end=START + timedelta(hours=2), reason="Leg")
    Booking.objects.update(
        guest=Guest.objects.create(restaurant_id="R1", name="Ana", phone="+54 11 4000 0000")
    )
    create_key(caller=SYSTEM, name="Till", role=Role.API_CLIENT, restaurant_id="R1")
    Flag.objects.create(name="new-plan")
    Switch.objects.create(name="quiet")
    audit.audit([Envelope.from_row(event) for event in StoredEvent.objects.order_by("position")])


EVERYONE = frozenset({Role.ADMIN, Role.MANAGER, Role.STAFF})
ADMINS = frozenset({Role.ADMIN})
NOBODY: frozenset[str] = frozenset()
PAGES: dict[str, tuple[type[Any] | None, frozenset[Any], frozenset[Any], frozenset[Any]]] = {
    # page: model, who opens it, who adds, who changes
    "bookings/booking": (Booking, EVERYONE, EVERYONE, EVERYONE),
    "bookings/guest": (Guest, EVERYONE, NOBODY, EVERYONE),
    "bookings/tableblock": (None, EVERYONE, ADMINS, NOBODY),
    "restaurants/restaurant": (None, EVERYONE, NOBODY, ADMINS),
    "restaurants/specialday": (SpecialDay, EVERYONE, ADMINS, ADMINS),
    "restaurants/sector": (None, EVERYONE, ADMINS, ADMINS),
    "restaurants/table": (None, EVERYONE, NOBODY, ADMINS),
    "restaurants/tablejoin": (TableJoin, EVERYONE, ADMINS, ADMINS),
    "restaurants/combo": (Combo, EVERYONE, ADMINS, ADMINS),
    "access/apikey": (ApiKey, ADMINS, ADMINS, NOBODY),
    "auth/user": (None, ADMINS, ADMINS, NOBODY),
    "webhooks/webhook": (None, ADMINS, ADMINS, NOBODY),
    "webhooks/delivery": (None, ADMINS, NOBODY, NOBODY),
    "events/auditentry": (AuditEntry, ADMINS, NOBODY, NOBODY),
    "events/storedevent": (StoredEvent, NOBODY, NOBODY, NOBODY),
    "events/failure": (None, NOBODY, NOBODY, NOBODY),
    "waffle/flag": (Flag, NOBODY, NOBODY, NOBODY),
    "waffle/switch": (Switch, NOBODY, NOBODY, NOBODY),
}
IDS = {"restaurants/restaurant": "R1", "restaurants/sector": "S1", "restaurants/table": "T2"}


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.STAFF, "superuser"])
def test_each_role_opens_its_pages_and_no_others(two_restaurants: None, role: str) -> None:
    client = owner() if role == "superuser" else person(role)
    for page, (model, opens, adds, changes) in PAGES.items():
        may = [role == "superuser" or role in who for who in (opens, adds)]
        statuses = [client.get(f"/admin/{page}/").status_code]
        if adds:
            statuses.append(client.get(f"/admin/{page}/add/").status_code)
        assert statuses == [200 if allowed else 403 for allowed in may][: len(statuses)], page
        # An administrator sees the restaurant's entries, and not sign-ins.
        rows = model and model._default_manager.filter(
            **({"restaurant_id": "R1"} if model is AuditEntry else {})
        )
        one = IDS.get(page) or (rows and rows.values_list("pk", flat=True).first())
        if one is None:
            continue
        response = client.get(f"/admin/{page}/{one}/change/")
        assert response.status_code == (200 if may[0] else 403), page
        if may[0] and role != "superuser":
            assert response.context["has_change_permission"] is (role in changes), page


def test_a_membership_at_another_restaurant_gives_no_access(two_restaurants: None) -> None:
    client = person(Role.ADMIN, "R2")
    for page, (model, opens, _adds, _changes) in PAGES.items():
        # An administrator sees the restaurant's entries, and not sign-ins.
        rows = model and model._default_manager.filter(
            **({"restaurant_id": "R1"} if model is AuditEntry else {})
        )
        one = IDS.get(page) or (rows and rows.values_list("pk", flat=True).first())
        if one is not None and opens:
            response = client.get(f"/admin/{page}/{one}/change/")
            assert response.status_code == 404, page
    trail = client.get("/admin/events/auditentry/").context["cl"].queryset
    assert set(trail.values_list("restaurant_id", flat=True)) == {"R2"}


def test_features_are_switched_by_superusers(two_restaurants: None) -> None:
    client = owner()
    flag = Flag.objects.get(name="new-plan")
    path = f"/admin/waffle/flag/{flag.pk}/change/"
    assert (
        client.post(path, filled_form(client.get(path), everyone="true") | {"_save": "1"}).status_code == 302
    )
    flag.refresh_from_db()
    assert flag.everyone is True
    path = f"/admin/waffle/switch/{Switch.objects.get().pk}/change/"
    assert client.post(path, filled_form(client.get(path), active="on") | {"_save": "1"}).status_code == 302
    assert Switch.objects.get().active is True
    for role in EVERYONE:
        assert person(role).post(path, {"name": "quiet", "_save": "1"}).status_code == 403


# --- queries ---------------------------------------------------------------------------------------------------------


def many(count: int) -> None:
    booking = Booking.objects.get(reference="B1")
    Guest.objects.bulk_create(Guest(restaurant_id="R1", name=f"Guest {number}") for number in range(count))
    guests = list(Guest.objects.order_by("-name")[:count])
    Booking.objects.bulk_create(
        Booking(
            restaurant_id="R1", sector_id="S1", table_ids=["T2", "T3"], service_date=booking.service_date,
            start=booking.start + timedelta(days=number), end=booking.end + timedelta(days=number),
            duration_minutes=45, party_size=5, guest=guests[number], created_at=booking.created_at,
            updated_at=booking.updated_at,
        )
        for number in range(count)
    )  # fmt: skip


@pytest.mark.parametrize(
    "page",
    ["bookings/booking", "bookings/guest", "events/auditentry", "restaurants/table", "restaurants/combo",
     "restaurants/tablejoin", "restaurants/specialday", "restaurants/sector", "bookings/tableblock", "access/apikey"],
)  # fmt: skip
def test_a_list_takes_the_same_queries_for_many_rows_as_for_few(two_restaurants: None, page: str) -> None:
    client = person(Role.ADMIN)
    client.get(f"/admin/{page}/")
    with CaptureQueriesContext(connection) as few:
        client.get(f"/admin/{page}/")
    many(200)
    eve = [
        SpecialHours(date(2026, 1, day), "x", (Hours(START.time(), START.time()),)) for day in range(1, 20)
    ]
    update_restaurant(caller=SYSTEM, restaurant_id="R1", settings={}, calendar=Calendar(special=eve))
    pairs = [frozenset({"T1", other}) for other in ("T2", "T3", "T4", "T5")]
    combos = [Joined(pair, 1, 9) for pair in pairs]
    update_sector(caller=SYSTEM, sector_id="S1", settings={}, joins=pairs, combos=combos)
    for day in range(1, 15):
        later = START + timedelta(days=day)
        block_table(caller=SYSTEM, table_id="T5", start=later, end=later + timedelta(hours=1))
    for number in range(8):
        create_key(caller=SYSTEM, name=str(number), role=Role.STAFF, restaurant_id="R1")
    rows = StoredEvent.objects.filter(aggregate_type="table").order_by("position")
    audit.audit(
        [Envelope.from_row(row) for row in rows if not AuditEntry.objects.filter(event_id=row.event_id)]
    )
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"/admin/{page}/")
    assert response.status_code == 200
    # A date hierarchy queries years, months and days separately.
    assert len(queries) <= len(few) + 2
    assert len(queries) <= 30


def test_200_bookings_on_one_page_take_the_queries_of_one(two_restaurants: None) -> None:
    client = person(Role.ADMIN)
    many(199)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/admin/bookings/booking/?all=")
    assert (response.context["cl"].result_count, len(response.context["cl"].result_list)) == (200, 200)
    assert len(queries) <= 24


# --- search ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ({"q": "B1"}, ["B1"]),
        ({"q": "b1"}, ["B1"]),
        ({"q": "Ana"}, ["B1"]),
        ({"q": "4000 0000"}, ["B1"]),
        ({"q": "Nobody"}, []),
        ({"service_date_from": DAY, "service_date_to": DAY}, ["B1"]),
        ({"service_date_from": "2025-10-23"}, []),
        ({"sector__id__exact": "S1"}, ["B1"]),
        ({"sector__id__exact": "S2"}, []),
        ({"status__exact": "CONFIRMED"}, ["B1"]),
        ({"status__exact": "CANCELLED"}, []),
        ({"channel__exact": "api"}, ["B1"]),
        ({"channel__exact": "walk_in"}, []),
        ({"attention": "tables"}, []),
    ],
)
def test_bookings_are_searchable(two_restaurants: None, query: dict[str, str], references: list[str]) -> None:
    response = person(Role.STAFF).get("/admin/bookings/booking/", query)
    assert [booking.reference for booking in response.context["cl"].result_list] == references


def test_a_filter_for_another_restaurants_sector_finds_nothing(two_restaurants: None) -> None:
    response = person(Role.ADMIN, "R2").get("/admin/bookings/booking/?sector__id__exact=S1")
    assert list(response.context["cl"].result_list) == []


# --- words -----------------------------------------------------------------------------------------------------------


def test_history_names_people_and_keys(two_restaurants: None) -> None:
    client = person(Role.ADMIN)
    booking = Booking.objects.get(reference="B1")
    path = f"/admin/bookings/booking/{booking.pk}/change/"
    assert (
        client.post(path, filled_form(client.get(path), notes="by the window") | {"_save": "1"}).status_code
        == 302
    )
    text = client.get(path).content.decode()
    assert ("· Booked · WokiBrain<" in text, "· Changed · Ana<" in text, "user:" in text) == (
        True,
        True,
        False,
    )
    spanish = client.get(path, headers={"Accept-Language": "es"}).content.decode()
    assert "· Reservada · WokiBrain<" in spanish
    audit.audit([Envelope.from_row(StoredEvent.objects.get(aggregate_id=str(booking.pk), version=2))])
    trail = client.get("/admin/events/auditentry/")
    assert [row.actor_name for row in trail.context["cl"].result_list][:1] == ["Ana"]
    User.objects.get(first_name="Ana").delete()
    assert "· Changed · a former user<" in owner().get(path).content.decode()


def test_an_erased_guest_is_read_only(two_restaurants: None) -> None:
    client = person(Role.STAFF)
    guest = Guest.objects.get()
    path = f"/admin/bookings/guest/{guest.pk}/change/"
    wrong = client.post(path, filled_form(client.get(path), phone="call me", name="Kept") | {"_save": "1"})
    form = wrong.context["adminform"].form
    assert form.errors == {"phone": ["Expected a phone number of 5 to 20 digits."]}
    assert form["name"].value() == "Kept"
    assert (
        client.post(path, filled_form(client.get(path), name="Ana Paz") | {"_save": "1"}).status_code == 302
    )
    assert Guest.objects.get().name == "Ana Paz"
    Guest.objects.update(name="", phone="", email="", notes="", erased_at=clock.now())
    assert client.post(path, {"name": "Back", "_save": "1"}).status_code == 403


# --- invalid input, in both languages --------------------------------------------------------------------------------

NONSENSE = [
    ("party_size", "0", "Ensure this value is greater than or equal to 1.",
     "Asegúrese de que este valor es mayor o igual a 1."),
    ("date", "1900-01-01", "Expected a date from 2000-01-01 to 2099-12-31.",
     "Se esperaba una fecha entre 2000-01-01 y 2099-12-31."),
    ("guest_phone", "call me", "Expected a phone number of 5 to 20 digits.",
     "Se esperaba un teléfono de 5 a 20 cifras."),
    ("tables", "Z1", "Select a valid choice. Z1 is not one of the available choices.",
     "Escoja una opción válida. Z1 no es una de las opciones disponibles."),
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(("field", "value", "english", "spanish"), NONSENSE)
def test_invalid_input_is_explained_in_the_users_language_and_other_input_kept(
    two_restaurants: None, language: str, field: str, value: str, english: str, spanish: str
) -> None:
    typed = {
        "restaurant": "R1", "date": DAY, "time": "20:30", "party_size": "2", "duration_minutes": "60",
        "guest_name": "Ana García", "guest_phone": "", "guest_email": "", "notes": "Quiet, please", "_save": "1",
    } | {field: value}  # fmt: skip
    response = person(Role.MANAGER).post(
        "/admin/bookings/booking/add/", typed, headers={"Accept-Language": language}
    )
    form = response.context["adminform"].form
    assert form.errors == {field: [english if language == "en" else spanish]}
    again = filled_form(response)
    assert (again["guest_name"], again["notes"]) == (["Ana García"], ["Quiet, please"])
    assert Booking.objects.count() == 1


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "This page was open for too long, or your browser does not accept its cookies."),
        ("es", "Esta página estuvo abierta demasiado tiempo o tu navegador no acepta sus cookies."),
    ],
)
def test_a_form_without_a_csrf_token_gets_our_error_page(
    two_restaurants: None, language: str, sentence: str
) -> None:
    client = person(Role.MANAGER, csrf=True)
    spoken = {"Accept-Language": language}
    page = client.post("/admin/bookings/booking/add/", {}, headers=HTML | spoken)
    assert (page.status_code, page["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert (f"<h1>{sentence}</h1>" in page.content.decode(), "Django" in page.content.decode()) == (
        True,
        False,
    )
    script = client.post("/admin/floor/walk-in", {}, content_type="application/json", headers=spoken)
    assert (script.status_code, script.json()["error"], script.json()["detail"]) == (
        403,
        "FORBIDDEN",
        sentence,
    )


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/admin/nowhere/", 404, "This page does not exist."),
        ("/admin/waffle/flag/", 403, "You do not have permission to do this."),
    ],
)
def test_missing_and_forbidden_pages_are_html_for_browsers(
    two_restaurants: None, path: str, status: int, sentence: str
) -> None:
    client = person(Role.STAFF)
    page = client.get(path, headers=HTML)
    assert (page.status_code, f"<h1>{sentence}</h1>" in page.content.decode()) == (status, True)
    code = {404: "NOT_FOUND", 403: "FORBIDDEN"}[status]
    assert client.get(path, headers={"Accept": "application/json"}).json()["error"] == code


def test_outside_the_back_office_a_browser_gets_json_too(db: None) -> None:
    assert Client().get("/nowhere", headers=HTML).json()["error"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "This page does not exist."),
        ("es", "Esta página no existe."),
    ],
)
def test_another_restaurants_table_in_the_url_is_not_found(
    two_restaurants: None, language: str, sentence: str
) -> None:
    response = person(Role.ADMIN).get(
        "/admin/restaurants/table/Z1/change/", headers=HTML | {"Accept-Language": language}
    )
    assert (response.status_code, f"<h1>{sentence}</h1>" in response.content.decode()) == (404, True)
