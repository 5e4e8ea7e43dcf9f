"""P10: bookings as of any instant equal a model recorded by the test."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bookings import readmodels
from bookings.selectors import history
from tests.wokibrain.events import support
from wokibrain.events import snapshots
from wokibrain.events.envelope import Payload
from wokibrain.events.models import Snapshot

pytestmark = pytest.mark.django_db

SECTORS = ("S1", "S2")
DAYS = ("2026-05-04", "2026-05-05")


@dataclass
class Model:
    """Every state of each booking, with the instant at which it began."""

    states: dict[str, list[tuple[datetime, dict[str, Any]]]] = field(default_factory=dict)

    def at(self, booking_id: str, instant: datetime) -> dict[str, Any] | None:
        past = [state for since, state in self.states[booking_id] if since <= instant]
        return past[-1] if past else None

    def day(self, sector_id: str | None, day: str, instant: datetime) -> set[str]:
        booking_ids = set()
        for booking_id in self.states:
            state = self.at(booking_id, instant)
            if state and state["serviceDate"] == day and sector_id in (None, state["sectorId"]):
                booking_ids.add(booking_id)
        return booking_ids


def _operate(rng: random.Random, operations: int) -> tuple[Model, list[datetime]]:
    model, instants, now = Model(), [], support.NOON
    for _ in range(operations):
        now += timedelta(seconds=rng.choice([0, 1, 7, 60]))
        alive = [key for key, states in model.states.items() if states[-1][1]["status"] == "CONFIRMED"]
        if not alive or rng.random() < 0.2:
            booking_id, kind, version = str(UUID(int=rng.getrandbits(128))), "BookingCreated", 1
            state: dict[str, Any] = {}
        else:
            booking_id = rng.choice(alive)
            version = len(model.states[booking_id]) + 1
            kind = rng.choice(["BookingUpdated"] * 6 + ["BookingCancelled", "BookingSeated"])
            state = dict(model.states[booking_id][-1][1])
        state |= {
            "partySize": rng.randint(1, 8),
            "sectorId": rng.choice(SECTORS),
            "serviceDate": rng.choice(DAYS),
            "status": {"BookingCancelled": "CANCELLED", "BookingSeated": "SEATED"}.get(kind, "CONFIRMED"),
        }
        # ``append`` puts version n of a booking n - 1 minutes after the instant it is given.
        support.append(booking_id, version, kind, at=now - timedelta(minutes=version - 1), **state)
        model.states.setdefault(booking_id, []).append((now, state))
        instants.append(now)
    return model, instants


def _mismatches(model: Model, instants: list[datetime], shift: timedelta = timedelta(0)) -> int:
    wrong = 0
    for instant in instants:
        for booking_id in model.states:
            state = history.as_of(booking_id, instant)
            expected = model.at(booking_id, instant + shift)
            if expected is None or state is None:
                wrong += state is not expected
            else:
                wrong += any(state[name] != value for name, value in expected.items())
        for day in DAYS:
            for sector in (None, *SECTORS):
                rows = history.day_as_of("R1", sector, date.fromisoformat(day), instant)
                wrong += {row["id"] for row in rows} != model.day(sector, day, instant + shift)
    return wrong


def _at_version(booking_id: str, version: int) -> Payload | None:
    return snapshots.fold("booking", booking_id, history.evolve, version=version).state


def _check(operations: int, samples: int, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    model, instants = _operate(rng, operations)
    moments = [
        support.NOON - timedelta(days=1),
        *rng.sample(instants, samples),
        instants[-1] + timedelta(days=1),
    ]
    assert _mismatches(model, moments) == 0
    full = {
        (booking_id, version): _at_version(booking_id, version)
        for booking_id, states in model.states.items()
        for version in range(len(states) + 1)
    }
    for booking_id in model.states:
        readmodels.take_snapshots(history.history(booking_id))
    assert {key: _at_version(*key) for key in full} == full
    assert _mismatches(model, moments) == 0


def test_as_of_is_the_model_at_that_instant(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "VERSIONS_PER_SNAPSHOT", 3)
    _check(operations=100, samples=3, seed=seed)
    assert Snapshot.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("run", range(3))
def test_as_of_over_five_hundred_operations(run: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "VERSIONS_PER_SNAPSHOT", 5)
    _check(operations=500, samples=10, seed=seed + run)
    assert Snapshot.objects.exists()


def test_canary_an_instant_too_early_is_detected(seed: int) -> None:
    model, instants = _operate(random.Random(seed), 40)
    assert _mismatches(model, instants[-3:], shift=-timedelta(minutes=30)) > 0


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("SEED", random.randrange(1_000_000)))


def test_a_moved_booking_is_on_its_old_day_before_the_move() -> None:
    support.append("a")
    support.append("a", 2, "BookingUpdated", serviceDate="2026-05-05", sectorId="S2")
    before, after = support.NOON, support.NOON + timedelta(minutes=1)
    fourth, fifth = date(2026, 5, 4), date(2026, 5, 5)
    assert [row["id"] for row in history.day_as_of("R1", "S1", fourth, before)] == ["a"]
    assert history.day_as_of("R1", None, fourth, after) == []
    assert [row["version"] for row in history.day_as_of("R1", "S2", fifth, after)] == [2]
    assert history.day_as_of("R2", None, fifth, after) == []


def test_state_includes_the_cancellation_reason_and_not_the_changes() -> None:
    support.append("a")
    support.append("a", 2, "BookingUpdated", partySize=3, changes={"partySize": {"from": 2, "to": 3}})
    support.append("a", 3, "BookingCancelled", partySize=3, status="CANCELLED", reason="guest")
    state = history.as_of("a", support.NOON + timedelta(hours=1))
    assert state is not None
    assert (state["version"], state["status"], state["cancelReason"]) == (3, "CANCELLED", "guest")
    assert "changes" not in state
    assert [event.event_type for event in history.history("a")] == [
        "BookingCreated",
        "BookingUpdated",
        "BookingCancelled",
    ]
