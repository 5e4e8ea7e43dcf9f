"""`manage.py seed --first-look`: what `manage.py run` shows a developer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from restaurants.models import Restaurant
from restaurants.services.calendar import DEFAULT_HOURS
from restaurants.services.restaurants import create_restaurant
from wokibrain.access.credentials import digest_of
from wokibrain.access.models import ApiKey
from wokibrain.core.callers import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


def first_look() -> list[str]:
    output = io.StringIO()
    call_command("seed", first_look=True, stdout=output)
    return output.getvalue().splitlines()


def test_first_look_seeds_an_empty_database_and_keeps_its_credentials() -> None:
    key, login = first_look()
    assert [*Restaurant.objects.values_list("id", flat=True)] == ["R1"]
    name, token = key.rsplit(maxsplit=1)
    assert (name, ApiKey.objects.get().digest) == ("API key", digest_of(token))
    assert login.startswith("Login     host / ")
    assert first_look() == [key, login]


def test_first_look_adds_no_example_to_a_database_in_use() -> None:
    create_restaurant(caller=SYSTEM, id="R9", name="Ours", zone="Europe/Madrid", hours=DEFAULT_HOURS)
    assert len(first_look()) == 2
    assert [*Restaurant.objects.values_list("id", flat=True)] == ["R9"]


def test_first_look_does_nothing_in_production(settings: Any) -> None:
    settings.PRODUCTION = True
    assert first_look() == []
    assert not Restaurant.objects.exists()
    assert not ApiKey.objects.exists()
