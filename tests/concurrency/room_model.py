"""A small model of a room: what bookings, the plan and who sits where must be after each event, and what was allowed.

It knows the rules from docs and contract alone and imports nothing of the product, so that the two can disagree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Final

CLOCK: Final = timezone(timedelta(hours=-3))
CLOSING: Final = time(1)
"""A night's service ends then, on the next date."""
MARGIN: Final = timedelta(minutes=15)
QUARTER: Final = timedelta(minutes=15)
MOMENT: Final = timedelta(minutes=2)
UNDOABLE: Final = timedelta(seconds=30)

TABLES: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "S1": {"A": (1, 2), "B": (1, 4), "C": (2, 4)},
    "S2": {"D": (1, 4), "E": (2, 6)},
}
SECTOR_OF: Final = {table: sector for sector, tables in TABLES.items() for table in tables}

CONFIRMED, SEATED, COMPLETED, CANCELLED, NO_SHOW = (
    "CONFIRMED", "SEATED", "COMPLETED", "CANCELLED", "NO_SHOW",
)  # fmt: skip
OPEN: Final = (CONFIRMED, SEATED)
BEFORE: Final = {
    SEATED: (CONFIRMED, NO_SHOW), COMPLETED: (SEATED,), CANCELLED: OPEN, NO_SHOW: (CONFIRMED,),
}  # fmt: skip
STEPS: Final = {
    "seat": ((CONFIRMED, NO_SHOW), SEATED),
    "complete": ((SEATED,), COMPLETED),
    "no_show": ((CONFIRMED,), NO_SHOW),
    "cancel": ((CONFIRMED,), CANCELLED),
}


@dataclass(frozen=True, slots=True)
class Act:
    """What a host does. ``version`` is the one seen; instants are ISO 8601; empty fields are not sent."""

    kind: str
    booking: str = ""
    version: int = 0
    other: str = ""
    other_version: int = 0
    tables: tuple[str, ...] = ()
    party: int = 0
    minutes: int = 0
    start: str = ""
    end: str = ""
    day: str = ""
    block: str = ""

    def __repr__(self) -> str:
        return " ".join(str(value) for value in (getattr(self, each.name) for each in fields(self)) if value)

    def at(self) -> datetime:
        return datetime.fromisoformat(self.start)


@dataclass(frozen=True, slots=True)
class Party:
    """A booking at one version. ``said`` is when the version was written; ``partner`` is that of a swap."""

    id: str
    version: int
    status: str
    tables: tuple[str, ...]
    day: date
    start: datetime
    end: datetime
    size: int
    said: datetime
    corrects: bool = False
    by_host: bool = True
    partner: tuple[str, int] | None = None

    @property
    def place(self) -> tuple[str, tuple[str, ...], date, datetime, datetime, int]:
        return self.status, self.tables, self.day, self.start, self.end, self.size


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log. ``holder`` is the booking or block that it is about."""

    type: str
    holder: str
    version: int
    at: datetime
    payload: Mapping[str, Any]
    actor: str

    def party(self) -> Party:
        swapped = self.payload.get("swappedWith")
        return Party(
            self.holder,
            self.version,
            self.payload["status"],
            tuple(sorted(self.payload["tableIds"])),
            date.fromisoformat(self.payload["serviceDate"]),
            datetime.fromisoformat(self.payload["start"]).astimezone(UTC),
            datetime.fromisoformat(self.payload["end"]).astimezone(UTC),
            self.payload["partySize"],
            self.at,
            "undoes" in self.payload,
            not self.actor.startswith("system"),
            (swapped["id"], swapped["version"]) if swapped else None,
        )


@dataclass(frozen=True, slots=True)
class Seating:
    """A party at a table; ``until`` is None while it sits."""

    party: str
    table: str
    since: datetime
    until: datetime | None = None


Hold = tuple[tuple[str, ...], datetime, datetime]
"""The tables that a booking or block has in the plan, from when until when."""


@dataclass(slots=True)
class Room:
    """The state after some events."""

    history: dict[str, tuple[Party, ...]] = field(default_factory=dict)
    plan: dict[str, Hold] = field(default_factory=dict)
    blocks: frozenset[str] = frozenset()
    seatings: tuple[Seating, ...] = ()

    def copy(self) -> Room:
        return Room(copy.copy(self.history), copy.copy(self.plan), self.blocks, self.seatings)

    def party(self, booking: str) -> Party:
        return self.history[booking][-1]

    def parties(self) -> list[Party]:
        return [versions[-1] for versions in self.history.values()]

    def sitting(self, tables: Iterable[str], *others: str) -> list[Seating]:
        """Return who sits at any of the tables now, ``others`` left out."""
        return [
            seating
            for seating in self.seatings
            if seating.until is None and seating.table in tables and seating.party not in others
        ]

    def planned(self, tables: Iterable[str], start: datetime, end: datetime, *others: str) -> list[str]:
        """Return the bookings and blocks that hold one of the tables in that time, ``others`` left out."""
        return [
            holder
            for holder, (held, begins, ends) in self.plan.items()
            if holder not in others and set(held) & set(tables) and begins < end and start < ends
        ]

    def occupied(
        self, tables: Iterable[str], start: datetime, end: datetime, now: datetime, *others: str
    ) -> bool:
        """Return whether a table must not be offered for that time, since a party sits there.

        One that sat down early stays at least until the plan holds its table.
        """
        return any(
            seating.since < end and start < max(now + MARGIN, self.party(seating.party).start)
            for seating in self.sitting(tables, *others)
        )

    # --- What an event does --------------------------------------------------------------------------------------

    def apply(self, event: Event) -> list[str]:
        """Take the event in; return a sentence for each promise that the room breaks with it."""
        if event.type == "TableBlocked":
            held = (
                (event.payload["tableId"],),
                datetime.fromisoformat(event.payload["start"]).astimezone(UTC),
                datetime.fromisoformat(event.payload["end"]).astimezone(UTC),
            )
            broken = self.planned(*held)
            self.plan[event.holder] = held
            self.blocks |= {event.holder}
            return [f"blocked over {broken}: {event}"] if broken else []
        if event.type == "TableUnblocked":
            del self.plan[event.holder]
            self.blocks -= {event.holder}
            return []
        after = event.party()
        versions = self.history.get(after.id, ())
        before = versions[-1] if versions else None
        self.history[after.id] = (*versions, after)
        found = [] if after.version == len(versions) + 1 else [f"versions have a gap: {event}"]
        self._plan(before, after)
        self._seat(before, after)
        return found

    def broken(self) -> list[str]:
        """Return a sentence for each table that two parties have, in the room or in the plan."""
        found = []
        for index, one in enumerate(self.seatings):
            for other in self.seatings[index + 1 :]:
                if one.table == other.table and one.party != other.party and _overlap(one, other):
                    found.append(f"two parties at one table: {one} and {other}")
        for holder, held in self.plan.items():
            if twice := self.planned(*held, holder):
                found.append(f"planned twice: {holder} and {twice}")
        return found

    def _plan(self, before: Party | None, after: Party) -> None:
        if after.status in OPEN:
            self.plan[after.id] = after.tables, after.start, after.end
        elif after.status == COMPLETED and before and before.status == SEATED:
            tables, start, end = self.plan.pop(after.id)
            quarter = _quarter(after.said)
            if start < quarter:
                self.plan[after.id] = tables, start, min(end, quarter)
        elif after.status != COMPLETED:
            self.plan.pop(after.id, None)

    def _seat(self, before: Party | None, after: Party) -> None:
        now, was = after.said, before.status if before else ""
        mine = [seating for seating in self.seatings if seating.party == after.id]
        rest = [seating for seating in self.seatings if seating.party != after.id]
        if was == SEATED and after.status not in (SEATED, COMPLETED):
            mine = []
        if was == SEATED and after.status in (SEATED, COMPLETED):
            stays = after.tables if after.status == SEATED else ()
            mine = [
                seating if seating.until or seating.table in stays else replace(seating, until=now)
                for seating in mine
            ]
            mine = [seating for seating in mine if seating.until is None or seating.since < seating.until]
        if after.status == SEATED:
            if was == COMPLETED:
                last = max((seating.until for seating in mine if seating.until), default=None)
                mine = [
                    replace(seating, until=None)
                    if seating.until and seating.until == last and seating.table in after.tables
                    and not any(_overlap(replace(seating, since=last, until=None), other)
                                and other.table == seating.table for other in rest)
                    else seating
                    for seating in mine
                ]  # fmt: skip
            sits = {seating.table for seating in mine if seating.until is None}
            mine += [Seating(after.id, table, now) for table in after.tables if table not in sits]
        self.seatings = (*rest, *mine)

    # --- What was allowed ----------------------------------------------------------------------------------------

    def refusal(self, act: Act, now: datetime) -> str:
        """Return why a host may not do this now, "" where it must be possible; for the acts of EXACT."""
        if act.kind == "block":
            return self._no_block(act, now)
        if act.kind == "unblock":
            return "" if act.block in self.blocks else "there is no such block"
        if act.kind == "undo":
            return self._no_undo(act, now)
        party = self.party(act.booking)
        if act.kind == "reopen":
            return self._no_reopen(party, now)
        sources, _ = STEPS[act.kind]
        if party.status not in sources:
            return f"it is {party.status}"
        if act.kind == "no_show" and now < party.start:
            return "it has not begun"
        if act.kind == "seat":
            tables = act.tables or party.tables
            if act.tables and act.tables != party.tables and not fits(tables, party.size):
                return "the tables do not seat the party"
            # A party that comes after its end needs its table now all the same.
            begins = min(party.start, now)
            if party.status == CONFIRMED and set(tables) == set(party.tables):
                # Its tables are not taken anew: what ended by now is not in the way.
                begins = max(begins, _quarter(now))
            return self._no_seat(party, tables, now, begins, max(party.end, now + MOMENT))
        return ""

    def _no_seat(
        self, party: Party, tables: tuple[str, ...], now: datetime, begins: datetime, end: datetime
    ) -> str:
        if service_day(now) != party.day:
            return "it is another day"
        if sitting := self.sitting(tables, party.id):
            return f"another party sits there: {sitting}"
        if planned := self.planned(tables, begins, end, party.id):
            return f"planned for others: {planned}"
        return ""

    def _no_reopen(self, party: Party, now: datetime) -> str:
        target = self.target(party)
        if target is None:
            return "there is nothing to go back to"
        if target == SEATED:
            return self._no_seat(party, party.tables, now, min(party.start, now), party.end)
        if target in OPEN and (planned := self.planned(party.tables, party.start, party.end, party.id)):
            return f"planned for others: {planned}"
        return ""

    def target(self, party: Party) -> str | None:
        """Return the status to which the booking can be put back."""
        earlier = BEFORE.get(party.status, ())
        return next(
            (each.status for each in reversed(self.history[party.id]) if each.status in earlier), None
        )

    def undone(self, act: Act) -> list[tuple[str, int]]:
        """Return the booking and version that an undo takes back, and those of its partner in a swap."""
        partner = self.history[act.booking][act.version - 1].partner
        return [(act.booking, act.version), *([partner] if partner else [])]

    def restored(self, act: Act) -> list[Party]:
        """Return what an undo gives back."""
        return [
            self.history[name][version - 2] if version > 1
            else replace(self.history[name][0], status=CANCELLED)
            for name, version in self.undone(act)
        ]  # fmt: skip

    def _no_undo(self, act: Act, now: datetime) -> str:
        party = self.party(act.booking)
        if party.version != act.version:
            return "it was changed since"
        if party.corrects or not party.by_host or now - party.said > UNDOABLE:
            return "it is no longer to be undone"
        restored = self.restored(act)
        names = [each.id for each in restored]
        if party.partner and self.party(party.partner[0]).version != party.partner[1]:
            return "the other was changed since"
        for each in restored:
            if each.status in OPEN and self.planned(each.tables, each.start, each.end, *names):
                return "its tables are no longer free"
            if each.status == SEATED and self.sitting(each.tables, *names):
                return "another party sits there"
        return ""

    def _no_block(self, act: Act, now: datetime) -> str:
        start, end = act.at(), datetime.fromisoformat(act.end)
        if self.planned(act.tables, start, end):
            return "planned for others"
        return "a party sits there" if self.occupied(act.tables, start, end, now) else ""

    def wrong(self, act: Act, after: Party, now: datetime) -> str:
        """Return how an act that was accepted should not have been, or made another booking than was meant.

        The room is as it was right before. "" where all is well.
        """
        if act.kind in ("create", "walk_in"):
            return self._wrong_arrival(act, after, now)
        before = self.party(after.id)
        if act.kind in EXACT:
            if why := self.refusal(act, now):
                return f"it was possible although {why}"
            return (
                ""
                if after.place == self._meant(act, before).place
                else f"not what was meant: {before} {after}"
            )
        if before.status not in OPEN:
            return f"changed although it was {before.status}"
        others = [after.id]
        if act.kind == "swap":
            partner = self.party(act.other if after.id == act.booking else act.booking)
            meant = replace(before, tables=partner.tables)
            others.append(partner.id)
        else:
            meant = self._changed(act, before, after)
        named = act.tables or act.kind == "swap"
        if before.status == SEATED and before.tables != after.tables and not named:
            return f"a party that sits was moved unasked: {before} {after}"
        if after.place != meant.place:
            return f"not what was meant: {before} {after}"
        if planned := self.planned(after.tables, after.start, after.end, *others):
            return f"moved to where {planned} is planned"
        moved = (before.tables, before.start) != (after.tables, after.start)
        if moved and self.occupied(after.tables, after.start, after.end, now, *others):
            return f"moved to where another party sits: {after}"
        return ""

    def _wrong_arrival(self, act: Act, after: Party, now: datetime) -> str:
        start = now if act.kind == "walk_in" else act.at() if act.start else after.start
        meant = replace(
            after,
            status=SEATED if act.kind == "walk_in" else CONFIRMED,
            tables=act.tables or after.tables,
            day=service_day(now) if act.kind == "walk_in" else date.fromisoformat(act.day),
            start=start,
            end=start + timedelta(minutes=act.minutes),
            size=act.party,
        )
        if after.place != meant.place:
            return f"not what was meant: {after}"
        if not fits(after.tables, after.size):
            return f"the tables do not seat the party: {after}"
        if after.start < now or self.planned(after.tables, after.start, after.end):
            return f"offered though planned: {after}"
        return (
            f"offered though occupied: {after}" if self.occupied(after.tables, start, after.end, now) else ""
        )

    def _meant(self, act: Act, before: Party) -> Party:
        if act.kind == "undo":
            return next(each for each in self.restored(act) if each.id == before.id)
        if act.kind == "reopen":
            status = self.target(before)
            assert status is not None
            return replace(before, status=status)
        return replace(before, status=STEPS[act.kind][1], tables=act.tables or before.tables)

    def _changed(self, act: Act, before: Party, after: Party) -> Party:
        """Return the booking with what the act names; only another size or day may bring other tables unasked."""
        sits = before.status == SEATED
        start = act.at() if act.start else after.start if act.day and not sits else before.start
        day = service_day(start) if act.start else date.fromisoformat(act.day) if act.day else before.day
        anew = not sits and (bool(act.party) or day != before.day)
        minutes = timedelta(minutes=act.minutes) if act.minutes else before.end - before.start
        return replace(
            before,
            tables=act.tables or (after.tables if anew else before.tables),
            day=day,
            start=start,
            end=start + minutes,
            size=act.party or before.size,
        )


EXACT: Final = ("seat", "complete", "no_show", "cancel", "reopen", "undo", "block", "unblock")
"""Acts of which the model tells both ways: when they are possible, and when they are not."""


def _overlap(one: Seating, other: Seating) -> bool:
    return (other.until is None or one.since < other.until) and (one.until is None or other.since < one.until)


def fits(tables: Iterable[str], size: int) -> bool:
    """Return whether the tables, all of one sector, seat a party of that size."""
    bounds = [TABLES[SECTOR_OF[table]][table] for table in tables]
    least, most = (sum(sides) for sides in zip(*bounds, strict=True))
    return len({SECTOR_OF[table] for table in tables}) == 1 and least <= size <= most


def _quarter(instant: datetime) -> datetime:
    """Return the quarter hour that contains the instant."""
    return datetime.fromtimestamp(instant.timestamp() // 900 * 900, UTC)


def service_day(now: datetime) -> date:
    """Return the service date of an instant: until a night's closing, that on which it began."""
    local = now.astimezone(CLOCK)
    return local.date() - timedelta(days=local.time() < CLOSING)
