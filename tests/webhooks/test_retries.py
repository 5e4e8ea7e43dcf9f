"""P11: when attempts are made, and when not."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from django.conf import settings as project
from pytest_django import Settings

from tests.webhooks import support
from tests.webhooks.support import Answer, Receiver
from webhooks import http_client, queue, retries, sender
from webhooks.http_client import Outcome, Trouble
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.retries import Verdict, judge
from wokibrain.core import clock

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)
PLAN = retries.schedule()


def outcome(status: int | None, retry_after: float | None = None) -> Outcome:
    return Outcome(status, None if status else Trouble.TIMEOUT, 5, retry_after=retry_after)


def seconds(tries: int, *, result: Outcome | None = None, took: float = 0.0, seed: int = 0) -> float | None:
    """Return the seconds from the start of attempt number ``tries`` to the due time of the next one."""
    due = PLAN.next(
        tries,
        ended=T0 + timedelta(seconds=took),
        outcome=result or outcome(500),
        chance=random.Random(seed),
    )
    return None if due is None else (due - T0).total_seconds()


def test_first_four_attempts_are_at_0_1_2_and_4_seconds() -> None:
    assert [seconds(tries) for tries in (1, 2, 3)] == [1, 1, 2]


@pytest.mark.parametrize("took", [0.5, 0.9, 10.0])
def test_the_whole_pause_follows_the_end_of_a_slow_attempt(took: float) -> None:
    assert [seconds(tries, took=took) for tries in (1, 2, 3)] == [took + 1, took + 1, took + 2]


@pytest.mark.parametrize(
    ("tries", "least", "most"),
    [
        (4, 300, 360), (5, 1_440, 2_160), (6, 5_760, 8_640), (7, 14_400, 21_600), (8, 28_800, 43_200),
        (9, 40_320, 60_480), (10, 57_600, 86_400), (11, 69_120, 103_680),
    ],
)  # fmt: skip
def test_later_pauses_vary_by_a_fifth_but_none_is_under_five_minutes(
    tries: int, least: float, most: float
) -> None:
    pauses = [seconds(tries, seed=seed) or 0 for seed in range(300)]
    assert least <= min(pauses) <= least * 1.05
    assert most * 0.95 <= max(pauses) <= most


def test_the_twelfth_attempt_is_the_last() -> None:
    assert PLAN.attempts == 12
    assert seconds(12) is None


def test_documents_state_the_retry_schedule() -> None:
    root = Path(project.ROOT)
    document = " ".join((root / "docs" / "webhooks.md").read_text("utf-8").split())
    example = (root / ".env.example").read_text("utf-8")
    quick, pauses = ([f"{number:g}" for number in numbers] for numbers in (PLAN.quick, PLAN.pauses))
    for name, numbers in (("WEBHOOK_QUICK_ATTEMPTS", quick), ("WEBHOOK_RETRY_PAUSES", pauses)):
        assert f"| `{name}` | {','.join(numbers)} |" in document
        assert f"#{name}={','.join(numbers)}\n" in example
    first, second, *later = (pause / 60 for pause in PLAN.pauses)
    hours = [f"{minutes / 60:g}" for minutes in later]
    assert (
        f"at {', '.join(quick[:-1])} and {quick[-1]} seconds, then after pauses of {first:g} minutes, "
        f"{second:g} minutes, {', '.join(hours[:-1])} and {hours[-1]} hours"
    ) in document


@pytest.mark.parametrize(
    ("result", "wait"),
    [
        (outcome(429), 60),
        (outcome(429, 5), 5),
        (outcome(429, 0), 1),
        (outcome(429, 90), 90),
        (outcome(429, 7_200), 3_600),
        (outcome(503, 30), 30),
        (outcome(503), 1),
        (outcome(500, 30), 1),
    ],
)
def test_retry_after_of_a_receiver_is_respected(result: Outcome, wait: float) -> None:
    assert seconds(1, result=result) == wait


@pytest.mark.parametrize("status", [500, 501, 502, 503, 599, 408, 425, 429, None])
def test_temporary_failures_are_retried(status: int | None) -> None:
    assert judge(outcome(status)) is Verdict.RETRY


@pytest.mark.parametrize(
    "status", [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 413, 415, 422]
)
def test_permanent_failures_are_not_retried(status: int) -> None:
    assert judge(outcome(status)) is Verdict.FAILED


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_counts_as_delivered(status: int) -> None:
    assert judge(outcome(status)) is Verdict.DELIVERED


def test_retry_after_is_read_as_seconds_and_as_date(monkeypatch: pytest.MonkeyPatch) -> None:
    with clock.frozen(T0):
        assert http_client._retry_after("120") == 120
        assert http_client._retry_after(format_datetime(T0 + timedelta(seconds=90), usegmt=True)) == 90
        assert http_client._retry_after(format_datetime(T0 - timedelta(days=1), usegmt=True)) == 0
        for malformed in ("", "soon", "-5", "1.5", "9" * 10, "١٢"):
            assert http_client._retry_after(malformed) is None


# --- the same against a receiver -------------------------------------------------------------------------------------


@pytest.fixture
def breakerless(settings: Settings) -> None:
    """Switch off the circuit breaker, which would delay attempts; it has its own tests."""
    settings.WEBHOOK_BREAKER_FAILURES = 1_000


def attempts_at() -> list[float]:
    """Return the times of the attempts in seconds from the first."""
    started = list(Attempt.objects.order_by("number").values_list("started_at", flat=True))
    return [(at - started[0]).total_seconds() for at in started]


def follow_due_times(limit: int = 20) -> None:
    """Move the clock to each next due time and send, until nothing is due."""
    with clock.frozen(T0):
        sender.drain()
    for _ in range(limit):
        due = queue.next_due()
        if due is None:
            return
        with clock.frozen(due):
            sender.drain()


@pytest.mark.django_db
@pytest.mark.usefixtures("breakerless")
def test_receiver_that_always_fails_is_tried_twelve_times_on_schedule(receiver: Receiver) -> None:
    receiver.answer = Answer(500, body=b"broken")
    support.webhook(receiver.url)
    with clock.frozen(T0):
        support.publish_event()
    follow_due_times()
    at = attempts_at()
    assert [round(moment) for moment in at[:4]] == [0, 1, 2, 4]
    assert at[4] - at[3] >= 300
    assert len(receiver.requests) == len(at) == 12
    assert {request.body for request in receiver.requests} == {receiver.requests[0].body}
    assert {request.headers["x-wokibrain-delivery-id"] for request in receiver.requests} == {
        str(Delivery.objects.get().pk)
    }
    assert [request.headers["x-wokibrain-attempt"] for request in receiver.requests] == [
        str(number) for number in range(1, 13)
    ]
    assert Delivery.objects.get().status == "FAILED"
    assert set(Attempt.objects.values_list("status_code", "response_head")) == {(500, "broken")}


@pytest.mark.django_db
@pytest.mark.usefixtures("breakerless")
def test_no_quick_attempt_comes_before_its_time_after_a_slow_one() -> None:
    """Each attempt takes half a second, as the first one of a new process does before the receiver hears of it."""
    support.webhook("https://example.com/hook")
    with clock.frozen(T0):
        support.publish_event()
    at = T0
    for pause in (1, 1, 2):
        with clock.frozen(at):
            (job,) = queue.claim(10).jobs
        ended = at + timedelta(seconds=0.5)
        with clock.frozen(ended):
            queue.record([queue.Result(job, outcome(500), ended)])
        at = ended + timedelta(seconds=pause)
        with clock.frozen(at - timedelta(milliseconds=1)):
            assert queue.claim(10).jobs == []
    with clock.frozen(at):
        assert [job.number for job in queue.claim(10).jobs] == [4]


@pytest.mark.django_db
def test_nothing_is_sent_between_the_quick_attempts_and_five_minutes(receiver: Receiver) -> None:
    receiver.answer = Answer(500)
    support.webhook(receiver.url)
    with clock.frozen(T0):
        support.publish_event()
    for second in range(0, 300, 2):
        with clock.frozen(T0 + timedelta(seconds=second)):
            sender.drain()
    assert len(receiver.requests) == 4


@pytest.mark.django_db
@pytest.mark.parametrize("status", [302, 400, 404])
def test_permanent_failure_is_attempted_once(receiver: Receiver, status: int) -> None:
    with Receiver() as canary:
        receiver.answer = Answer(status, {"Location": canary.url})
        support.webhook(receiver.url)
        support.publish_event()
        follow_due_times()
        assert canary.requests == []
    assert (len(receiver.requests), Delivery.objects.get().status) == (1, "FAILED")


@pytest.mark.django_db
def test_receiver_with_retry_after_is_not_called_before_it(receiver: Receiver) -> None:
    receiver.answer = Answer(429, {"Retry-After": "90"})
    support.webhook(receiver.url)
    with clock.frozen(T0):
        support.publish_event()
        sender.drain()
    with clock.frozen(T0 + timedelta(seconds=89)):
        sender.drain()
    assert len(receiver.requests) == 1
    receiver.answer = Answer(200)
    with clock.frozen(T0 + timedelta(seconds=91)):
        sender.drain()
    assert (len(receiver.requests), Delivery.objects.get().status) == (2, "SUCCEEDED")


@pytest.mark.django_db
def test_status_410_deactivates_the_webhook(receiver: Receiver) -> None:
    receiver.answer = Answer(410)
    support.webhook(receiver.url)
    support.publish_event()
    follow_due_times()
    support.publish_event()
    follow_due_times()
    assert (len(receiver.requests), Webhook.objects.get().status) == (1, "INACTIVE")


@pytest.mark.django_db
@pytest.mark.usefixtures("breakerless")
def test_canary_without_the_pauses_the_check_fails(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: a schedule without pauses fails the check."""
    monkeypatch.setattr(
        retries.Schedule, "next", lambda self, tries, *, ended, **_: ended if tries < 12 else None
    )
    receiver.answer = Answer(500)
    support.webhook(receiver.url)
    with clock.frozen(T0):
        support.publish_event()
    follow_due_times()
    assert [round(moment) for moment in attempts_at()[:4]] != [0, 1, 2, 4]
