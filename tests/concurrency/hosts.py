"""Hosts of a restaurant, each a process that acts by the product's services at the instants that it is told."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from bookings import invariants
from bookings.floor.suggestions import Inquiry, suggest
from bookings.repository.records import BookingRecord
from bookings.selectors.discover import Discovery, Search, discover_rendered
from bookings.services import lifecycle
from bookings.services.change import Change, update_booking
from bookings.services.closing import close_ended_days
from bookings.services.create import NewBooking, create_booking
from bookings.services.reopen import reopen_booking
from bookings.services.swap import BookingVersion, swap_bookings
from bookings.services.table_blocks import block_table, unblock_table
from bookings.services.undo import undo_booking
from bookings.services.walk_in import WalkIn, choices, seat_walk_in
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from tests.concurrency.room_model import CLOCK, CLOSING, TABLES, Act, service_day
from wokibrain.core import clock, env
from wokibrain.core.callers import EVERYWHERE, SYSTEM, Caller, CallerKind
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import PERMISSIONS, Role

RESTAURANT: Final = "R"
LUNCH: Final = time(12), time(16)
DINNER: Final = time(19), CLOSING
STAY: Final = 60
"""Minutes for which hosts look for tables."""
HOST: Final = Caller(CallerKind.USER, "hosts", {EVERYWHERE: PERMISSIONS[Role.SUPER_ADMIN]})
"""All hosts share an account, so that one may undo what another did."""
SETTINGS: Final = {
    "DJANGO_SETTINGS_MODULE": "wokibrain.settings", "LOCK_WAIT_MS": "60000", "LOG_LEVEL": "WARNING",
}  # fmt: skip
PROGRAM: Final = "import django; django.setup(); from tests.concurrency.hosts import main; main()"

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Host:
    """A process, as the test sees it."""

    process: subprocess.Popen[str]

    def tell(self, now: datetime, acts: Sequence[Act]) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"now": now.isoformat(), "acts": [asdict(act) for act in acts]})
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def results(self) -> list[Result]:
        """Return what became of the acts, in their order, once all are over."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "a host ended"
        results: list[Result] = json.loads(line)
        return results

    def do(self, now: datetime, *acts: Act) -> list[Result]:
        self.tell(now, acts)
        return self.results()


@contextlib.contextmanager
def hosts(count: int, environment: Mapping[str, str]) -> Iterator[list[Host]]:
    """Run that many hosts on the servers that the environment names, with a restaurant to act in."""
    # Measuring their coverage would slow them by seconds and has no use.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    own |= {
        "DJANGO_SETTINGS_MODULE": "wokibrain.settings",
        "LOCK_WAIT_MS": "60000",
        "LOG_LEVEL": "WARNING",
    } | dict(environment)
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                cwd=env.ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=own,
            )
            # Closes its stdin, at which it ends.
            stack.enter_context(process)
            started.append(Host(process))
        assert started[0].do(datetime.now(CLOCK), Act("open")) == [{}]
        yield started


def main() -> None:
    """Act as each line of stdin says and print the results, until it ends."""
    for line in sys.stdin:
        told = json.loads(line)
        now = datetime.fromisoformat(told["now"])
        acts = [Act(**(act | {"tables": tuple(act["tables"])})) for act in told["acts"]]
        with clock.frozen(now):
            print(json.dumps([_result(act, now) for act in acts]), flush=True)


def _result(act: Act, now: datetime) -> Result:
    try:
        return ACTS[act.kind](act, now)
    except DomainError as error:
        return {
            "refused": error.code.value,
            "text": str(error.detail),
            "alternatives": [each["tableIds"] for each in error.extra.get("alternatives", ())],
        }
    except Exception:
        return {"crashed": traceback.format_exc()}


def _written(*records: object) -> Result:
    assert all(isinstance(record, BookingRecord) for record in records)
    return {"bookings": [(str(record.id), record.version) for record in records]}  # type: ignore[attr-defined]


def _tables(act: Act) -> frozenset[str] | None:
    return frozenset(act.tables) or None


def _open(act: Act, now: datetime) -> Result:
    create_restaurant(
        caller=SYSTEM,
        id=RESTAURANT,
        name=RESTAURANT,
        zone="America/Argentina/Buenos_Aires",
        hours=(Hours(*LUNCH), Hours(*DINNER)),
        min_duration=15,
    )
    for sector, tables in TABLES.items():
        create_sector(caller=SYSTEM, id=sector, restaurant_id=RESTAURANT, name=sector)
        for table, (least, most) in tables.items():
            create_table(caller=SYSTEM, id=table, sector_id=sector, capacity_min=least, capacity_max=most)
    return {}


def _create(act: Act, now: datetime) -> Result:
    new = NewBooking(
        restaurant_id=RESTAURANT,
        party_size=act.party,
        date=date.fromisoformat(act.day),
        duration_minutes=act.minutes,
        start=act.at() if act.start else None,
        table_ids=_tables(act),
    )
    return _written(create_booking(caller=HOST, new=new))


def _walk_in(act: Act, now: datetime) -> Result:
    party = WalkIn(RESTAURANT, act.party, table_ids=_tables(act), duration_minutes=act.minutes)
    return _written(seat_walk_in(caller=HOST, party=party))


def _change(act: Act, now: datetime) -> Result:
    change = Change(
        party_size=act.party or None,
        duration_minutes=act.minutes or None,
        date=date.fromisoformat(act.day) if act.day else None,
        start=act.at() if act.start else None,
        table_ids=_tables(act),
    )
    return _written(update_booking(act.booking, caller=HOST, change=change))


def _swap(act: Act, now: datetime) -> Result:
    one, other = BookingVersion(act.booking, act.version), BookingVersion(act.other, act.other_version)
    return _written(*swap_bookings(caller=HOST, first=one, second=other))


def _block(act: Act, now: datetime) -> Result:
    (table,) = act.tables
    block = block_table(
        caller=HOST, table_id=table, start=act.at(), end=datetime.fromisoformat(act.end), reason=""
    )
    return {"blocks": [str(block.id)]}


def _unblock(act: Act, now: datetime) -> Result:
    (table,) = act.tables
    unblock_table(caller=HOST, table_id=table, block_id=act.block)
    return {"blocks": [act.block]}


def _close(act: Act, now: datetime) -> Result:
    return {"closed": close_ended_days()}


def _offers(act: Act, now: datetime) -> Result:
    """Ask for tables everywhere: (where, tables, start, minutes), from now on."""
    local = now.astimezone(CLOCK)
    quarter = local.replace(minute=0, second=0, microsecond=0)
    while quarter < local:
        quarter += timedelta(minutes=15)
    offers: list[tuple[str, Sequence[str], str, int]] = []
    for start in (quarter, quarter + timedelta(minutes=15)):
        inquiry = Inquiry(RESTAURANT, service_day(now), start, 2, STAY, None)
        answer = suggest(caller=HOST, inquiry=inquiry)
        offers += [("suggestions", each["tables"], start.isoformat(), STAY) for each in answer["candidates"]]
    with contextlib.suppress(DomainError):
        found = choices(caller=HOST, party=WalkIn(RESTAURANT, 2))
        offers += [("walk-in", each.table_ids, now.isoformat(), 1) for each in found]
    begins, ends = local.time(), (local + timedelta(minutes=90)).time()
    for search in (
        Search(RESTAURANT, None, service_day(now), 2, STAY, begins, ends, limit=1000),
        Search(RESTAURANT, None, service_day(now), 4, 30, begins, ends, limit=1000),
        Search(RESTAURANT, "S1", service_day(now) + timedelta(days=1), 2, STAY),
    ):
        with contextlib.suppress(DomainError):
            discovered = json.loads(discover_rendered(caller=HOST, search=search, render=_rendered))
            offers += [("discover", tables, start, search.duration or 0) for tables, start in discovered]
    return {"offers": offers}


def _rendered(discovery: Discovery) -> bytes:
    return json.dumps([(each.table_ids, each.start.isoformat()) for each in discovery.candidates]).encode()


def _verify(act: Act, now: datetime) -> Result:
    checks = (
        invariants.overlaps, invariants.two_parties, invariants.wrongly_seated, invariants.not_the_fold,
        invariants.wrongly_held,
    )  # fmt: skip
    return {"wrong": {check.__name__: wrong for check in checks if (wrong := check())}}


ACTS: Final[Mapping[str, Callable[[Act, datetime], Result]]] = {
    "open": _open,
    "create": _create,
    "walk_in": _walk_in,
    "seat": lambda act, now: _written(
        lifecycle.seat_booking(act.booking, caller=HOST, table_ids=_tables(act))
    ),
    "complete": lambda act, now: _written(lifecycle.complete_booking(act.booking, caller=HOST)),
    "no_show": lambda act, now: _written(lifecycle.no_show_booking(act.booking, caller=HOST)),
    "cancel": lambda act, now: _written(lifecycle.cancel_booking(act.booking, caller=HOST)),
    "reopen": lambda act, now: _written(reopen_booking(act.booking, caller=HOST)),
    "undo": lambda act, now: _written(undo_booking(act.booking, caller=HOST, version=act.version)),
    "change": _change,
    "swap": _swap,
    "block": _block,
    "unblock": _unblock,
    "close": _close,
    "offers": _offers,
    "verify": _verify,
}
