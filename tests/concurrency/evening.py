"""Evenings of a restaurant with random hosts, and what must be true after each of their rounds."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from tests.concurrency.hosts import Host, Result
from tests.concurrency.room_model import (
    CLOCK,
    CONFIRMED,
    EXACT,
    MARGIN,
    NO_SHOW,
    OPEN,
    QUARTER,
    SEATED,
    SECTOR_OF,
    UNDOABLE,
    Act,
    Event,
    Party,
    Room,
    fits,
    service_day,
)

FIRST: Final = datetime(2025, 11, 7, 19, 30, tzinfo=CLOCK)
STEPS: Final = (0, 0, 1, 4, 8, 12, 15, 20, 30, 40)
"""Minutes between two rounds."""
WEIGHTS: Final = {
    "create": 12, "walk_in": 10, "seat": 26, "complete": 10, "no_show": 3, "cancel": 3, "reopen": 9, "undo": 5,
    "change": 18, "swap": 8, "block": 7, "unblock": 4, "close": 2,
}  # fmt: skip
REFUSED: Final = {
    "CONFLICT", "NO_CAPACITY", "OUTSIDE_SERVICE_WINDOW", "VALIDATION_ERROR", "INVALID_TRANSITION",
    "ALREADY_CANCELLED", "NOT_FOUND",
}  # fmt: skip

EVENTS: Final = """
SELECT position, event_type, coalesce(payload ->> 'blockId', aggregate_id), version, occurred_at, payload,
       metadata ->> 'actor'
FROM events_storedevent WHERE position > %s AND aggregate_type IN ('booking', 'table') ORDER BY position
"""
BOOKINGS: Final = """
SELECT id::text, version, status, table_ids, service_date, start, "end", party_size FROM bookings_booking
"""
PLAN: Final = """
SELECT coalesce(booking_id, block_id)::text, array_agg(table_id ORDER BY table_id), lower(period), upper(period)
FROM bookings_allocation WHERE active GROUP BY 1, 3, 4
"""
SEATINGS: Final = """
SELECT booking_id::text, table_id, lower(period), upper(period) FROM bookings_seating
"""
TWO_PARTIES: Final = """
SELECT count(*) FROM bookings_seating a JOIN bookings_seating b
  ON a.table_id = b.table_id AND a.id < b.id AND a.period && b.period
"""
EVENT_OF: Final = {"block": "TableBlocked", "unblock": "TableUnblocked"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a host did in a round, and what became of it."""

    act: Act
    result: Result

    @property
    def accepted(self) -> bool:
        return "bookings" in self.result or "blocks" in self.result


Writers = dict[tuple[str, int | str], list[Entry]]
"""Who claims to have written which version of a booking, or made or ended which block."""


def _key(event: Event) -> tuple[str, int | str]:
    return event.holder, event.type if event.type in EVENT_OF.values() else event.version


def _left_its_room(act: Act, states: Sequence[Room]) -> bool:
    """Return whether the booking changed sector or day in the round, at which a step may be refused."""
    parties = [state.party(act.booking) for state in states if act.booking in state.history]
    places = {(SECTOR_OF[party.tables[0]], party.day) for party in parties}
    return len(places) > 1


@dataclass(slots=True)
class Dice:
    """Chooses what hosts do, by the room as it was before their round."""

    random: random.Random
    room: Room
    now: datetime

    def acts(self, hosts: int) -> list[list[Act]]:
        """Return for each host what it does in a round: all at the same few tables."""
        hot = self.random.sample(sorted(SECTOR_OF), self.random.choice((1, 2, 2, 5)))
        return [[self._act(hot) for _ in range(self.random.choice((1, 2, 2, 3)))] for _ in range(hosts)]

    def _act(self, hot: Sequence[str]) -> Act:
        while True:
            (kind,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
            if act := getattr(self, f"_{kind}", self._step)(kind, hot):
                return act

    def _party(self, hot: Sequence[str], *statuses: str) -> Party | None:
        """Return a booking of today at a hot table with one of the statuses, sometimes any booking."""
        parties = self.room.parties()
        likely = [
            party
            for party in parties
            if party.status in statuses
            and party.day == service_day(self.now)
            and set(party.tables) & set(hot)
        ]
        if self.random.random() < 0.08:
            likely = parties
        return self.random.choice(likely) if likely else None

    def _tables(self, hot: Sequence[str]) -> tuple[str, ...]:
        first = self.random.choice(hot)
        joined = [table for table in SECTOR_OF if SECTOR_OF[table] == SECTOR_OF[first] and table != first]
        return tuple(sorted({first, *self.random.sample(joined, self.random.choice((0, 0, 0, 1)))}))

    def _quarter(self, earliest: int, latest: int) -> str:
        """Return a quarter hour that many minutes from now, at most."""
        moment = self.now + timedelta(minutes=self.random.randint(earliest, latest))
        local = moment.astimezone(CLOCK)
        return local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0).isoformat()

    def _step(self, kind: str, hot: Sequence[str]) -> Act | None:
        statuses = {
            "complete": (SEATED,), "no_show": (CONFIRMED,), "cancel": (CONFIRMED,),
            "reopen": (SEATED, "COMPLETED", "CANCELLED", NO_SHOW),
        }[kind]  # fmt: skip
        party = self._party(hot, *statuses)
        return Act(kind, party.id) if party else None

    def _seat(self, kind: str, hot: Sequence[str]) -> Act | None:
        party = self._party(hot, CONFIRMED, CONFIRMED, NO_SHOW)
        if party is None or (party.start > self.now + timedelta(hours=2) and self.random.random() < 0.7):
            return None
        return Act(kind, party.id, tables=self._tables(hot) if self.random.random() < 0.25 else ())

    def _undo(self, kind: str, hot: Sequence[str]) -> Act | None:
        latest = [party for party in self.room.parties() if self.now - party.said <= UNDOABLE]
        if not latest:
            return None
        party = self.random.choice(latest)
        return Act(kind, party.id, party.version)

    def _create(self, kind: str, hot: Sequence[str]) -> Act:
        named = self.random.random() < 0.6
        return Act(
            kind,
            tables=self._tables(hot) if named else (),
            party=self.random.choice((1, 2, 2, 3, 4)),
            minutes=self.random.choice((45, 60, 60, 75, 90)),
            start=self._quarter(0, 180) if named or self.random.random() < 0.5 else "",
            day=(service_day(self.now) + timedelta(days=self.random.random() < 0.1)).isoformat(),
        )

    def _walk_in(self, kind: str, hot: Sequence[str]) -> Act:
        return Act(
            kind,
            tables=self._tables(hot) if self.random.random() < 0.6 else (),
            party=self.random.choice((1, 2, 2, 3)),
            minutes=self.random.choice((30, 45, 60)),
        )

    def _change(self, kind: str, hot: Sequence[str]) -> Act | None:
        party = self._party(hot, *OPEN)
        if party is None:
            return None
        act = Act(kind, party.id)
        what = self.random.choice(("longer", "longer", "shorter", "tables", "tables", "start", "size", "day"))
        minutes = (party.end - party.start) // timedelta(minutes=15) * 15
        if what == "longer":
            return replace(act, minutes=min(minutes + self.random.choice((15, 30, 60)), 180))
        if what == "shorter":
            return replace(act, minutes=max(minutes - 15, 30))
        if what == "tables":
            return replace(act, tables=self._tables(hot))
        if what == "start":
            return replace(act, start=self._quarter(-30, 90))
        if what == "size":
            return replace(act, party=self.random.choice((1, 2, 4)))
        return replace(act, day=(service_day(self.now) + timedelta(days=1)).isoformat())

    def _swap(self, kind: str, hot: Sequence[str]) -> Act | None:
        today = [
            party
            for party in self.room.parties()
            if party.status in OPEN and party.day == service_day(self.now)
        ]
        one = self._party(hot, *OPEN)
        others = [
            other
            for other in today
            if one and other.id != one.id and fits(one.tables, other.size) and fits(other.tables, one.size)
        ]
        if one is None or not others:
            return None
        other = self.random.choice(others)
        return Act(kind, one.id, one.version, other.id, other.version)

    def _block(self, kind: str, hot: Sequence[str]) -> Act:
        start = datetime.fromisoformat(self._quarter(0, 40))
        end = start + self.random.choice((1, 1, 2, 4)) * QUARTER
        return Act(kind, tables=(self.random.choice(hot),), start=start.isoformat(), end=end.isoformat())

    def _unblock(self, kind: str, hot: Sequence[str]) -> Act | None:
        if not self.room.blocks:
            return None
        block = self.random.choice(sorted(self.room.blocks))
        return Act(kind, tables=self.room.plan[block][0], block=block)

    def _close(self, kind: str, hot: Sequence[str]) -> Act:
        return Act(kind)


@dataclass(slots=True)
class Evening:
    """Rounds of random hosts. ``findings`` says what was wrong; ``counted`` (kind, accepted) how much was done."""

    link: psycopg.Connection[Any]
    hosts: Sequence[Host]
    seed: int
    now: datetime = FIRST
    room: Room = field(default_factory=Room)
    findings: list[str] = field(default_factory=list)
    counted: Counter[tuple[str, bool]] = field(default_factory=Counter)
    offers: int = 0
    overstays: int = 0
    _position: int = 0
    _random: random.Random = field(init=False)
    _clock: random.Random = field(init=False)

    def __post_init__(self) -> None:
        print(f"P21: seed {self.seed}")
        self._random, self._clock = random.Random(self.seed), random.Random(self.seed)

    def run(self, rounds: int) -> None:
        """Play that many rounds, the first with bookings of two evenings; stop after the first with findings."""
        self.play(self._first_bookings())
        for _ in range(rounds):
            if self.findings:
                break
            self.move_on()
            acts = Dice(self._random, self.room, self.now).acts(len(self.hosts))
            if self.now.astimezone(CLOCK).hour in range(1, 12):
                acts = [[*each, Act("close")] for each in acts]
            self.play(acts)

    def move_on(self) -> None:
        """Move the clock: by minutes, and over the night to the next lunch."""
        self.now += timedelta(minutes=self._clock.choice(STEPS), milliseconds=self._clock.randrange(1000))
        local = self.now.astimezone(CLOCK)
        if 2 <= local.hour < 11:
            self.now = local.replace(hour=self._clock.choice((12, 18)), minute=40)
        elif 16 <= local.hour < 18:
            self.now = local.replace(hour=18, minute=40)

    def _first_bookings(self) -> list[list[Act]]:
        acts: list[list[Act]] = [[] for _ in self.hosts]
        for number in range(14):
            start = FIRST.replace(minute=0) + timedelta(
                hours=1 + number % 4, minutes=self._random.choice((0, 15))
            )
            start += timedelta(days=number // 12)
            acts[number % len(acts)].append(
                Act(
                    "create",
                    party=self._random.choice((1, 2, 2, 3, 4)),
                    minutes=self._random.choice((45, 60, 75)),
                    start=start.isoformat(),
                    day=start.date().isoformat(),
                )
            )
        return acts

    # --- One round -----------------------------------------------------------------------------------------------

    def play(self, acts: Sequence[Sequence[Act]]) -> None:
        """Have all hosts act at once, and check what they made of the room; then what each offers."""
        for host, own in zip(self.hosts, acts, strict=True):
            host.tell(self.now, own)
        results = [host.results() for host in self.hosts]
        entries = [
            Entry(act, result)
            for own, given in zip(acts, results, strict=True)
            for act, result in zip(own, given, strict=True)
        ]
        self.check(entries)
        self.check_offers()
        if self.findings:
            print(f"at {self.now.isoformat()}")
            for entry in entries:
                print(entry.act, entry.result)
            print(*self.findings, sep="\n")

    def check(self, entries: Sequence[Entry]) -> None:
        """Take the events of the round into the model and compare it with the ledger and the database."""
        states = [self.room.copy()]
        writers = self._writers(entries)
        events = self._events()
        while events:
            together = self._together(events, writers)
            for event in together:
                self._check_event(event, states[-1], writers)
            for event in together:
                self.counted["closed", True] += event.actor.startswith("system")
                self.findings += self.room.apply(event)
            self.findings += self.room.broken()
            states.append(self.room.copy())
        self.findings += [f"accepted, and no event: {entry}" for left in writers.values() for entry in left]
        for entry in entries:
            self.counted[entry.act.kind, entry.accepted] += 1
            self._check_refusal(entry, states)
        self.overstays += sum(
            self.room.party(seating.party).end < self.now for seating in self.room.sitting(SECTOR_OF)
        )
        self._check_database()

    def _events(self) -> list[Event]:
        rows = self._rows(EVENTS, self._position)
        if rows:
            self._position = rows[-1][0]
        return [Event(*row[1:]) for row in rows]

    def _writers(self, entries: Sequence[Entry]) -> Writers:
        writers: Writers = defaultdict(list)
        for entry in entries:
            written = list(entry.result.get("bookings", ()))
            if entry.act.kind == "undo" and written:
                written = [(booking, version + 1) for booking, version in self.room.undone(entry.act)]
            for booking, version in written:
                known = self.room.history.get(booking, ())
                if not (entry.act.kind == "change" and version <= len(known)):
                    writers[booking, version].append(entry)
            for block in entry.result.get("blocks", ()):
                writers[block, EVENT_OF[entry.act.kind]].append(entry)
        return writers

    def _together(self, events: list[Event], writers: Writers) -> list[Event]:
        """Take the first event out of the list, and those that the same act wrote: a swap has two."""
        first = events.pop(0)
        acts = [id(entry) for entry in writers.get(_key(first), ())]
        same = [event for event in events if any(id(each) in acts for each in writers.get(_key(event), ()))]
        for event in same:
            events.remove(event)
        return [first, *same]

    def _check_event(self, event: Event, room: Room, writers: Writers) -> None:
        """Check that an event is what its act may and must do in the room as it was before."""
        claims = writers.pop(_key(event), [])
        if event.actor.startswith("system"):
            before = room.party(event.holder)
            if before.status != SEATED or before.day >= service_day(self.now):
                self.findings.append(f"closed: {before}")
        elif not claims:
            self.findings.append(f"an event of no act: {event}")
        elif event.type in EVENT_OF.values():
            for entry in claims:
                if why := room.refusal(entry.act, self.now):
                    self.findings.append(f"{entry.act} was possible although {why}")
        else:
            # A change that changes nothing answers with the version that another act has just written.
            wrote = [entry for entry in claims if entry.act.kind != "change"] or claims
            wrong = [room.wrong(entry.act, event.party(), self.now) for entry in wrote]
            if all(wrong) or (len(wrote) > 1 and wrote != claims):
                self.findings += [f"{entry.act}: {why}" for entry, why in zip(wrote, wrong, strict=True)]

    def _check_refusal(self, entry: Entry, states: Sequence[Room]) -> None:
        if "crashed" in entry.result:
            self.findings.append(f"{entry.act} crashed: {entry.result['crashed']}")
        if "refused" not in entry.result:
            return
        if entry.result["refused"] not in REFUSED:
            self.findings.append(f"an unexpected refusal: {entry}")
        possible = entry.act.kind in EXACT and not any(state.refusal(entry.act, self.now) for state in states)
        if possible and not _left_its_room(entry.act, states):
            self.findings.append(f"refused, though it was possible throughout the round: {entry}")
        for table in {table for tables in entry.result["alternatives"] for table in tables}:
            if all(state.sitting([table]) and self._needed_now(entry.act, state) for state in states):
                self.findings.append(f"an occupied table as an alternative: {table} of {entry}")

    def _needed_now(self, act: Act, room: Room) -> bool:
        """Return whether the party of a refused act would sit down before those who sit now are expected to leave."""
        party = room.party(act.booking)
        if party.day != service_day(self.now):
            return False
        if act.kind == "seat" or SEATED in (party.status, act.kind == "reopen" and room.target(party)):
            return True
        return (act.at() if act.start else party.start) < self.now + MARGIN

    def check_offers(self) -> None:
        """Ask every host for tables; none may be occupied or promised."""
        for host in self.hosts:
            host.tell(self.now, [Act("offers")])
        answers = [host.results()[0] for host in self.hosts]
        for answer in answers:
            if "crashed" in answer:
                self.findings.append(answer["crashed"])
                continue
            for where, tables, start, minutes in answer["offers"]:
                begins = datetime.fromisoformat(start)
                self.offers += 1
                if begins < self.now + MARGIN and (sitting := self.room.sitting(tables)):
                    self.findings.append(f"an occupied table was offered, {where} at {start}: {sitting}")
                if planned := self.room.planned(tables, begins, begins + timedelta(minutes=minutes)):
                    self.findings.append(f"a promised table was offered, {where} at {start}: {planned}")

    def _check_database(self) -> None:
        rows = {
            (
                *Party(id_, version, status, tuple(sorted(tables)), day, start, end, size, FIRST).place,
                id_,
                version,
            )
            for id_, version, status, tables, day, start, end, size in self._rows(BOOKINGS)
        }
        self._compare(
            "bookings", rows, {(*party.place, party.id, party.version) for party in self.room.parties()}
        )
        plan = {(holder, tuple(tables), start, end) for holder, tables, start, end in self._rows(PLAN)}
        self._compare("plan", plan, {(holder, *held) for holder, held in self.room.plan.items()})
        seated = {
            (seating.party, seating.table, seating.since, seating.until) for seating in self.room.seatings
        }
        self._compare("room", set(self._rows(SEATINGS)), seated)
        ((two,),) = self._rows(TWO_PARTIES)
        if two:
            self.findings.append(f"tables with two parties: {two}")
        (verified,) = self.hosts[0].do(self.now, Act("verify"))
        if verified["wrong"]:
            self.findings.append(f"verify: {verified['wrong']}")

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.link.execute(statement.encode(), values).fetchall()

    def _compare(self, what: str, stored: set[Any], modelled: set[Any]) -> None:
        if stored != modelled:
            self.findings.append(
                f"{what}: only stored {sorted(map(str, stored - modelled))}, "
                f"only in the model {sorted(map(str, modelled - stored))}"
            )
