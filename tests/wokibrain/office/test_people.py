"""Accounts in the back office: who may change whose, adding a person with a role, and signing in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.wokibrain.office.pages import filled_form, make_restaurants, owner, person
from wokibrain.access import password_guard
from wokibrain.access.models import Membership
from wokibrain.core import clock
from wokibrain.core.permissions import Role

PASSWORD = "long enough, and not a word"
HTML = {"Accept": "text/html"}


@pytest.fixture
def two_restaurants(db: None) -> None:
    make_restaurants()


def boss() -> Client:
    """Return a client signed in as a super administrator by membership, who is no superuser."""
    user = User.objects.create_user("boss", is_staff=True)
    Membership.objects.create(user=user, role=Role.SUPER_ADMIN)
    client = Client()
    client.force_login(user)
    return client


def set_password(client: Client, user: User) -> int:
    """Try to set the user's password; return the status."""
    body = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    return client.post(f"/admin/auth/user/{user.pk}/password/", body).status_code


def add_person(client: Client, *roles: tuple[str, str]) -> Any:
    """Submit the form for a new person, with a membership for each pair of restaurant and role."""
    body = {
        "username": "eva", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true",
        "memberships-TOTAL_FORMS": str(len(roles)), "memberships-INITIAL_FORMS": "0",
    }  # fmt: skip
    for number, (restaurant, role) in enumerate(roles):
        body |= {f"memberships-{number}-restaurant": restaurant, f"memberships-{number}-role": role}
    return client.post("/admin/auth/user/add/", body)


def roles_of(name: str) -> list[tuple[str | None, str]]:
    return list(Membership.objects.filter(user__username=name).values_list("restaurant_id", "role"))


# --- whose account ------------------------------------------------------------------------------------------


def test_nobody_changes_an_account_with_more_rights(two_restaurants: None) -> None:
    root = User.objects.create_superuser("root")
    client = boss()
    page = client.get(f"/admin/auth/user/{root.pk}/change/")
    assert (page.status_code, page.context["has_change_permission"]) == (200, False)
    assert client.post(f"/admin/auth/user/{root.pk}/change/", {"username": "mine"}).status_code == 403
    assert set_password(client, root) == 403
    root.refresh_from_db()
    assert (root.username, root.has_usable_password()) == ("root", False)


def test_an_administrator_changes_the_accounts_of_the_own_restaurant_only(two_restaurants: None) -> None:
    client = person(Role.ADMIN)
    for role, restaurant in ((Role.STAFF, "R1"), (Role.MANAGER, "R2")):
        person(role, restaurant)
    colleague = User.objects.get(username=f"{Role.STAFF}-R1")
    stranger = User.objects.get(username=f"{Role.MANAGER}-R2")
    both = User.objects.create_user("both", is_staff=True)
    for restaurant in ("R1", "R2"):
        Membership.objects.create(user=both, restaurant_id=restaurant, role=Role.ADMIN)
    statuses = [set_password(client, user) for user in (colleague, stranger, both)]
    assert statuses == [302, 404, 404]


def test_a_super_administrator_changes_those_with_the_same_rights(two_restaurants: None) -> None:
    client = boss()
    twin = User.objects.create_user("twin", is_staff=True)
    Membership.objects.create(user=twin, role=Role.SUPER_ADMIN)
    path = f"/admin/auth/user/{twin.pk}/change/"
    response = client.post(path, filled_form(client.get(path), first_name="Eva") | {"_save": "1"})
    assert response.status_code == 302
    twin.refresh_from_db()
    assert (twin.first_name, set_password(client, twin)) == ("Eva", 302)
    root = User.objects.create_superuser("root-2")
    assert set_password(owner(), root) == 302


# --- adding a person ----------------------------------------------------------------------------------------


def test_a_person_is_added_with_a_role_in_one_form(two_restaurants: None) -> None:
    response = add_person(person(Role.ADMIN), ("R1", Role.MANAGER))
    assert (response.status_code, roles_of("eva")) == (302, [("R1", Role.MANAGER)])


def test_a_person_added_without_a_role_is_staff_where_the_administrator_is(two_restaurants: None) -> None:
    response = add_person(person(Role.ADMIN))
    assert (response.status_code, roles_of("eva")) == (302, [("R1", Role.STAFF)])


@pytest.mark.parametrize(
    ("roles", "error"),
    [
        ([("", Role.STAFF)], {"restaurant": ["Choose a restaurant for this role."]}),
        ([("R1", Role.SUPER_ADMIN)],
         {"restaurant": ["A super administrator has this role everywhere: leave it empty."]}),
    ],
)  # fmt: skip
def test_a_role_without_its_place_is_explained_at_the_restaurant(
    two_restaurants: None, roles: list[tuple[str, str]], error: dict[str, list[str]]
) -> None:
    response = add_person(boss(), *roles)
    (formset,) = (inline.formset for inline in response.context["inline_admin_formsets"])
    assert (response.status_code, formset.errors, User.objects.filter(username="eva").exists()) == (
        200,
        [error],
        False,
    )


def test_two_roles_at_one_restaurant_are_refused(two_restaurants: None) -> None:
    response = add_person(person(Role.ADMIN), ("R1", Role.STAFF), ("R1", Role.MANAGER))
    assert (response.status_code, User.objects.filter(username="eva").exists()) == (200, False)


@pytest.mark.parametrize("role", [Role.SUPER_ADMIN, "owner"])
def test_no_role_with_more_rights_than_the_own_is_given(two_restaurants: None, role: str) -> None:
    response = add_person(person(Role.ADMIN), ("", role))
    assert (response.status_code, User.objects.filter(username="eva").exists()) == (200, False)


# --- signing in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Too many attempts to sign in. Wait 15 minutes, then try again."),
        ("es", "Demasiados intentos de entrar. Espera 15 minutos y vuelve a intentarlo."),
    ],
)
def test_a_blocked_sign_in_says_when_to_try_again(db: None, language: str, said: str) -> None:
    User.objects.create_user("ana", password=PASSWORD, is_staff=True)
    client, spoken = Client(), {"Accept-Language": language}
    with clock.frozen(clock.now()):
        wrong = [
            client.post("/admin/login/", {"username": "ana", "password": "wrong"}, headers=spoken)
            for _ in range(6)
        ]
        assert [(page.status_code, page.get("Retry-After")) for page in wrong] == [(200, None)] * 5 + [
            (429, str(int(password_guard.WINDOW / timedelta(seconds=1)) + 1))
        ]
        right = client.post("/admin/login/", {"username": "ana", "password": PASSWORD}, headers=spoken)
    assert (right.status_code, right.context["form"].non_field_errors()) == (429, [said])
    assert said in right.content.decode()
