"""A booking, its guest and its Idempotency-Key as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from uuid import UUID

from bookings.models import Booking, TableBlock
from bookings.statuses import OPEN, Status
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency import keys
from wokibrain.idempotency.keys import Replay

MAX_OFFSET: Final = timedelta(days=1)
"""No clock is that far from UTC: an instant and a wall time further apart do not belong together."""


@dataclass(frozen=True, slots=True)
class GuestRecord:
    """Contact data of a person; empty text for what is not known."""

    id: UUID
    name: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """A wall time that a guest was told, and the instant derived from it. ``wall`` is naive; ``fold`` as in PEP 495."""

    instant: datetime
    wall: datetime
    zone: str
    fold: int

    @classmethod
    def of(cls, instant: datetime, zone: str) -> Promise:
        """Return what the clocks of ``zone`` show at ``instant``, by this process's rules."""
        local = instant.astimezone(clock.zone(zone))
        return cls(instant, local.replace(tzinfo=None, fold=0), zone, local.fold)

    @property
    def offset(self) -> timedelta:
        """Return the offset from UTC by which the instant was derived."""
        return self.wall - self.instant.astimezone(UTC).replace(tzinfo=None)

    def derived(self) -> datetime | None:
        """Return the instant that this process's rules give; None where they have no such wall time."""
        instant = self.wall.replace(tzinfo=clock.zone(self.zone), fold=self.fold).astimezone(UTC)
        there = instant.astimezone(clock.zone(self.zone)).replace(tzinfo=None, fold=0)
        return instant if there == self.wall else None


def clocks_of(instant: datetime, zone_name: str, promise: Promise | None) -> tzinfo:
    """Return the zone, or where its rules changed or are lacking here, the offset by which ``instant`` was promised.

    So a guest who was told 20:00 is shown at 20:00, whether or not the instants were derived anew yet.
    """
    zone = clock.zone_or_utc(zone_name)
    if promise is None or promise.instant != instant or abs(promise.offset) >= MAX_OFFSET:
        return zone
    if promise.zone != zone_name and clock.is_known_zone(zone_name):
        # Staff gave the restaurant another zone since.
        return zone
    return zone if instant.astimezone(zone).utcoffset() == promise.offset else timezone(promise.offset)


def booking_clocks(booking: Booking) -> tzinfo:
    """Return the zone or offset by which a booking's times are shown (``clocks_of``)."""
    promise = None
    if booking.promised_start is not None:
        promise = Promise(
            booking.start, booking.promised_start, booking.promised_zone or "", booking.promised_fold or 0
        )
    return clocks_of(booking.start, booking.restaurant.zone, promise)


def local_start(booking: Booking) -> datetime:
    """Return a booking's start as its restaurant's clocks show it: the wall time that was promised."""
    return booking.start.astimezone(booking_clocks(booking))


def block_promises(block: TableBlock) -> tuple[Promise, Promise] | None:
    """Return the wall times from which and until which a block was meant; None where none are stored."""
    if block.promised_zone is None:
        return None
    return (
        Promise(block.start, block.promised_start, block.promised_zone, block.promised_start_fold or 0),
        Promise(block.end, block.promised_end, block.promised_zone, block.promised_end_fold or 0),
    )


def local_period(block: TableBlock, zone: str) -> tuple[datetime, datetime]:
    """Return a block's start and end as the restaurant's clocks show them: the wall times that were meant."""
    opening, closing = block_promises(block) or (None, None)
    return (
        block.start.astimezone(clocks_of(block.start, zone, opening)),
        block.end.astimezone(clocks_of(block.end, zone, closing)),
    )


def plain_offset(promise: Promise, end: datetime) -> int | None:
    """Return the offset (seconds) of an allocation that begins with the promise and lasts until ``end``.

    None where the clock goes back within, or shows the start for the second time: there, wall times are no measure of
    what overlaps. Where it goes forward within, they are: whatever starts after the change reads later still.
    """
    if promise.fold:
        return None
    zone = clock.zone(promise.zone)
    last = end - timedelta(microseconds=1)
    first_wall, last_wall = (at.astimezone(zone).replace(tzinfo=None) for at in (promise.instant, last))
    if last_wall - first_wall < last - promise.instant:
        return None
    return int(promise.offset.total_seconds())


@dataclass(frozen=True, slots=True)
class BookingRecord:
    """One booking at one version. Instants are aware and in UTC; ``zone`` is the restaurant's."""

    id: UUID
    reference: str
    restaurant_id: str
    zone: str
    sector_id: str
    table_ids: tuple[str, ...]
    service_date: date
    start: datetime
    end: datetime
    duration_minutes: int
    party_size: int
    status: Status
    channel: Booking.Channel
    guest: GuestRecord | None
    notes: str
    version: int
    created_at: datetime
    updated_at: datetime
    attention: tuple[str, ...] = ()
    """The stored flags (Booking.Attention), in alphabetical order, whatever the status."""
    occupied: bool = False
    """Whether another party still sat at one of its tables when it was read."""
    promise: Promise | None = None
    """As it was read; of no meaning once ``start`` is another than its instant."""

    @classmethod
    def new(
        cls,
        *,
        restaurant_id: str,
        zone: str,
        sector_id: str,
        table_ids: tuple[str, ...],
        service_date: date,
        start: datetime,
        end: datetime,
        duration_minutes: int,
        party_size: int,
        status: Status,
        channel: Booking.Channel,
        guest: GuestRecord | None,
        notes: str,
        now: datetime,
    ) -> BookingRecord:
        """Return version 1 of a booking with an id and a reference of its own, created ``now``."""
        return cls(
            uuid7(), ids.reference(), restaurant_id, zone, sector_id, table_ids, service_date, start, end,
            duration_minutes, party_size, status, channel, guest, notes, 1, now, now,
        )  # fmt: skip

    def promised(self) -> Promise:
        """Return what the guest is told: the promise as it was read, or a new one if the start is another since."""
        if self.promise and self.promise.instant == self.start:
            return self.promise
        return Promise.of(self.start, self.zone)

    @property
    def clocks(self) -> tzinfo:
        """Return the restaurant's zone, or the offset of the promise where the zone's rules say another (clocks_of)."""
        return clocks_of(self.start, self.zone, self.promise)

    def local(self, instant: datetime) -> datetime:
        """Return the instant as the restaurant's clocks show it; for its start, the wall time that was promised."""
        return instant.astimezone(self.clocks)

    def flagged(self, flag: str) -> BookingRecord:
        """Return the booking with one of Booking.Attention's flags more."""
        return replace(self, attention=tuple(sorted({*self.attention, flag})))

    @property
    def shown_attention(self) -> tuple[str, ...]:
        """Return why staff must look at the booking now; empty once it is over."""
        if self.status not in OPEN:
            return ()
        occupied = {Booking.Attention.OCCUPIED.value} if self.occupied else set()
        return tuple(sorted(occupied.union(self.attention)))

    def payload(self) -> dict[str, Any]:
        """Return the booking as its events carry it: without personal data, the guest by id only."""
        clocks = self.clocks
        return {
            "id": str(self.id),
            "reference": self.reference,
            "restaurantId": self.restaurant_id,
            "sectorId": self.sector_id,
            "tableIds": list(self.table_ids),
            "serviceDate": self.service_date.isoformat(),
            "partySize": self.party_size,
            "start": clock.iso(self.start, clocks),
            "end": clock.iso(self.end, clocks),
            "durationMinutes": self.duration_minutes,
            "status": self.status.value,
            "channel": self.channel.value,
            "guestId": str(self.guest.id) if self.guest else None,
            "createdAt": clock.iso_milliseconds(self.created_at, clock.zone_or_utc(self.zone)),
            "attention": list(self.attention),
        }

    def changes_from(self, before: BookingRecord) -> dict[str, dict[str, Any]]:
        """Return ``{field: {from, to}}`` of the payload's fields; empty when only private fields differ."""
        old, new = before.payload(), self.payload()
        return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a guest; empty text for a missing part."""

    name: str = ""
    email: str = ""
    phone: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class Ticket(keys.Ticket):
    """An Idempotency-Key of a request about a booking.

    ``respond`` renders the status and body that a replay of the request answers with.
    """

    respond: Callable[[BookingRecord], Replay]

    @classmethod
    def of(cls, ticket: keys.Ticket | None, respond: Callable[[BookingRecord], Replay]) -> Ticket | None:
        """Return the ticket with ``respond``; None for a request without a key."""
        if ticket is None:
            return None
        return cls(
            ticket.caller,
            ticket.key,
            ticket.fingerprints,
            ticket.received,
            respond,
            former_fingerprints=ticket.former_fingerprints,
        )

    def answer(self, booking: BookingRecord) -> Mapping[str, Any]:
        """Return the values of ``keys.KEEP``: the answer to store for ``booking``."""
        return self.row(self.respond(booking), booking.id)


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """Return the bookings as the caller may see them: without guests and notes where guest:read is missing."""
    if caller.may(Permission.GUEST_READ, restaurant_id):
        return bookings
    return [replace(booking, guest=None, notes="") for booking in bookings]
