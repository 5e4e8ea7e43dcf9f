"""Operators' commands and their output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.processes import Services, private_services
from tests.wokibrain.events import support
from wokibrain.core import clock, env
from wokibrain.core.ids import uuid7
from wokibrain.events import deadletters, dispatch, retries
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import AuditEntry, Failure, StoredEvent
from wokibrain.events.relay import Relay, mark_published
from wokibrain.events.types import Group
from wokibrain.ops import metrics

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def metrics_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def dead_letter(consumer: str = "days") -> tuple[UUID, int]:
    """Append an invalid event, and let that consumer fail until it is dead; return its id and the dead letter's."""
    row = support.append("a", sectorId=None)
    for attempt in range(retries.MAX_ATTEMPTS):
        dispatch.handle(consumer, [row.event_id], retrying=attempt > 0)
    return row.event_id, Failure.objects.get(event_id=row.event_id).pk


def test_status_counts_the_pending_work() -> None:
    ids = support.append_many(3)
    mark_published([StoredEvent.objects.get(event_id=ids[0]).position])
    dispatch.handle("audit", ids[:2])
    status = json.loads(run("status", "--json"))
    assert status["unpublished"] == 2
    assert status["relay_active"] is False
    behind = {one["name"]: one["behind"] for one in status["consumers"]}
    assert (behind["audit"], behind["days"]) == (1, 3)
    assert "NOT RUNNING" in run("status")


def test_metrics_show_outbox_and_lag() -> None:
    support.append_many(2)
    text = metrics.exposition().decode()
    assert "outbox_unpublished 2.0" in text
    assert 'consumer_lag_seconds{consumer="audit",group="audit-workers"}' in text
    assert "dead_letters 0.0" in text


def test_metrics_read_the_database_at_most_at_an_interval(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    first = metrics.exposition()
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 60.0)
    support.append_many(2)
    with django_assert_num_queries(0):
        again = metrics.exposition()
    assert (b"outbox_unpublished 0.0" in first, b"outbox_unpublished 0.0" in again) == (True, True)
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    assert b"outbox_unpublished 2.0" in metrics.exposition()


def test_dead_letters_are_listed_shown_replayed_and_discarded() -> None:
    event_id, number = dead_letter()
    assert "IntegrityError" in run("deadletters", "list")
    assert str(event_id) in run("deadletters", "show", str(number))
    with pytest.raises(CommandError, match="1 of 1 failed again"):
        run("deadletters", "replay", str(number))
    for _ in range(retries.MAX_ATTEMPTS - 1):
        dispatch.handle("days", [event_id], retrying=True)
    assert run("deadletters", "discard", "--all") == f"{number}: discarded\n"
    assert run("deadletters", "list") == "No dead letters.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deadletters", "replay"], "Name the ids"),
        (["deadletters", "show"], "Name the ids"),
        (["deadletters", "discard", "5", "--all"], "not both"),
        (["deadletters", "discard", "5", "--consumer", "days"], "--consumer goes with --all"),
        (["deadletters", "show", "999"], "No dead letter 999"),
        (["consume", "--all"], "KAFKA_BROKERS is not set"),
        (["replay", "--until", "yesterday"], "not an instant"),
        (["replay", "--aggregate", "booking"], "KIND/ID"),
        (["replay", "--aggregate", "bookings/a"], "No such kind: bookings. There are: booking, table"),
        (["replay", "--aggregate", "booking/a", "--kind", "table"], "not both"),
        (["relay", "--batch", "0"], "at least 1"),
        (["rebuild", "moon"], "no read model is named moon"),
        (["deadletters", "show", "99999999999999999999"], "No dead letter 9"),
        (["apikey", "create", "Desk", "--days", "999999999"], "between 1 and 36500"),
        (["apikey", "create", "Desk", "--days", "0"], "between 1 and 36500"),
        (["apikey", "create", "Desk", "--restaurant", "R404"], "Not found, or you do not have access to it."),
        (["apikey", "revoke", "nobody"], "Not found, or you do not have access to it."),
        (["guest", "erase", "nobody@example.org"], "No guest has this id"),
    ],
)
def test_an_operators_mistake_is_answered_with_advice(arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(*arguments)


def test_consume_lists_the_existing_groups(settings: Any) -> None:
    settings.KAFKA_BROKERS = "127.0.0.1:1"
    with pytest.raises(CommandError, match="No such group: nobody"):
        run("consume", "nobody")
    with pytest.raises(CommandError, match="Name groups, or say --all"):
        run("consume")


def test_demo_data_in_production_needs_confirmation(settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="can never be deleted"):
        run("seed", "--demo")
    assert StoredEvent.objects.count() == 0
    assert run("seed").startswith("Seeded R1")


def test_replay_stops_at_an_instant() -> None:
    support.append("a")
    support.append("a", 2, "BookingUpdated")
    support.append("b", 1, at=support.NOON)
    lines = [json.loads(line) for line in run("replay", "--until", "2026-05-04T12:00:30+00:00").splitlines()]
    assert [(line["aggregateId"], line["version"]) for line in lines] == [("a", 1), ("b", 1)]
    with CaptureQueriesContext(connection) as queries:
        assert len(run("replay", "--aggregate", "booking/a").splitlines()) == 2
    # Without reading all of them.
    assert [""""aggregate_id" = 'a'""" in query["sql"] for query in queries] == [True, True]
    assert len(run("replay", "--kind", "booking").splitlines()) == 3


def test_a_relay_publishes_and_marks_each_event_once() -> None:
    class Count:
        count = 0

        def send(self, events: Sequence[Any], halfway: Any) -> None:
            self.count += len(events)

        def idle(self) -> None:
            pass

    support.append_many(5)
    outlet = Count()
    relay = Relay(outlet, batch=2)
    assert [relay.step() for _ in range(4)] == [2, 2, 1, 0]
    assert (outlet.count, StoredEvent.objects.filter(published_at=None).count()) == (5, 0)


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


def test_metrics_show_when_a_read_model_was_rebuilt() -> None:
    before = clock.now().timestamp()
    assert "rebuild_finished_timestamp_seconds{" not in metrics.exposition().decode()
    run("rebuild", "days")
    (line,) = (
        line
        for line in metrics.exposition().decode().splitlines()
        if line.startswith('rebuild_finished_timestamp_seconds{read_model="days"}')
    )
    assert before <= float(line.split()[1]) <= clock.now().timestamp()


def test_a_failure_awaiting_retry_is_neither_discarded_nor_replayed() -> None:
    row = support.append("a", sectorId=None)
    dispatch.handle("days", [row.event_id])
    number = Failure.objects.get(event_id=row.event_id).pk
    for action, says in (("discard", "1 of 1 were not discarded"), ("replay", "1 of 1 failed again")):
        with pytest.raises(CommandError, match=says):
            run("deadletters", action, str(number))
    failure = Failure.objects.get(pk=number)
    assert (failure.attempts, failure.dead_at, failure.discarded_at) == (1, None, None)


def test_a_dead_letter_of_a_removed_consumer_is_reported(client: Client) -> None:
    event_id, number = dead_letter()
    Failure.objects.filter(pk=number).update(consumer="retired")
    with pytest.raises(CommandError, match="1 of 1 failed again"):
        run("deadletters", "replay", str(number))
    client.force_login(get_user_model().objects.create_superuser("boss", "boss@example.com", "x" * 12))
    reply = client.post(
        "/admin/events/failure/", {"action": "replay", "_selected_action": [str(number)]}, follow=True
    )
    assert "no consumer is named retired" in reply.content.decode()
    assert Failure.objects.get(event_id=event_id).dead_at is not None


def test_a_message_that_became_readable_needs_its_event_in_the_store() -> None:
    event = Envelope.as_written(support.append("a"))
    for event_id, raw in ((event.event_id, event.to_bytes()), (uuid7(), None)):
        body = raw or replace(event, event_id=event_id).to_bytes()
        letter = Failure.objects.create(
            consumer=Group.AUDIT, event_id=uuid7(), error="not an event", dead_at=clock.now(), raw=body
        )
        outcome = deadletters.replay(letter)
        assert outcome.done is (raw is not None)
        assert ("not in the event store" in outcome.error) is (raw is None)
    assert AuditEntry.objects.filter(event_id=event.event_id).count() == 1
    assert [(one.consumer, one.attempts) for one in Failure.objects.all()] == [("audit", 1)]


def run_command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command as an operator does; return exit status, output and error output."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=env.ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


OPERATORS = [
    ("status",),
    ("verify",),
    ("rebuild", "--all"),
    ("replay",),
    ("deadletters", "list"),
    ("apikey", "list"),
    ("guest", "export", "ana@example.org"),
    ("seed",),
    ("tidy",),
    ("rekey_webhooks",),
]


@pytest.fixture(scope="module")
def empty() -> Iterator[Services]:
    with private_services(migrated=False) as services:
        yield services


@pytest.mark.parametrize("command", OPERATORS)
def test_a_database_without_tables_is_explained_in_a_sentence(
    command: tuple[str, ...], empty: Services
) -> None:
    code, out, message = run_command(*command, **empty.environment)
    assert (code, out) == (1, "")
    assert message == "wokibrain: the database is not up to date: run `manage.py migrate`\n"


@pytest.mark.parametrize("command", OPERATORS)
def test_an_unavailable_database_is_explained_in_a_sentence(command: tuple[str, ...]) -> None:
    code, out, message = run_command(
        *command, DATABASE_URL="postgresql://woki:hunter2hunter2@127.0.0.1:1/woki"
    )
    assert (code, out) == (1, "")
    assert message.startswith("wokibrain: PostgreSQL does not answer (")
    assert message.endswith("is it running, and is DATABASE_URL right?\n")
    assert (message.count("\n"), "hunter2" in message) == (1, False)


def test_an_invalid_setting_is_explained_in_a_sentence() -> None:
    for name, value in (
        ("KAFKA_SASL_MECHANISM", "plain"),
        ("ENVIRONMENT", "moon"),
        ("DATABASE_URL", "x://y"),
    ):
        code, _, message = run_command("status", **{name: value})
        assert (code, message.count("\n"), message.startswith(f"wokibrain: {name} must ")) == (1, 1, True), (
            message
        )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_output_pipe_is_no_error(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", "help"],
            cwd=env.ROOT, env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert (result.returncode, result.stderr) == (1, "")


def test_another_broken_pipe_is_an_error() -> None:
    code, _, message = run_command("shell", "-c", "raise BrokenPipeError('the other one')")
    assert code == 1
    assert message.splitlines()[-1] == "BrokenPipeError: the other one"


def test_a_relay_waits_for_database_and_tables_and_logs_it(empty: Services) -> None:
    for environment, says in (
        (empty.environment, "run `manage.py migrate`"),
        ({"DATABASE_URL": "postgresql://woki:hunter2hunter2@127.0.0.1:1/woki"}, "PostgreSQL does not answer"),
    ):
        with subprocess.Popen(
            [sys.executable, "manage.py", "relay"],
            cwd=env.ROOT, env=os.environ | {"LOG_LEVEL": "WARNING"} | environment, stderr=subprocess.PIPE, text=True,
        ) as relay:  # fmt: skip
            assert relay.stderr is not None
            lines = [line for line, _ in zip(relay.stderr, range(3), strict=False)]
            relay.terminate()
            rest = relay.stderr.read()
        assert relay.returncode == 0
        assert lines[0] == "relay: to the consumers themselves\n"
        assert [says in line for line in lines[1:]] == [True, True]
        assert [word for word in ("hunter2", "Traceback") if word in "".join(lines) + rest] == []
