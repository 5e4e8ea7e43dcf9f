"""When the world's time-zone rules change: the wall times that guests were told stay, the instants follow.

``pending`` shows what would move, ``apply`` moves it, one transaction for each restaurant, while nobody books there.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from bookings.availability import plan as plans
from bookings.availability.plan import Plan
from bookings.event_types import BOOKING_UPDATED, TABLE_BLOCKED
from bookings.models import Allocation, Booking, TableBlock
from bookings.repository import promises, statements
from bookings.repository.records import BookingRecord, Promise, block_promises, plain_offset
from bookings.repository.statements import fetch
from bookings.services.plan_changes import is_served
from bookings.services.table_blocks import append_event, lock_table
from bookings.statuses import Status
from bookings.transactions import lock_plans
from restaurants.selectors import derived_with
from restaurants.services.zones import record_release
from wokibrain.core import clock, zones
from wokibrain.core.callers import SYSTEM, Caller
from wokibrain.core.errors import UnknownZone
from wokibrain.events.invariants import register

logger = logging.getLogger(__name__)

REASON: Final = "zone-rules"
"""Of the events: the wall time stayed, the instant moved."""
FLAG: Final = Booking.Attention.ZONE.value
APPLY_LOCK: Final = 0x574D

TO_COME: Final = f"""
WHERE booking.restaurant_id = %(restaurant_id)s AND booking.status = '{Status.CONFIRMED.value}'
  AND booking.start > %(now)s AND booking.promised_start IS NOT NULL
ORDER BY booking.id FOR UPDATE OF booking
"""


@dataclass(frozen=True, slots=True)
class Move:
    """A booking (by its reference) or a block (by its table) whose promise another instant fulfils by new rules.

    ``told`` is the promised wall time, ``shown`` what clocks show at the present instant, ``instant`` the new one;
    ``problem`` says why staff must look, None where the move is clean. Without ``instant`` it stays where it is.
    """

    restaurant_id: str
    name: str
    zone: str
    told: datetime
    shown: datetime
    instant: datetime | None
    problem: str | None = None


NO_SUCH_HOUR: Final = "this hour does not exist by the new rules"
TAKEN: Final = "its table is taken at the new instant"
NOT_SERVED: Final = "it lies outside of the opening hours"


def pending() -> list[Move]:
    """Return what would move, or could not, by this process's rules; change nothing."""
    moves: list[Move] = []
    for restaurant_id in _restaurants():
        with transaction.atomic():
            derivation = _Derivation(restaurant_id)
            transaction.set_rollback(True)
        moves += derivation.moves()
    return moves


def apply(*, caller: Caller = SYSTEM) -> list[Move]:
    """Derive the instants of all that is to come anew and record the release; return what moved, or could not.

    Each booking that moves gets a BookingUpdated, each block a TableBlocked, whose ``reason`` is "zone-rules". What
    no longer fits is flagged (``attention: zone``): a booking outside its hours moves all the same; one whose hour
    does not exist, or whose table is taken then, keeps table and instant.
    """
    promises.complete()
    moves: list[Move] = []
    for restaurant_id in _restaurants():
        with transaction.atomic():
            derivation = _Derivation(restaurant_id)
            derivation.write(caller)
        moves += derivation.moves()
    record_release(zones.release())
    return moves


def at_start() -> None:
    """Complete the promises, and where ZONES_APPLY_AT_START says so, apply other rules than the instants follow."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [APPLY_LOCK])
        if not cursor.fetchone()[0]:
            return
        try:
            promises.complete()
            if settings.ZONES_APPLY_AT_START and derived_with() != zones.release():
                moves = apply()
                logger.warning(
                    "applied the time-zone rules of %s: %d bookings and blocks, %d of them need attention",
                    zones.release(),
                    len(moves),
                    sum(move.problem is not None for move in moves),
                )
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [APPLY_LOCK])


@register("what is to come stands at the wall time that was promised")
def not_at_its_promise() -> int:
    """Return how many bookings and blocks to come lack a promise, or stand elsewhere and are not flagged for it."""
    ids = {id_ for _kind, id_ in promises.differing()}
    flagged = Booking.objects.filter(pk__in=ids, attention__contains=[FLAG]).count()
    return promises.missing() + len(ids) - flagged


def _restaurants() -> list[str]:
    """Return the restaurants in which something is to be derived anew, in order."""
    ids: dict[str, set[UUID]] = defaultdict(set)
    for kind, id_ in promises.differing():
        ids[kind].add(id_)
    names = set(
        Booking.objects.filter(pk__in=ids["booking"]).values_list("restaurant_id", flat=True).distinct()
    )
    blocks = TableBlock.objects.filter(pk__in=ids["block"])
    names |= set(blocks.values_list("table__sector__restaurant_id", flat=True).distinct())
    return sorted(names)


@dataclass(slots=True)
class _Item:
    """A booking or a block to come, and where it would stand."""

    name: str
    created_at: datetime
    promise: Promise
    start: datetime
    end: datetime
    exists: bool
    problem: str | None = None

    @property
    def moves(self) -> bool:
        return self.exists and self.problem != TAKEN


Holder = tuple[str, UUID]


class _Derivation:
    """One restaurant's bookings and blocks to come, by this process's rules, while nobody books there."""

    def __init__(self, restaurant_id: str) -> None:
        lock_plans(restaurant_id)
        self.restaurant_id = restaurant_id
        self.plan: Plan = plans.load(restaurant_id)
        self.now = clock.now()
        self.bookings: dict[UUID, BookingRecord] = {}
        self.blocks: dict[UUID, TableBlock] = {}
        self.items: dict[Holder, _Item] = {}
        self._read()
        self._settle_conflicts()

    def _read(self) -> None:
        for booking in fetch(TO_COME, {"restaurant_id": self.restaurant_id, "now": self.now}):
            promise = booking.promised()
            start = _derived(promise)
            if start == booking.start:
                continue
            self.bookings[booking.id] = booking
            item = _Item(
                booking.reference, booking.created_at, promise, booking.start, booking.end, start is not None
            )
            if start is None:
                item.problem = NO_SUCH_HOUR
            else:
                item.start, item.end = start, start + (booking.end - booking.start)
                if not is_served(self.plan, replace(booking, start=item.start, end=item.end)):
                    item.problem = NOT_SERVED
            self.items["booking", booking.id] = item
        blocks = TableBlock.objects.select_related("table__sector__restaurant").filter(
            table__sector__restaurant_id=self.restaurant_id, end__gt=self.now, promised_zone__isnull=False
        )
        for block in blocks.order_by("table_id", "start"):
            wall_times = block_promises(block)
            assert wall_times, "only blocks with promises are read"
            opening, closing = wall_times
            # A block that has begun is a fact; only its end is to come.
            start = block.start if block.start <= self.now else _derived(opening)
            end = _derived(closing)
            if (start, end) == (block.start, block.end):
                continue
            self.blocks[block.id] = block
            exists = start is not None and end is not None and start < end
            item = _Item(block.table_id, block.created_at, opening, block.start, block.end, exists)
            if start is not None and end is not None and exists:
                item.start, item.end = start, end
            else:
                item.problem = NO_SUCH_HOUR
            self.items["block", block.id] = item

    def _settle_conflicts(self) -> None:
        """Leave where it is what would take a table that is taken: of two that move, the one made later."""
        held: dict[str, list[tuple[Holder, datetime, datetime]]] = defaultdict(list)
        rows = Allocation.objects.filter(
            sector__restaurant_id=self.restaurant_id, active=True, period__endswith__gt=self.now
        )
        for row in rows:
            # The database has it that one of the two is set.
            holder = ("booking", row.booking_id) if row.booking_id else ("block", cast(UUID, row.block_id))
            held[row.table_id].append((holder, row.period.lower, row.period.upper))
        while staying := {one for spans in held.values() if (one := self._one_in_the_way(spans))}:
            for one in staying:
                self.items[one].problem = TAKEN

    def _one_in_the_way(self, spans: Iterable[tuple[Holder, datetime, datetime]]) -> Holder | None:
        """Return, of the first two that would overlap at a table, the one that must not move."""
        moved = []
        for holder, start, end in spans:
            item = self.items.get(holder)
            moved.append((item.start, item.end, holder) if item and item.moves else (start, end, holder))
        last: tuple[datetime, Holder] | None = None
        for start, end, holder in sorted(moved):
            if last and start < last[0]:
                two = [one for one in (last[1], holder) if one in self.items and self.items[one].moves]
                if two:
                    return max(two, key=lambda one: (self.items[one].created_at, one))
            if last is None or end > last[0]:
                last = end, holder
        return None

    def moves(self) -> list[Move]:
        return [
            Move(
                self.restaurant_id,
                item.name,
                item.promise.zone,
                item.promise.wall,
                item.promise.instant.astimezone(clock.zone_or_utc(item.promise.zone)).replace(tzinfo=None),
                item.start if item.moves else None,
                item.problem,
            )
            for item in sorted(self.items.values(), key=lambda item: (item.promise.instant, item.name))
        ]

    def write(self, caller: Caller) -> None:
        """Move what moves, flag what no longer fits; an event each."""
        moment = clock.now_to_millisecond()
        after = [
            booking
            for id_, before in sorted(self.bookings.items())
            if (booking := self._derive(before, self.items["booking", id_], moment)) is not None
        ]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL wokibrain.deriving = 'on'")
        with statements.exchanging_tables():
            for id_, block in sorted(self.blocks.items(), key=lambda pair: (pair[1].table_id, pair[0])):
                item = self.items["block", id_]
                if item.moves:
                    self._move_block(block, item, caller)
            for booking in after:
                if booking.start != self.bookings[booking.id].start:
                    statements.reseat(booking)
                statements.update(
                    booking,
                    event_type=BOOKING_UPDATED,
                    actor=caller,
                    more={"changes": booking.changes_from(self.bookings[booking.id]), "reason": REASON},
                )

    @staticmethod
    def _derive(before: BookingRecord, item: _Item, moment: datetime) -> BookingRecord | None:
        """Return the booking's next version; None where it was flagged before and still cannot move."""
        flags = {*before.attention, FLAG} if item.problem else {*before.attention} - {FLAG}
        after = replace(before, attention=tuple(sorted(flags)))
        if item.moves:
            promise = replace(item.promise, instant=item.start)
            after = replace(after, start=item.start, end=item.end, promise=promise)
        if after == before:
            return None
        return replace(after, version=before.version + 1, updated_at=moment)

    def _move_block(self, block: TableBlock, item: _Item, caller: Caller) -> None:
        lock_table(block.table_id)
        block.start, block.end = item.start, item.end
        block.save(update_fields=["start", "end"])
        promise = replace(item.promise, instant=item.start)
        Allocation.objects.filter(block=block).update(
            period=(item.start, item.end), utc_offset=plain_offset(promise, item.end)
        )
        append_event(caller, TABLE_BLOCKED, block, block.table, {"reason": REASON})


def _derived(promise: Promise) -> datetime | None:
    """Return the promise's instant by this process's rules; the present one where this host lacks its zone."""
    try:
        return promise.derived()
    except UnknownZone:
        return promise.instant
