"""The filters of the admin's lists name nothing of another restaurant."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from restaurants.models import Restaurant, Sector
from restaurants.services.restaurants import create_restaurant, create_sector
from tests.wokibrain.office.pages import make_restaurants, person
from wokibrain.access.models import Membership
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role

FOREIGN = ("Foreign house", "Foreign room")
LISTS = sorted(
    reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist") for model in admin.site._registry
)


@pytest.fixture
def two_restaurants(db: None) -> None:
    make_restaurants()
    Restaurant.objects.filter(pk="R2").update(name=FOREIGN[0])
    Sector.objects.filter(pk="S2").update(name=FOREIGN[1])


@pytest.mark.parametrize("path", LISTS)
def test_no_list_filter_names_other_restaurants_rows(two_restaurants: None, path: str) -> None:
    for role in (Role.ADMIN, Role.STAFF):
        response = person(role).get(path)
        assert response.status_code in (200, 403)
        page = response.content.decode()
        assert [name for name in FOREIGN if name in page] == []


def test_a_user_of_two_restaurants_filters_by_these_two(two_restaurants: None) -> None:
    create_restaurant(caller=SYSTEM, id="R3", name="Second house", zone="Europe/Madrid")
    create_sector(caller=SYSTEM, id="S3", restaurant_id="R3", name="Second room")
    client = person(Role.MANAGER)
    Membership.objects.create(user=User.objects.get(), restaurant_id="R3", role=Role.STAFF)
    page = client.get("/admin/bookings/booking/")
    by = {spec.field_path: spec for spec in page.context["cl"].filter_specs if hasattr(spec, "field_path")}
    assert sorted(pk for pk, _name in by["restaurant"].lookup_choices) == ["R1", "R3"]
    assert sorted(pk for pk, _name in by["sector"].lookup_choices) == ["S1", "S3"]
    assert [name in page.content.decode() for name in ("Second house", *FOREIGN)] == [True, False, False]
