"""The audit trail: management, keys, users and sign-ins leave an entry, without personal values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from bookings.models import Booking
from restaurants.services.restaurants import delete_table
from restaurants.services.table_joins import Joined, drop_join, put_combo, put_join
from tests.api import events_of
from tests.wokibrain.access.conftest import client_of
from tests.wokibrain.access.conftest import example as example
from wokibrain.access import keys
from wokibrain.access.models import ApiKey, Membership
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.events import actions
from wokibrain.events.models import AuditEntry
from wokibrain.events.types import event_types

pytestmark = pytest.mark.usefixtures("example")
API = "/api/v1"
REQUEST = "5f0c2f3e-8f5e-4a8b-9a53-5f5d7f3a0c11"


@pytest.fixture
def owner() -> APIClient:
    return client_of(Role.SUPER_ADMIN)


def entries(target_type: str, target_id: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(target_type=target_type, target_id=target_id).order_by("id"))


def fields_of(entry: AuditEntry) -> tuple[str, str, dict[str, Any], dict[str, Any], list[str]]:
    return entry.action, entry.restaurant_id, entry.before, entry.after, entry.touched


def ask(client: APIClient, method: str, path: str, body: Any = None) -> int:
    content = "" if body is None else json.dumps(body)
    headers: dict[str, Any] = {"HTTP_X_REQUEST_ID": REQUEST}
    response = client.generic(method, f"{API}/{path}", content, "application/json", **headers)
    return int(response.status_code)


def test_a_tables_whole_life_is_audited(owner: APIClient) -> None:
    body = {"id": "T7", "sectorId": "S1", "capacityMin": 2, "capacityMax": 4, "name": "Ventana"}
    assert ask(owner, "POST", "tables", body) == 201
    assert ask(owner, "PATCH", "tables/T7", {"capacityMax": 6, "name": "Patio"}) == 200
    assert ask(owner, "PATCH", "tables/T7", {"capacityMax": 6}) == 200, "nothing changes, nothing is entered"
    assert ask(owner, "DELETE", "tables/T7") == 204
    creation, change, deletion = entries("table", "T7")
    key = ApiKey.objects.get()
    for entry in (creation, change, deletion):
        assert (entry.actor, entry.source, entry.request_id) == (f"api_key:{key.pk}", "rest", REQUEST)
    assert (creation.action, creation.restaurant_id, creation.before, creation.touched) == (
        "TableCreated",
        "R1",
        {},
        ["name"],
    )
    assert {name: creation.after[name] for name in ("sectorId", "capacityMin", "capacityMax", "active")} == {
        "sectorId": "S1",
        "capacityMin": 2,
        "capacityMax": 4,
        "active": True,
    }
    assert fields_of(change) == ("TableUpdated", "R1", {"capacityMax": 4}, {"capacityMax": 6}, ["name"])
    assert (deletion.action, deletion.after, deletion.before["capacityMax"]) == ("TableDeleted", {}, 6)
    assert "Ventana" not in str([entry.before | entry.after for entry in (creation, change, deletion)])


def test_a_sectors_joins_and_combos_are_audited(owner: APIClient) -> None:
    assert ask(owner, "POST", "restaurants/R1/sectors", {"id": "S5", "name": "Terraza"}) == 201
    assert ask(owner, "DELETE", "sectors/S5") == 204
    body = {
        "joins": [["T2", "T3"]],
        "combos": [{"tableIds": ["T3", "T2"], "capacityMin": 5, "capacityMax": 6}],
    }
    assert ask(owner, "PATCH", "sectors/S1", body) == 200
    assert [entry.action for entry in entries("sector", "S5")] == ["SectorCreated", "SectorDeleted"]
    assert fields_of(entries("sector", "S1")[-1]) == (
        "SectorUpdated", "R1", {"joins": [], "combos": []}, {"joins": ["T2+T3"], "combos": ["T2+T3: 5-6"]}, [],
    )  # fmt: skip


def test_single_joins_and_combos_are_audited() -> None:
    join = put_join(caller=SYSTEM, sector_id="S1", tables=frozenset({"T3", "T2"}))
    put_combo(caller=SYSTEM, sector_id="S1", joined=Joined(frozenset({"T2", "T3"}), 5, 6))
    drop_join(caller=SYSTEM, sector_id="S1", join_id=join.pk)
    assert [fields_of(entry)[2:4] for entry in entries("sector", "S1")[-3:]] == [
        ({"joins": []}, {"joins": ["T2+T3"]}),
        ({"combos": []}, {"combos": ["T2+T3: 5-6"]}),
        ({"joins": ["T2+T3"]}, {"joins": []}),
    ]


def test_a_restaurants_calendar_is_audited(owner: APIClient) -> None:
    body = {
        "timezone": "Europe/Paris",
        "windows": [{"start": "20:00", "end": "01:00", "lastSeating": "23:00", "weekday": 5}],
        "specialDays": [{"date": "2031-12-25", "name": "Navidad"}],
        "turnTimes": [{"partyUpTo": 4, "minutes": 90}],
    }
    assert ask(owner, "PATCH", "restaurants/R2", body) == 200
    action, restaurant, before, after, touched = fields_of(entries("restaurant", "R2")[-1])
    assert (action, restaurant, touched) == ("RestaurantUpdated", "R2", ["specialDayNames"])
    assert before["windows"][:2] == ["0 12:00-16:00", "0 20:00-23:45"]
    assert {name: before[name] for name in before.keys() - {"windows"}} == {
        "timezone": "Europe/Madrid",
        "specialDays": [],
        "turnTimes": [],
    }
    assert after == {
        "timezone": "Europe/Paris",
        "windows": ["5 20:00-01:00 (23:00)"],
        "specialDays": ["2031-12-25"],
        "turnTimes": ["4: 90"],
    }
    assert ask(owner, "DELETE", "restaurants/R2") == 204
    assert entries("restaurant", "R2")[-1].action == "RestaurantDeleted"


def test_changed_special_days_are_audited_without_their_names(owner: APIClient) -> None:
    party = {
        "date": "2031-05-02",
        "name": "Ana Pérez's wedding",
        "windows": [{"start": "12:00", "end": "18:00"}],
    }
    eve = {"date": "2031-12-24", "name": "Nochebuena"}
    later = eve | {"windows": [{"start": "12:00", "end": "16:00"}]}
    renamed = party | {"name": "Wedding of A. P."}
    for days in ([party, eve], [party, later], [renamed, later]):
        assert ask(owner, "PATCH", "restaurants/R2", {"specialDays": days}) == 200
    audit_entries = [entry for entry in entries("restaurant", "R2") if entry.action == "RestaurantUpdated"]
    assert [fields_of(entry)[2:] for entry in audit_entries] == [
        ({"specialDays": []}, {"specialDays": ["2031-05-02 12:00-18:00", "2031-12-24"]}, ["specialDayNames"]),
        ({"specialDays": ["2031-12-24"]}, {"specialDays": ["2031-12-24 12:00-16:00"]}, []),
        ({}, {}, ["specialDayNames"]),
    ]


def test_deleting_a_table_audits_the_end_of_its_joins_and_combos() -> None:
    put_join(caller=SYSTEM, sector_id="S1", tables=frozenset({"T3", "T4"}))
    put_combo(caller=SYSTEM, sector_id="S1", joined=Joined(frozenset({"T3", "T4"}), 5, 6))
    delete_table(caller=SYSTEM, table_id="T4")
    assert entries("table", "T4")[-1].action == "TableDeleted"
    assert fields_of(entries("sector", "S1")[-1]) == (
        "SectorUpdated", "R1", {"joins": ["T3+T4"], "combos": ["T3+T4: 5-6"]}, {"joins": [], "combos": []}, [],
    )  # fmt: skip


def test_a_refused_change_leaves_no_entry(owner: APIClient) -> None:
    before = AuditEntry.objects.count()
    for method, path, body, status in (
        ("POST", "tables", {"id": "T1", "sectorId": "S1", "capacityMin": 2, "capacityMax": 4}, 400),
        ("PATCH", "restaurants/R1", {"timezone": "Mars/Olympus"}, 400),
        ("DELETE", "sectors/S1", None, 409),
        ("DELETE", "restaurants/R1", None, 409),
    ):
        assert ask(owner, method, path, body) == status
    with clock.frozen(datetime(2025, 10, 20, 12, tzinfo=UTC)):
        assert ask(owner, "PATCH", "tables/T2", {"active": False}) == 409
    assert AuditEntry.objects.exclude(action="api-key.used").count() == before


def test_a_stranded_bookings_history_shows_it(owner: APIClient) -> None:
    with clock.frozen(datetime(2025, 10, 20, 12, tzinfo=UTC)):
        refused = owner.patch(f"{API}/tables/T2", {"active": False}, format="json").json()
        path = f"tables/T2?acknowledge={refused['acknowledge']}"
        assert ask(owner, "PATCH", path, {"active": False}) == 200
    booking = Booking.objects.get(reference="B1")
    history = owner.get(f"{API}/woki/bookings/B1/history").json()["events"]
    assert [(event["eventType"], event["version"]) for event in history] == [
        ("BookingCreated", 1),
        ("BookingUpdated", 2),
    ]
    assert history[1]["payload"]["changes"] == {"attention": {"from": [], "to": ["tables"]}}
    assert history[1]["metadata"]["actor"] == f"api_key:{ApiKey.objects.get().pk}"
    assert (booking.version, booking.attention, booking.status) == (2, ["tables"], "CONFIRMED")
    assert [event.version for event in events_of(str(booking.pk))] == [1, 2]


def test_api_keys_are_audited_with_their_permissions() -> None:
    key, _ = keys.create_key(caller=SYSTEM, name="Ana's laptop", role=Role.STAFF, restaurant_id="R1",
                             scopes=["booking:read"])  # fmt: skip
    keys.revoke_key(caller=SYSTEM, key_id=str(key.pk))
    creation, revocation = entries("api_key", str(key.pk))
    assert fields_of(creation) == (
        "api-key.created", "R1", {},
        {"role": "restaurant_staff", "scopes": ["booking:read"], "expiresAt": None}, [],
    )  # fmt: skip
    assert (revocation.action, list(revocation.after)) == ("api-key.revoked", ["revokedAt"])


def signed_in() -> tuple[Client, User]:
    User.objects.create_superuser("root", password="a-long-password")
    client = Client()
    client.post("/admin/login/", {"username": "root", "password": "a-long-password"})
    return client, User.objects.get(username="root")


def person(**changes: str) -> dict[str, str]:
    return {
        "username": "ana", "first_name": "Ana", "last_name": "", "email": "", "is_active": "on",
        "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0",
    } | changes  # fmt: skip


def test_users_and_memberships_are_audited() -> None:
    client, root = signed_in()
    ana = User.objects.create_user("ana", is_staff=True)
    path = f"/admin/auth/user/{ana.pk}/change/"
    first = person(**{"memberships-0-user": str(ana.pk), "memberships-0-restaurant": "R1",
                      "memberships-0-role": "restaurant_staff"})  # fmt: skip
    assert client.post(path, first).status_code == 302
    member = Membership.objects.get()
    form = first | {"memberships-INITIAL_FORMS": "1", "memberships-0-id": str(member.pk)}
    form.pop("is_active")
    assert client.post(path, form | {"memberships-0-role": "restaurant_manager"}).status_code == 302
    form |= {"memberships-0-role": "restaurant_manager", "memberships-0-DELETE": "on"}
    assert client.post(path, form).status_code == 302
    entry_fields = [fields_of(entry) for entry in entries("user", str(ana.pk))]
    staff, manager = (
        {"restaurantId": "R1", "role": role} for role in ("restaurant_staff", "restaurant_manager")
    )
    assert entry_fields == [
        ("UserUpdated", "", {}, {}, ["name"]),
        ("MembershipCreated", "R1", {}, staff, []),
        ("UserUpdated", "", {"is_active": True}, {"is_active": False}, []),
        ("MembershipUpdated", "R1", staff, manager, []),
        ("MembershipDeleted", "R1", manager, {}, []),
    ]
    (actor,) = {entry.actor for entry in entries("user", str(ana.pk))}
    assert actor == f"user:{root.pk}"


def test_a_membership_that_changes_restaurant_is_audited_at_both() -> None:
    client, _ = signed_in()
    ana = User.objects.create_user("ana", is_staff=True)
    member = Membership.objects.create(user=ana, restaurant_id="R1", role=Role.STAFF)
    form = person(**{"memberships-INITIAL_FORMS": "1", "memberships-0-id": str(member.pk),
                     "memberships-0-user": str(ana.pk), "memberships-0-restaurant": "R2",
                     "memberships-0-role": "restaurant_manager"})  # fmt: skip
    assert client.post(f"/admin/auth/user/{ana.pk}/change/", form).status_code == 302
    assert [fields_of(entry) for entry in entries("user", str(ana.pk)) if entry.restaurant_id] == [
        ("MembershipDeleted", "R1", {"restaurantId": "R1", "role": "restaurant_staff"}, {}, []),
        ("MembershipCreated", "R2", {}, {"restaurantId": "R2", "role": "restaurant_manager"}, []),
    ]


def test_a_password_set_for_another_user_is_audited() -> None:
    client, root = signed_in()
    ana = User.objects.create_user("ana", is_staff=True)
    word = "a-new-long-password"
    body = {"password1": word, "password2": word, "usable_password": "true"}
    assert client.post(f"/admin/auth/user/{ana.pk}/password/", body).status_code == 302
    (entry,) = entries("user", str(ana.pk))
    assert (entry.action, entry.actor, entry.source) == ("UserPasswordChanged", f"user:{root.pk}", "admin")


def test_back_office_sign_ins_and_failures_are_audited() -> None:
    _, root = signed_in()
    client = Client()
    client.post("/admin/login/", {"username": "root", "password": "wrong"})
    audit_entries = AuditEntry.objects.filter(action__startswith="sign-in").order_by("id")
    assert [(entry.action, entry.actor, entry.source) for entry in audit_entries] == [
        ("sign-in", f"user:{root.pk}", "admin"),
        ("sign-in.failed", "anonymous", "admin"),
    ]


def test_a_user_whom_the_back_office_refuses_has_not_signed_in() -> None:
    ana = User.objects.create_user("ana", password="a-long-password", is_staff=False)
    client = Client()
    client.post("/admin/login/", {"username": "ana", "password": "a-long-password"})
    assert "_auth_user_id" not in client.session
    audit_entries = AuditEntry.objects.filter(action__startswith="sign-in")
    assert [(entry.action, entry.actor, entry.source) for entry in audit_entries] == [
        ("sign-in.failed", f"user:{ana.pk}", "admin")
    ]


def test_api_sign_ins_are_audited(owner: APIClient) -> None:
    ana = User.objects.create_user("ana", password="a-long-password", is_staff=False)
    assert ask(owner, "POST", "auth/login", {"username": "ana", "password": "a-long-password"}) == 200
    assert [entry.actor for entry in AuditEntry.objects.filter(action="sign-in")] == [f"user:{ana.pk}"]


def test_the_audit_trail_is_shown_in_both_languages(owner: APIClient) -> None:
    client, _ = signed_in()
    assert ask(owner, "PATCH", "tables/T1", {"position": 7}) == 200
    client.post("/admin/login/", {"username": "root", "password": "a-long-password"})
    for language, label in (("en", "table changed"), ("es", "mesa cambiada")):
        page = client.get("/admin/events/auditentry/?action=TableUpdated", HTTP_ACCEPT_LANGUAGE=language)
        assert label in page.content.decode(), language


def test_every_audited_action_has_a_label() -> None:
    client, _ = signed_in()
    events = {event_type.name for event_type in event_types()}
    assert events <= set(actions.words())
    assert set(AuditEntry.objects.values_list("action", flat=True)) <= set(actions.words())
    assert client.get("/admin/events/auditentry/").status_code == 200
