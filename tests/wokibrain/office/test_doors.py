"""Every address of the admin, as each role: what it answers and what it shows.

The pages are those of ``admin.site._registry``, so that a page added to the product is tested with the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Field, Model
from django.test import Client
from django.urls import reverse

from bookings.models import Booking, Guest
from bookings.repository.records import BookingRecord, Contact
from bookings.services import guests
from bookings.services.create import NewBooking, create_booking
from tests.wokibrain.office.pages import DAY, make_restaurants, owner, person
from wokibrain.access.models import Membership
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.office.base import private_permission

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
UNKNOWN = ("nonsense", "9" * 40, "00000000-0000-7000-8000-000000000000", "_00_2F")
"""Ids that no row has; Django writes a slash as _2F and a NUL as _00."""


def address(model: type[Model], name: str, *arguments: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


@pytest.mark.parametrize("role", ["superuser", Role.ADMIN, Role.API_CLIENT])
def test_an_unknown_id_is_not_found(db: None, role: str) -> None:
    make_restaurants()
    client = owner() if role == "superuser" else person(role)
    for model in PAGES:
        status = client.get(address(model, "changelist")).status_code
        assert status in (200, 403), model
        for id_ in UNKNOWN:
            # Who has no access to a page at all is told so, and learns nothing of its ids.
            expected = 404 if status == 200 else 403
            assert client.get(address(model, "change", id_)).status_code == expected, (model, id_)
            assert client.post(address(model, "change", id_)).status_code in (expected, 403), (model, id_)
            assert client.get(address(model, "history", id_)).status_code == 404, (model, id_)
            assert client.get(address(model, "delete", id_)).status_code in (403, 404), (model, id_)


# --- names, contacts and notes ------------------------------------------------------------------------------


class House:
    """A restaurant with one booking, whose guest and notes are known by texts that nothing else has."""

    def __init__(self, restaurant: str, zone: str, mark: str, digits: str) -> None:
        self.marks = {
            "name": f"{mark} Name", "email": f"{mark.lower()}@mail.example", "phone": f"+34 600 {digits}",
            "guest notes": f"{mark} regular", "notes": f"{mark} allergy",
        }  # fmt: skip
        booking = create_booking(
            caller=SYSTEM,
            new=NewBooking(
                restaurant, 2, date.fromisoformat(DAY), duration_minutes=60,
                start=datetime.fromisoformat(f"{DAY}T20:00").replace(tzinfo=ZoneInfo(zone)),
                contact=Contact(self.marks["name"], self.marks["email"], self.marks["phone"]),
                notes=self.marks["notes"],
            ),
        )  # fmt: skip
        assert isinstance(booking, BookingRecord)
        assert booking.guest is not None
        self.booking, self.guest = booking, booking.guest
        Guest.objects.filter(pk=booking.guest.id).update(notes=self.marks["guest notes"])

    def shown(self, page: str) -> list[str]:
        """Return what of the guest the page shows."""
        return [name for name, text in (self.marks | {"id": str(self.guest.id)}).items() if text in page]

    def traces(self) -> list[str]:
        """Return parts of the guest's contacts and notes, to search by."""
        return [text[:-2] for text in self.marks.values()]


@pytest.fixture
def houses(db: None) -> tuple[House, House]:
    make_restaurants()
    return (
        House("R1", "America/Argentina/Buenos_Aires", "Quimera", "111 222"),
        House("R2", "Europe/Madrid", "Zenobia", "333 444"),
    )


def at_both(here: str, there: str) -> Client:
    """Return a client signed in as a person with one role at R1 and another at R2."""
    client = person(here)
    Membership.objects.create(user=User.objects.get(username=f"{here}-R1"), restaurant_id="R2", role=there)
    return client


def lists(client: Client, model: type[Model], houses: tuple[House, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every address that lists, orders or finds rows of the model, and the response."""
    path = address(model, "changelist")
    first = client.get(path)
    yield path, first
    if first.status_code != 200:
        return
    changelist = first.context["cl"]
    queries = [{"o": str(number)} for number in range(len(changelist.list_display))]
    queries += [{name: "x"} for spec in changelist.filter_specs for name in spec.expected_parameters()]
    private = [field for field in model._meta.concrete_fields if private_permission(model, field.name)]
    for house in houses:
        queries += [{"q": trace} for trace in house.traces()[: None if private else 1]]
        for field in private:
            if field.related_model is None:
                queries += [{f"{field.name}__icontains": trace} for trace in house.traces()]
            else:
                names = (field.name, f"{field.name}__exact", f"{field.name}__id__exact", field.attname)
                queries += [{name: str(house.guest.id)} for name in names]
    for query in queries:
        yield f"{path}?{query}", client.get(path, query)


def rows_of(response: Any) -> set[str]:
    """Return the restaurants of the bookings or guests that a list shows."""
    rows = response.context["cl"].queryset if response.status_code == 200 else []
    return {row.restaurant_id for row in rows if isinstance(row, Booking | Guest)}


PEOPLE = {
    "stranger": (Role.API_CLIENT, None, (), ("R1",)),
    "host": (Role.STAFF, None, ("R1",), ("R1",)),
    "administrator": (Role.ADMIN, None, ("R1",), ("R1",)),
    "host here, stranger there": (Role.STAFF, Role.API_CLIENT, ("R1",), ("R1", "R2")),
}
"""Who: the role at R1 and at R2, where they may see guests, and where they may see bookings."""


@pytest.mark.parametrize("who", PEOPLE)
def test_no_list_search_or_filter_shows_or_finds_a_guest_without_the_right(
    houses: tuple[House, House], who: str
) -> None:
    here, there, sees_guests, sees_bookings = PEOPLE[who]
    client = at_both(here, there) if there else person(here)
    foreign = [house for house in houses if house.booking.restaurant_id not in sees_guests]
    for model in PAGES:
        for path, response in lists(client, model, houses):
            assert response.status_code in (200, 302, 403, 404), path
            page = response.content.decode()
            if "?" not in path:
                assert [house.shown(page) for house in foreign] == [[]] * len(foreign), path
                if response.status_code == 200 and model is Booking:
                    assert rows_of(response) == set(sees_bookings)
                    assert ["Quimera Name" in page, "Zenobia Name" in page] == [
                        "R1" in sees_guests, False,
                    ]  # fmt: skip
            elif any(trace in path for house in foreign for trace in (*house.traces(), str(house.guest.id))):
                assert rows_of(response) == set(), path
            if path.endswith("'q': 'Quimera Na'}") and model is Booking:
                assert rows_of(response) == set(sees_guests), path


@pytest.mark.parametrize("who", PEOPLE)
def test_no_page_or_picker_shows_a_guest_without_the_right(houses: tuple[House, House], who: str) -> None:
    here, there, sees_guests, sees_bookings = PEOPLE[who]
    client = at_both(here, there) if there else person(here)
    for house in houses:
        place = house.booking.restaurant_id
        rights = place in sees_guests
        page = client.get(f"/admin/bookings/booking/{house.booking.id}/change/")
        assert page.status_code == (200 if place in sees_bookings else 404)
        assert bool(house.shown(page.content.decode())) is rights
        guest = client.get(f"/admin/bookings/guest/{house.guest.id}/change/")
        assert (guest.status_code == 200, bool(house.shown(guest.content.decode()))) == (rights, rights)
        sheet = {"restaurant": place, "date": DAY}
        for path in ("data", "sheet", "export.csv", "export.ics", "search"):
            answer = client.get(f"/admin/floor/{path}", sheet | {"q": house.marks["name"][:6]})
            assert answer.status_code == (200 if place in sees_bookings else 404), path
            assert bool(house.shown(answer.content.decode())) is rights, path
        one = client.get(f"/admin/floor/bookings/{house.booking.id}")
        assert (one.status_code == 200) is (place in sees_bookings)
        assert bool(house.shown(one.content.decode())) is rights
        for path in ("/admin/", "/admin/search/", "/admin/floor/"):
            anywhere = client.get(
                path, {"s": house.marks["name"][:6], "extended": "1", "restaurant": place}, follow=True
            )
            assert (anywhere.status_code, house.shown(anywhere.content.decode())) == (200, []), path
    for model, field in pickers():
        for house in houses:
            for trace in house.traces():
                source = {"app_label": model._meta.app_label, "model_name": str(model._meta.model_name)}
                answer = client.get(
                    "/admin/autocomplete/", source | {"field_name": field.name, "term": trace}
                )
                found = answer.json()["results"] if answer.status_code == 200 else []
                allowed = house.booking.restaurant_id in sees_guests
                assert allowed or not any(str(each["id"]) in (str(house.booking.id), str(house.guest.id))
                                          for each in found), (model, field)  # fmt: skip


def pickers() -> Iterator[tuple[type[Model], Field[Any, Any]]]:
    """Yield every column through which the admin's autocomplete can be asked for rows of a page's model."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.related_model in (Booking, Guest):
                yield model, field


def test_what_erasing_a_guest_empties_is_private(houses: tuple[House, House]) -> None:
    """So that a new column of personal data is guarded wherever the admin shows rows."""
    house = houses[0]
    querysets = (Guest.objects.filter(pk=house.guest.id), Booking.objects.filter(pk=house.booking.id))
    before: list[dict[str, Any]] = [dict(rows.values().get()) for rows in querysets]
    guests.erase_guest(caller=SYSTEM, guest_id=house.guest.id)
    for rows, old in zip(querysets, before, strict=True):
        new: dict[str, Any] = dict(rows.values().get())
        emptied = {name for name in old if old[name] and new[name] == ""}
        assert emptied == {name for name in emptied if private_permission(rows.model, name)}
        assert emptied >= {"notes"}


def test_canary_a_column_that_is_not_declared_private_is_noticed(
    houses: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: without the declaration, the list shows every guest and finds by parts of phones."""
    monkeypatch.setattr(Booking, "private_fields", {})
    client = person(Role.API_CLIENT)
    assert houses[0].shown(client.get("/admin/bookings/booking/").content.decode()) == ["name"]
    monkeypatch.setattr(Guest, "private_fields", {})
    assert rows_of(client.get("/admin/bookings/booking/", {"q": "111 22"})) == {"R1"}
