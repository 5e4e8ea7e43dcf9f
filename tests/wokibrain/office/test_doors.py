"""Every address of the admin, as each role: what it answers and what it shows.

The pages are those of ``admin.site._registry``, so that a page added to the product is tested with the others.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

from tests.wokibrain.office.pages import make_restaurants, owner, person
from wokibrain.core.permissions import Role

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
