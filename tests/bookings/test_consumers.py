"""The consumers of bookings' events, apart from the read models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from bookings import consumers
from bookings.availability import cache
from bookings.live import messages
from tests.wokibrain.events import support
from wokibrain.core import build
from wokibrain.core.ids import uuid7
from wokibrain.core.redis import ask
from wokibrain.events import audit, store
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import AuditEntry

pytestmark = pytest.mark.django_db


def events() -> list[Envelope]:
    return list(store.stream())


def table_event(**fields: Any) -> Envelope:
    payload = {
        "tableId": "T1",
        "sectorId": "S1",
        "restaurantId": "R1",
        "blockId": "b",
        "start": "2026-05-04T23:00:00-03:00",
        "end": "2026-05-05T02:00:00-03:00",
        **fields,
    }
    return Envelope(uuid7(), "table", "T1", 1, "TableBlocked", support.NOON, payload)


# --- cache -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cached_days() -> Iterator[None]:
    ask(lambda client: client.flushdb())
    for name in (
        "day:R1:S1:2026-05-03",
        "day:R1:S1:2026-05-04",
        "day:R1:*:2026-05-05",
        "day:R1:S1:2026-05-09",
    ):
        cache._to_redis(name.replace("day:", f"day:{build.identity()}:"), "1:1:x", b"x")
    yield
    ask(lambda client: client.flushdb())


def names_in_redis() -> set[str]:
    """The days that Redis holds answers of, without the build in their names."""
    names = ask(lambda client: client.keys("day:*"))
    return {name.decode().replace(f"{build.identity()}:", "") for name in names}  # type: ignore[union-attr]


@pytest.mark.usefixtures("cached_days")
def test_a_booking_evicts_its_day_and_the_adjacent_ones_from_redis() -> None:
    support.append("a")
    consumers.invalidate(events())
    assert names_in_redis() == {"day:R1:S1:2026-05-09"}


@pytest.mark.usefixtures("cached_days")
def test_a_moved_booking_evicts_the_day_it_left() -> None:
    changes = {"serviceDate": {"from": "2026-05-09", "to": "2026-05-20"}}
    support.append("a", serviceDate="2026-05-20", changes=changes)
    consumers.invalidate(events())
    assert "day:R1:S1:2026-05-09" not in names_in_redis()
    assert len(names_in_redis()) == 3


@pytest.mark.usefixtures("cached_days")
def test_a_block_evicts_every_date_it_touches() -> None:
    consumers.invalidate([table_event()])
    assert names_in_redis() == {"day:R1:S1:2026-05-09"}


# --- live ------------------------------------------------------------------------------------------------------------


def test_an_event_is_published_to_its_restaurant_and_sector(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = InMemoryChannelLayer()
    monkeypatch.setattr(consumers, "get_channel_layer", lambda: layer)

    async def join() -> None:
        for channel, group in (
            ("a", messages.restaurant_group("R1")),
            ("b", messages.sector_group("S2")),
            ("c", messages.sector_group("S1")),
            ("d", messages.sector_group("S9")),
        ):
            await layer.group_add(group, channel)

    asyncio.run(join())
    support.append("a", 1, sectorId="S2", changes={"sectorId": {"from": "S1", "to": "S2"}})
    (event,) = events()
    consumers.fan_out([event])
    counts = {channel: queue.qsize() for channel, queue in layer.channels.items()}
    assert counts == {"a": 1, "b": 1, "c": 1}
    message = layer.channels["a"].get_nowait()[1]
    assert message["type"] == "booking.event"
    assert message["event"]["id"] == str(event.event_id)
    assert message["event"]["type"] == "BookingCreated"


@pytest.mark.parametrize("name", ["R1", "a-b.c_d", "~", "a~b", "x" * 50])
def test_group_names_are_valid_for_channels(name: str) -> None:
    assert InMemoryChannelLayer().require_valid_group_name(messages.restaurant_group(name))


def test_no_two_ids_share_a_group() -> None:
    names = ["a~b", "a-b", messages.restaurant_group("a~b").removeprefix("restaurant."), "ab"]
    assert len({messages.restaurant_group(name) for name in names if not name.startswith("-")}) == 3
    assert messages.restaurant_group("a~b").startswith("restaurant.-")


# --- audit -----------------------------------------------------------------------------------------------------------


def test_an_audit_entry_has_actor_action_and_fields_before_and_after() -> None:
    support.append("a")
    support.append("a", 2, "BookingUpdated", partySize=5, changes={"partySize": {"from": 2, "to": 5}})
    support.append("a", 3, "BookingCancelled", partySize=5, status="CANCELLED", reason="guest")
    audit.audit(events())
    _, updated, cancelled = AuditEntry.objects.order_by("occurred_at")
    assert (updated.actor, updated.action, updated.target_id, updated.restaurant_id) == (
        "user:1",
        "BookingUpdated",
        "a",
        "R1",
    )
    assert (updated.before, updated.after) == ({"partySize": 2}, {"partySize": 5})
    assert (cancelled.before, cancelled.after) == ({"status": "CONFIRMED"}, {"status": "CANCELLED"})


def test_audit_entries_name_personal_fields_without_values() -> None:
    support.append("a", 1, notes="allergic", changes={"guestName": {"from": "x", "to": "y"}})
    audit.audit(events())
    entry = AuditEntry.objects.get()
    assert entry.touched == ["guestName"]
    assert "notes" not in entry.after
    direct = audit.record(
        actor="user:1",
        action="GuestChanged",
        before={"email": "a@b", "vip": 0},
        after={"email": "c@d", "vip": 1},
    )
    assert (direct.before, direct.after, direct.touched) == ({"vip": 0}, {"vip": 1}, ["email"])


def test_audit_entries_list_days_in_full() -> None:
    assert list(consumers._sector_days(table_event())) == [
        ("R1", "S1", date(2026, 5, 4)),
        ("R1", "S1", date(2026, 5, 5)),
    ]
