"""Webhooks in the back office: what users see of webhooks and deliveries, and what they can do."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client, TestCase
from django.urls import reverse

from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver
from webhooks import admin, sender
from webhooks.models import Delivery, Webhook
from webhooks.selectors import Hour
from wokibrain.access.models import Membership
from wokibrain.core import clock
from wokibrain.core.permissions import Role

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
URL = "https://hooks.example.com/woki"


@pytest.fixture
def person(client: Client) -> User:
    """An administrator of R1, signed in."""
    user = User.objects.create_user("ana", password="x", is_staff=True)
    Membership.objects.create(user=user, restaurant=support.restaurant(), role=Role.ADMIN)
    client.force_login(user)
    return user


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    response = client.get(reverse(f"admin:webhooks_{name}", args=args) + query)
    assert response.status_code == 200
    return response.content.decode()


def test_list_shows_the_state_of_each_endpoint(client: Client, person: User, receiver: Receiver) -> None:
    support.webhook(receiver.url)
    for _ in range(3):
        support.publish_event()
    sender.drain()
    receiver.answer = Answer(400)
    support.publish_event()
    sender.drain()
    text = page(client, "webhook_changelist")
    assert receiver.url in text
    assert "75 %" in text
    assert len(re.findall(r"<rect [^>]*#16a34a", text)) == 1
    assert len(re.findall(r"<rect [^>]*#dc2626", text)) == 1


def test_sparkline_has_a_bar_for_each_hour_with_deliveries() -> None:
    start = clock.now()
    hours = [Hour(start + timedelta(hours=number), 0, 0) for number in range(22)]
    hours += [Hour(start, 10, 0), Hour(start, 5, 5)]
    svg = admin.sparkline(hours)
    assert re.findall(r'x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="(#\w+)"', svg) == [
        ("88.0", "0.0", "24.0", "#16a34a"),
        ("92.0", "12.0", "12.0", "#16a34a"),
        ("92.0", "0.0", "12.0", "#dc2626"),
    ]


def test_deliveries_are_found_by_the_bookings_reference(client: Client, person: User) -> None:
    support.webhook(URL)
    event = support.publish_event(reference="K7M2QX")
    support.publish_event(reference="ZZZZZZ")
    for query in (
        "?q=k7m2qx",
        f"?q={event.event_id}",
        f"?q={Delivery.objects.get(message=event.event_id).pk}",
    ):
        text = page(client, "delivery_changelist", query=query)
        assert "K7M2QX" in text
        assert "ZZZZZZ" not in text


def test_delivery_shows_its_body_and_attempts(client: Client, person: User, receiver: Receiver) -> None:
    receiver.answer = Answer(418, body=b"<b>short and stout</b>")
    support.webhook(receiver.url)
    support.publish_event()
    sender.drain()
    text = page(client, "delivery_change", Delivery.objects.get().pk)
    assert "&quot;event&quot;:&quot;booking.created&quot;" in text
    assert "&lt;b&gt;short and stout&lt;/b&gt;" in text
    assert "418" in text


def test_action_repeats_deliveries(client: Client, person: User, receiver: Receiver) -> None:
    receiver.answer = Answer(404)
    support.webhook(receiver.url)
    support.publish_event()
    sender.drain()
    failed = Delivery.objects.get()
    data = {"action": "redeliver", "_selected_action": [str(failed.pk)]}
    response = client.post(reverse("admin:webhooks_delivery_changelist"), data, follow=True)
    assert "1 delivery is queued." in response.content.decode()
    receiver.answer = Answer(200)
    sender.drain()
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("SUCCEEDED", 2)


def test_new_webhook_shows_its_secret_once(client: Client, person: User) -> None:
    data = {
        "restaurant": "R1",
        "url": URL,
        "events": ["booking.created"],
        "status": "ACTIVE",
        "new_secret": "",
    }
    response = client.post(reverse("admin:webhooks_webhook_add"), data, follow=True)
    hook = Webhook.objects.get()
    (secret,) = re.findall(r"shown only now: (whsec_[\w+/=]+)", response.content.decode())
    assert support.signs(hook, secret)
    assert secret not in page(client, "webhook_change", hook.pk)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://127.0.0.1/"}, "not on the public internet"),
        ({"events": []}, "This field is required"),
        ({"new_secret": "short"}, "at least 16 characters"),
        ({"restaurant": "R2"}, "not one of the available choices"),
        ({"restaurant": ""}, "This field is required"),
    ],
)
def test_form_refuses_what_the_api_refuses(
    client: Client, person: User, change: dict[str, object], words: str
) -> None:
    support.restaurant("R2")
    data = {
        "restaurant": "R1",
        "url": URL,
        "events": ["booking.created"],
        "status": "ACTIVE",
        "new_secret": "",
    }
    response = client.post(reverse("admin:webhooks_webhook_add"), data | change)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert Webhook.objects.count() == 0


def test_change_goes_through_the_services(client: Client, person: User) -> None:
    hook = support.webhook(URL)
    support.publish_event()
    data = {"url": URL, "events": ["booking.updated"], "status": "INACTIVE", "new_secret": "sixteen letters!"}
    assert client.post(reverse("admin:webhooks_webhook_change", args=[hook.pk]), data).status_code == 302
    hook.refresh_from_db()
    assert (hook.status, hook.reason, hook.events) == ("INACTIVE", "asked", ["booking.updated"])
    assert Delivery.objects.get().status == "DROPPED"
    assert support.signs(hook, "sixteen letters!", support.SECRET)


def test_foreign_webhooks_are_not_shown(client: Client, person: User) -> None:
    foreign = support.webhook("https://elsewhere.example.com/", place="R2")
    everywhere = support.webhook("https://everywhere.example.com/", place=None)
    support.publish_event(restaurantId="R2", reference="SECRET")
    assert "example.com" not in page(client, "webhook_changelist")
    assert "SECRET" not in page(client, "delivery_changelist")
    for hook in (foreign, everywhere):
        response = client.get(reverse("admin:webhooks_webhook_change", args=[hook.pk]))
        assert response.status_code == 404


@pytest.mark.parametrize("role", [Role.MANAGER, Role.STAFF])
def test_roles_without_the_permission_see_none_of_it(client: Client, role: Role) -> None:
    user = User.objects.create_user("bea", password="x", is_staff=True)
    Membership.objects.create(user=user, restaurant=support.restaurant(), role=role)
    client.force_login(user)
    for name in ("webhook", "delivery"):
        assert client.get(reverse(f"admin:webhooks_{name}_changelist")).status_code == 403


def test_webhook_is_deleted_with_its_deliveries(client: Client, person: User, receiver: Receiver) -> None:
    webhook = support.webhook(receiver.url)
    for _ in range(2):
        support.publish_event()
    sender.drain()
    text = page(client, "webhook_delete", webhook.pk)
    assert receiver.url in text
    assert str(Delivery.objects.first()) not in text
    with TestCase.captureOnCommitCallbacks(execute=True):
        response = client.post(reverse("admin:webhooks_webhook_delete", args=[webhook.pk]), {"post": "yes"})
    assert response.status_code == 302
    assert (Webhook.objects.count(), Delivery.objects.count()) == (0, 0)


def test_several_webhooks_are_deleted_at_once(client: Client, person: User) -> None:
    webhooks = [support.webhook(f"{URL}/{number}") for number in range(3)]
    support.publish_event()
    with TestCase.captureOnCommitCallbacks(execute=True):
        response = client.post(
            reverse("admin:webhooks_webhook_changelist"),
            {
                "action": "delete_selected",
                "_selected_action": [str(webhook.pk) for webhook in webhooks[:2]],
                "post": "yes",
            },
        )
    assert response.status_code == 302
    assert list(Webhook.objects.all()) == webhooks[2:]
    assert Delivery.objects.count() == 1
