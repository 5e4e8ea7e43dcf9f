"""Shared by the tests of the back office: signed-in users, and forms filled in as a browser sends them."""

from __future__ import annotations

from datetime import time
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from bookings.sample_data import example
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.access.models import Membership
from wokibrain.core.callers import SYSTEM

DAY = "2025-10-22"


def make_restaurants() -> None:
    """Create the example R1, and R2, which belongs to another tenant."""
    example.example()
    create_restaurant(
        caller=SYSTEM,
        id="R2",
        name="Other",
        zone="Europe/Madrid",
        hours=[Hours(time(20), time(23))],
        refuse_past=False,
    )
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R2", name="Other room")
    create_table(caller=SYSTEM, id="Z1", sector_id="S2", capacity_min=1, capacity_max=4)


def person(role: str, restaurant: str | None = "R1", *, csrf: bool = False) -> Client:
    """Return a client signed in as Ana, with that role at that restaurant; None for everywhere."""
    user = User.objects.create_user(f"{role}-{restaurant}", first_name="Ana", is_staff=True)
    Membership.objects.create(user=user, restaurant_id=restaurant, role=role)
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


def owner() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self._select = self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name, kind = attributes.get("name", ""), attributes.get("type", "text")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in attributes:
            self._put(self._select, attributes.get("value", ""))
        elif tag == "textarea":
            self._textarea = name
            self._put(name, "")
        elif tag == "input" and kind not in ("submit", "button", "file"):
            if kind not in ("checkbox", "radio"):
                self._put(name, attributes.get("value", ""))
            elif "checked" in attributes:
                self._put(name, attributes.get("value", "on"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] = [data.removeprefix("\n")]

    def _put(self, name: str, value: str) -> None:
        if name and "__prefix__" not in name:
            self.values.setdefault(name, []).append(value)


def filled_form(response: Any, **changes: Any) -> dict[str, Any]:
    """Return a page's form fields, overwritten with ``changes``; None omits one."""
    parser = _Fields()
    parser.feed(response.content.decode())
    del parser.values["csrfmiddlewaretoken"]
    values: dict[str, Any] = parser.values | changes
    return {name: value for name, value in values.items() if value is not None}
