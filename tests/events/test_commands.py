"""What operators type, and what they are told."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client

from tests.events import support
from wokibrain import metrics
from wokibrain.events import dispatch
from wokibrain.events.models import Failure, StoredEvent
from wokibrain.events.names import Group
from wokibrain.events.relay import Relay, mark_published

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def dead_letter(consumer: str = "days") -> tuple[UUID, int]:
    """An event whose status is missing, given up on by that consumer."""
    row = support.append("a", sectorId=None)
    for attempt in range(dispatch.MAX_ATTEMPTS):
        dispatch.handle(consumer, [row.event_id], retrying=attempt > 0)
    return row.event_id, Failure.objects.get(event_id=row.event_id).pk


def test_status_counts_what_is_left_to_do() -> None:
    ids = support.append_many(3)
    mark_published([StoredEvent.objects.get(event_id=ids[0]).position])
    dispatch.handle("audit", ids[:2])
    status = json.loads(run("status", "--json"))
    assert status["unpublished"] == 2
    assert status["relay_active"] is False
    behind = {one["name"]: one["behind"] for one in status["consumers"]}
    assert (behind["audit"], behind["days"]) == (1, 3)
    assert "NOT RUNNING" in run("status")


def test_metrics_tell_of_outbox_and_lag() -> None:
    support.append_many(2)
    text = metrics.exposition().decode()
    assert "outbox_unpublished 2.0" in text
    assert 'consumer_lag_seconds{consumer="audit",group="audit-workers"}' in text
    assert "dead_letters 0.0" in text


def test_dead_letters_are_listed_shown_replayed_and_discarded() -> None:
    event_id, number = dead_letter()
    assert "IntegrityError" in run("deadletters", "list")
    assert str(event_id) in run("deadletters", "show", str(number))
    with pytest.raises(CommandError, match="1 of 1 failed again"):
        run("deadletters", "replay", str(number))
    for _ in range(dispatch.MAX_ATTEMPTS - 1):
        dispatch.handle("days", [event_id], retrying=True)
    assert run("deadletters", "discard", "--all") == f"{number}: discarded\n"
    assert run("deadletters", "list") == "No dead letters.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deadletters", "replay"], "Name the ids"),
        (["deadletters", "show", "999"], "No dead letter 999"),
        (["consume", "--all"], "KAFKA_BROKERS is not set"),
        (["replay", "--until", "yesterday"], "not an instant"),
        (["replay", "--aggregate", "booking"], "KIND/ID"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(*arguments)


def test_consume_names_the_groups_there_are(settings: Any) -> None:
    settings.KAFKA_BROKERS = "127.0.0.1:1"
    with pytest.raises(CommandError, match="No such group: nobody"):
        run("consume", "nobody")
    with pytest.raises(CommandError, match="Name groups, or say --all"):
        run("consume")


def test_replay_walks_up_to_an_instant() -> None:
    support.append("a")
    support.append("a", 2, "BookingUpdated")
    support.append("b", 1, at=support.NOON)
    lines = [json.loads(line) for line in run("replay", "--until", "2026-05-04T12:00:30+00:00").splitlines()]
    assert [(line["aggregateId"], line["version"]) for line in lines] == [("a", 1), ("b", 1)]
    assert len(run("replay", "--aggregate", "booking/a").splitlines()) == 2


def test_a_relay_marks_what_it_hands_on_and_nothing_twice() -> None:
    class Count:
        sent = 0

        def send(self, events: Sequence[Any], halfway: Any) -> None:
            self.sent += len(events)

        def idle(self) -> None:
            pass

    support.append_many(5)
    outlet = Count()
    relay = Relay(outlet, batch=2)
    assert [relay.step() for _ in range(4)] == [2, 2, 1, 0]
    assert (outlet.sent, StoredEvent.objects.filter(published_at=None).count()) == (5, 0)


def test_the_back_office_shows_events_and_replays_dead_letters(client: Client) -> None:
    event_id, number = dead_letter()
    client.force_login(get_user_model().objects.create_superuser("boss", "boss@example.com", "x" * 12))
    for page in ("storedevent", "auditentry", "rebuild", "failure"):
        assert client.get(f"/admin/events/{page}/").status_code == 200
    reply = client.post(
        "/admin/events/failure/", {"action": "replay", "_selected_action": [str(number)]}, follow=True
    )
    assert "IntegrityError" in reply.content.decode()
    assert Failure.objects.get(event_id=event_id).attempts == 1
    assert client.post(f"/admin/events/failure/{number}/delete/", {"post": "yes"}).status_code == 403


def test_every_group_of_the_contract_has_its_consumer_or_is_webhooks() -> None:
    from wokibrain.events import registry

    assert set(Group) - set(registry.groups()) <= {Group.WEBHOOKS}
