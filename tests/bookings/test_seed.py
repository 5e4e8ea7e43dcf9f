"""`manage.py seed --first-look`: what `manage.py run` shows a developer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
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


NEW_PASSWORD = "          for a new password: .venv/bin/python manage.py changepassword host"


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
    assert first_look() == [key, login, NEW_PASSWORD]


def test_a_later_first_look_says_how_to_get_a_new_password_and_prints_no_wrong_one() -> None:
    key, _ = first_look()
    user = User.objects.get(username="host")
    user.set_password("a-password-of-my-own")
    user.save()
    assert first_look() == [key, "Login     host, with the password that was set since", NEW_PASSWORD]


def test_a_deleted_login_is_made_again() -> None:
    key, login = first_look()
    User.objects.all().delete()
    new_key, new_login = first_look()
    assert (new_key != key, new_login != login) == (True, True)
    assert User.objects.get(username="host").check_password(new_login.rsplit(maxsplit=1)[1])


def test_first_look_adds_no_example_to_a_database_in_use() -> None:
    create_restaurant(caller=SYSTEM, id="R9", name="Ours", zone="Europe/Madrid", hours=DEFAULT_HOURS)
    assert len(first_look()) == 2
    assert [*Restaurant.objects.values_list("id", flat=True)] == ["R9"]


def test_first_look_does_nothing_in_production(settings: Any) -> None:
    settings.PRODUCTION = True
    assert first_look() == []
    assert not Restaurant.objects.exists()
    assert not ApiKey.objects.exists()
