"""One effect per Idempotency-Key, for every changing operation of the OpenAPI document."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import orjson
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from bookings.sample_data import example
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from tests.api import Api, Reply, api_as, assert_refused
from tests.webhooks import support
from tests.wokibrain.rest.test_openapi import operations
from webhooks.models import Delivery, Webhook
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role
from wokibrain.idempotency import keys
from wokibrain.idempotency.models import IdempotencyKey
from wokibrain.rest import openapi

pytestmark = pytest.mark.django_db
NEVER = {"login", "refresh", "logout"}
SECRET = {"X-Admin-Secret": settings.ADMIN_SECRET}
HOOK = {"url": "http://127.0.0.1:8080/hook", "events": ["booking.created"]}
OPENED = datetime(2025, 10, 22, 23, 30, tzinfo=UTC)
SHUT = {"start": "2025-10-23T12:00:00-03:00", "end": "2025-10-23T16:00:00-03:00"}
BOOK = {"restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90}


@dataclass(frozen=True)
class Case:
    """A request that succeeds; ``{hook}`` and ``{delivery}`` in its path are filled in."""

    path: str
    body: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    """Laid over the body, makes another request."""
    before: Callable[[Api], Any] = lambda _: None


def blocked(api: Api) -> None:
    assert api.post("/tables/T4/blocks", SHUT).status == 201


def seat_b1(api: Api) -> None:
    assert api.step("B1", "seat").status == 200


OTHER_NAME = {"name": "Otra"}
PLACE = {"name": "Nueva", "timezone": "Europe/Madrid"}
TABLE = {"sectorId": "S1", "minSize": 2, "maxSize": 4}
CASES = {
    "createRestaurant": Case("/restaurants", PLACE, OTHER_NAME),
    "changeRestaurant": Case("/restaurants/R1", {"name": "Bistro"}, OTHER_NAME),
    "deleteRestaurant": Case("/restaurants/R2"),
    "createSector": Case("/restaurants/R1/sectors", {"name": "Patio"}, OTHER_NAME),
    "changeSector": Case("/sectors/S1", {"name": "Sala"}, OTHER_NAME),
    "deleteSector": Case("/sectors/S9"),
    "createTable": Case("/tables", TABLE, {"maxSize": 5}),
    "changeTable": Case("/tables/T1", {"name": "Ventana"}, OTHER_NAME),
    "deleteTable": Case("/tables/T9"),
    "blockTable": Case("/tables/T3/blocks", SHUT, {"reason": "Wobbly leg"}),
    "unblockTable": Case("/tables/T4/blocks", before=blocked),
    "createWebhook": Case("/webhooks", HOOK | {"restaurantId": "R1"}, {"events": ["booking.updated"]}),
    "replaceWebhook": Case("/webhooks/{hook}", HOOK, {"events": ["booking.updated"]}),
    "changeWebhook": Case("/webhooks/{hook}", {"status": "PAUSED"}, {"status": "INACTIVE"}),
    "deleteWebhook": Case("/webhooks/{hook}"),
    "rotateWebhookSecret": Case("/webhooks/{hook}/rotate-secret", {}, {"secret": "sixteen letters and more"}),
    "testWebhook": Case("/webhooks/{hook}/test", {}, {"event": "booking.updated"}),
    "redeliver": Case("/webhooks/{hook}/deliveries/{delivery}/redeliver"),
    "recoverWebhook": Case("/webhooks/{hook}/recover?since=2025-10-20T00:00:00Z"),
    "seed": Case("/admin/seed"),
    "setUpRestaurant": Case("/admin/restaurants", PLACE, OTHER_NAME),
    "setUpSector": Case("/admin/sectors", {"restaurantId": "R1", "name": "Patio"}, OTHER_NAME),
    "setUpTable": Case("/admin/tables", TABLE, {"maxSize": 5}),
    "createBooking": Case("/woki/bookings", BOOK, {"partySize": 2}),
    "changeBooking": Case("/woki/bookings/B1", {"partySize": 4}, {"partySize": 2}),
    "cancelBooking": Case("/woki/bookings/B1"),
    "seatBooking": Case("/woki/bookings/B1/seat", {}, {"tableIds": ["T3"]}),
    "completeBooking": Case("/woki/bookings/B1/complete", before=seat_b1),
    "markNoShow": Case("/woki/bookings/B1/no-show"),
    "reopenBooking": Case("/woki/bookings/B1/reopen", before=seat_b1),
}
CHANGING = {
    operation["operationId"]: (method.upper(), operation)
    for _, method, operation in operations(openapi.document())
    if method != "get"
}
KEYED = sorted(set(CHANGING) - NEVER)


@dataclass
class Scene:
    """A caller at one operation."""

    api: Api
    method: str
    case: Case
    hook: str
    delivery: str

    def send(self, key: str | None, *, api: Api | None = None, more: str = "", **over: Any) -> Reply:
        path = self.case.path.format(hook=self.hook, delivery=self.delivery)
        if more:
            path += ("&" if "?" in path else "?") + more
        body = None if self.case.body is None else self.case.body | over
        headers = SECRET | ({} if key is None else {"Idempotency-Key": key})
        return (api or self.api).call(self.method, path, body, headers=headers)


@pytest.fixture
def scene(request: pytest.FixtureRequest, settings: Settings) -> Any:
    """Return the operation under test, with data with which it succeeds."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    case = CASES[request.param]
    with clock.frozen(OPENED):
        example.example()
        create_restaurant(caller=SYSTEM, id="R2", name="La Otra", zone="Europe/Madrid")
        create_sector(caller=SYSTEM, id="S9", restaurant_id="R1", name="Patio")
        create_table(caller=SYSTEM, id="T9", sector_id="S1", capacity_min=2, capacity_max=4)
        hook = support.webhook("http://127.0.0.1:8080/hook", events=["booking.created"])
        support.publish_event()
        delivery = Delivery.objects.get()
        Delivery.objects.update(status=Delivery.Status.FAILED, due_at=None, finished_at=OPENED)
        api = api_as()
        # The audit trail records the first use of a credential.
        assert api.get("/restaurants").status == 200
        case.before(api)
        yield Scene(api, CHANGING[request.param][0], case, str(hook.pk), str(delivery.pk))


each_operation = pytest.mark.parametrize("scene", KEYED, indirect=True)
with_a_body = pytest.mark.parametrize("scene", [name for name in KEYED if CASES[name].other], indirect=True)


def everything() -> dict[str, list[str]]:
    """Return all rows, except the keys themselves and the last use of credentials."""
    left_out = {"idempotency.IdempotencyKey", "access.ApiKey"}
    return {
        model._meta.label: sorted(map(str, model._default_manager.values()))
        for model in apps.get_models()
        if model._meta.label not in left_out and model._meta.managed
    }


def test_every_changing_operation_accepts_a_key_and_documents_it() -> None:
    assert set(CASES) == set(KEYED)
    for name in KEYED:
        operation = CHANGING[name][1]
        (header,) = [parameter for parameter in operation["parameters"] if parameter["in"] == "header"]
        assert (header["name"], header["schema"]["maxLength"]) == ("Idempotency-Key", 255), name
        (good,) = [response for status, response in operation["responses"].items() if status < "300"]
        assert "Idempotent-Replayed" in good["headers"], name
        for status, code in (("409", "IDEMPOTENCY_IN_PROGRESS"), ("422", "IDEMPOTENCY_KEY_REUSED")):
            examples = operation["responses"][status]["content"]["application/json"]["examples"].values()
            assert code in {entry["value"]["error"] for entry in examples}, name


def test_operations_without_a_key_document_why() -> None:
    assert set(CHANGING) >= NEVER
    for name in NEVER:
        assert "Takes no `Idempotency-Key`" in " ".join(CHANGING[name][1]["description"].split())
        assert "Idempotency-Key" not in json.dumps(CHANGING[name][1].get("parameters", []))


def test_reading_ignores_a_key() -> None:
    for _, method, operation in operations(openapi.document()):
        if method == "get":
            assert "Idempotency-Key" not in json.dumps(operation.get("parameters", []))


@each_operation
def test_a_repeated_request_takes_effect_once_and_gets_the_same_response(scene: Scene) -> None:
    first = scene.send("k")
    assert (first.status // 100, "Idempotent-Replayed" in first.headers) == (2, False), first.body
    before = everything()
    second = scene.send("k")
    assert (second.status, second.content) == (first.status, first.content)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers.get("Content-Type") == first.headers.get("Content-Type")
    assert everything() == before


@each_operation
def test_without_a_key_nothing_is_stored(scene: Scene) -> None:
    assert scene.send(None).status // 100 == 2
    assert not IdempotencyKey.objects.exists()


@each_operation
def test_an_unknown_parameter_is_refused_under_a_key_too(scene: Scene) -> None:
    before = everything()
    assert_refused(scene.send("k", more="again=1"), 400, "VALIDATION_ERROR", "again")
    assert everything() == before
    assert scene.send("k").status // 100 == 2
    assert_refused(scene.send("k", more="again=1"), 400, "VALIDATION_ERROR", "again")
    assert scene.send("k").headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("scene", "more"), [("recoverWebhook", "21"), ("unblockTable", "")], indirect=["scene"]
)
def test_other_parameters_under_the_same_key_are_refused(scene: Scene, more: str) -> None:
    assert scene.send("k").status // 100 == 2
    before = everything()
    other = replace(scene.case, path=scene.case.path.replace("10-20", "10-21"))
    block = f"blockId={uuid4()}" if other.path == scene.case.path else ""
    assert_refused(replace(scene, case=other).send("k", more=block), 422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


@pytest.mark.parametrize("scene", ["recoverWebhook"], indirect=True)
def test_parameters_in_another_spelling_are_the_same_request(scene: Scene) -> None:
    first = scene.send("k")
    for since in ("2025-10-19T21:00:00.000-03:00", "2025-10-20t00:00:00z", "2025%2D10-20T00:00:00Z"):
        path = scene.case.path.replace("2025-10-20T00:00:00Z", since)
        again = replace(scene, case=replace(scene.case, path=path)).send("k")
        assert (again.status, again.content) == (first.status, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"


def fingerprint_of_the_text(scene: Scene, body: dict[str, Any] | None) -> bytes:
    """Return what version 1.0 stored for the scene's request."""
    path, _, query = scene.case.path.format(hook=scene.hook, delivery=scene.delivery).partition("?")
    content = [scene.method, f"/api/v1{path}", query, body]
    message = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(settings.SECRET_KEY.encode(), message, "sha256")


@each_operation
def test_a_key_stored_by_an_earlier_release_is_replayed_for_its_lifetime(scene: Scene) -> None:
    first = scene.send("k")
    before = everything()
    former = fingerprint_of_the_text(scene, scene.case.body)
    assert bytes(IdempotencyKey.objects.get().fingerprint) != former
    IdempotencyKey.objects.update(fingerprint=former)
    again = scene.send("k")
    assert (again.status, again.content) == (first.status, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    IdempotencyKey.objects.update(fingerprint=fingerprint_of_the_text(scene, {"another": "request"}))
    assert_refused(scene.send("k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


@with_a_body
def test_another_body_under_the_same_key_is_refused(scene: Scene) -> None:
    assert scene.send("k").status // 100 == 2
    before = everything()
    assert_refused(scene.send("k", **(scene.case.other or {})), 422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


@each_operation
def test_a_key_of_another_operation_is_refused(scene: Scene) -> None:
    if "/admin/" in scene.case.path:
        other = Case("/admin/restaurants", PLACE) if scene.case.path == "/admin/seed" else Case("/admin/seed")
        assert replace(scene, method="POST", case=other).send("k").status // 100 == 2
    else:
        assert scene.api.patch("/tables/T2", OTHER_NAME, key="k").status == 200
    before = everything()
    assert_refused(scene.send("k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


@pytest.mark.parametrize(
    "scene", [name for name in KEYED if "/admin/" not in CASES[name].path], indirect=True
)
def test_another_callers_key_is_another_key(scene: Scene) -> None:
    assert scene.send("k").status // 100 == 2
    other = scene.send("k", api=api_as())
    assert "Idempotent-Replayed" not in other.headers
    assert other.status == 422 or other.body is None or other.body.get("error") != "IDEMPOTENCY_KEY_REUSED"


@each_operation
def test_a_malformed_key_is_refused_by_name(scene: Scene) -> None:
    before = everything()
    for key in ("", "k" * 256, "clé", "a\tb"):
        assert_refused(scene.send(key), 400, "VALIDATION_ERROR", "Idempotency-Key")
    assert everything() == before


@each_operation
def test_a_request_whose_response_cannot_be_stored_takes_no_effect(scene: Scene) -> None:
    before = everything()
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE bookings_idempotencykey ADD CONSTRAINT full_up CHECK (status = 0) NOT VALID"
        )
    assert (
        assert_refused(scene.send("k"), 500, "INTERNAL_SERVER_ERROR") == "Something went wrong on our side."
    )
    assert everything() == before
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE bookings_idempotencykey DROP CONSTRAINT full_up")
    again = scene.send("k")
    assert (again.status // 100, "Idempotent-Replayed" in again.headers) == (2, False)


@each_operation
def test_a_delayed_request_whose_repeat_was_refused_takes_no_effect(scene: Scene) -> None:
    """The first request is still on its way when its repeat is refused; a later repeat may try again."""
    IdempotencyKey.objects.all().delete()
    late, early = time.monotonic() + 3600, time.monotonic() - 60
    ticket = keys.Ticket(_holder(scene), "k", (b"",), late)
    assert ticket.refuse() is None
    before = everything()
    environ = cast(dict[str, Any], scene.api.client.defaults)
    environ["wokibrain.received"] = early
    assert_refused(scene.send("k"), 409, "IDEMPOTENCY_IN_PROGRESS")
    assert everything() == before
    del environ["wokibrain.received"]
    time.sleep(0.01)
    again = scene.send("k")
    assert (again.status // 100, "Idempotent-Replayed" in again.headers) == (2, False)


@pytest.mark.parametrize("scene", ["createWebhook", "rotateWebhookSecret"], indirect=True)
def test_a_secret_is_stored_encrypted_and_replayed(scene: Scene, settings: Settings) -> None:
    first = scene.send("k")
    secret = first.body["secret"]
    assert secret.startswith("whsec_")
    key = IdempotencyKey.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT kept::text FROM bookings_idempotencykey AS kept")
        ((row,),) = cursor.fetchall()
    assert all(text not in row for text in (secret, secret.removeprefix("whsec_"), "127.0.0.1"))
    # SECRET_KEY may change meanwhile: the former one still decrypts.
    settings.WEBHOOK_SECRET_KEYS = ["a new key of the tests, long enough", *settings.WEBHOOK_SECRET_KEYS]
    assert scene.send("k").body == first.body
    key.refresh_from_db()
    assert (key.status, key.booking_id) == (first.status, None)


@pytest.mark.parametrize("scene", ["createBooking", "changeBooking", "createTable"], indirect=True)
def test_a_repeat_is_recognized_after_a_secret_key_rotation(scene: Scene, settings: Settings) -> None:
    first = scene.send("k")
    before = everything()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new key of the tests, long enough too"
    second = scene.send("k")
    assert (second.status, second.content) == (first.status, first.content)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert_refused(scene.send("k", **(scene.case.other or {})), 422, "IDEMPOTENCY_KEY_REUSED")
    settings.SECRET_KEY_FALLBACKS = []
    assert_refused(scene.send("k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


@pytest.mark.parametrize("scene", ["replaceWebhook", "changeWebhook"], indirect=True)
def test_a_url_with_possible_credentials_is_stored_encrypted(scene: Scene) -> None:
    first = scene.send("k")
    assert first.body["url"] == HOOK["url"]
    assert "127.0.0.1" not in IdempotencyKey.objects.get().body
    assert scene.send("k").body == first.body


@pytest.mark.parametrize("scene", ["createWebhook"], indirect=True)
def test_one_key_keeps_two_restaurants_secrets_apart(scene: Scene) -> None:
    first = scene.send("k")
    theirs = scene.send("k", api=api_as(Role.ADMIN, "R1"))
    assert (first.status, theirs.status) == (201, 201)
    assert first.body["secret"] != theirs.body["secret"]


@pytest.mark.parametrize("scene", ["createWebhook"], indirect=True)
def test_a_replay_does_not_resolve_the_host_again(scene: Scene, settings: Settings) -> None:
    first = scene.send("k")
    settings.WEBHOOK_ALLOW_PRIVATE = False
    assert scene.send("k").body == first.body
    assert_refused(scene.send("other"), 400, "VALIDATION_ERROR", "url")
    assert Webhook.objects.count() == 2


@pytest.mark.parametrize("scene", ["createRestaurant"], indirect=True)
def test_a_refusal_is_not_stored(scene: Scene) -> None:
    assert_refused(scene.send("k", id="R2"), 400, "VALIDATION_ERROR", "id")
    assert scene.api.delete("/restaurants/R2").status == 204
    again = scene.send("k", id="R2")
    assert (again.status, "Idempotent-Replayed" in again.headers) == (201, False)


@pytest.mark.parametrize("scene", ["changeTable"], indirect=True)
def test_a_refusal_does_not_bind_the_key_to_its_request(scene: Scene) -> None:
    assert_refused(scene.api.patch("/tables/T8", {"name": "Ventana"}, key="k"), 404, "NOT_FOUND", "tableId")
    assert scene.send("k").status == 200


@pytest.mark.parametrize("scene", ["createRestaurant"], indirect=True)
def test_a_day_later_the_key_is_free_again(scene: Scene) -> None:
    first = scene.send("k")
    with clock.frozen(OPENED + timedelta(hours=24) - timedelta(seconds=1)):
        assert scene.send("k").body == first.body
    with clock.frozen(OPENED + timedelta(hours=24)):
        assert scene.send("k").body["id"] != first.body["id"]


@pytest.mark.parametrize("scene", ["changeTable"], indirect=True)
def test_marks_expire_once_no_delayed_request_can_remain(scene: Scene) -> None:
    assert_refused(scene.api.patch("/tables/T8", {"name": "Ventana"}, key="k"), 404, "NOT_FOUND", "tableId")
    assert keys.forget() == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bookings_idempotencykey SET refused_at = now() - interval '61 minutes'")
    assert (keys.forget(), IdempotencyKey.objects.count()) == (1, 0)


@pytest.mark.parametrize("scene", ["deleteTable"], indirect=True)
def test_an_unauthorized_request_leaves_no_mark(scene: Scene) -> None:
    assert_refused(scene.send("k", api=Api()), 401, "UNAUTHORIZED")
    assert not IdempotencyKey.objects.exists()


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def _holder(scene: Scene) -> str:
    """Return the owner of the scene's keys, as the table stores it."""
    if "/admin/" in scene.case.path:
        return "set-up"
    return f"api_key:{ApiKey.objects.get().pk}"
