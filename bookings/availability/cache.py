"""Days that are read again and again: kept in memory and in Redis for as long as their number stands.

The database numbers every change of a plan (``Restaurant.plan_version``) and of a sector's day
(``DayVersion``), in the transaction of the change. Each read asks for the numbers first, one row by
primary key, and what is kept belongs to one set of numbers. So nothing is ever invalidated or stale:
not for the writer's next read, not in another process, not after a write by hand in SQL, and not
when Redis is away. What nobody can ask for any more is thrown out of Redis by ``forget``, which the
events call: that saves memory, and nothing depends on it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.db import connection
from redis import Redis

from bookings import metrics
from bookings.availability import day as days
from bookings.availability.day import Day
from bookings.availability.plan import Plan, current, with_sector
from restaurants.selectors import RESTAURANT
from wokibrain.core.errors import NotFound
from wokibrain.core.redis import Away, ask

KEPT_DAYS: Final = 512
KEPT_ANSWERS: Final = 128
REDIS_SECONDS: Final = 600

# A night's service reaches into the next date, so the neighbours' bookings may hold tables of this day.
NUMBERS: Final = f"""
SELECT restaurant.plan_version, coalesce(sum(day.version), 0)::bigint
FROM {RESTAURANT}
LEFT JOIN bookings_dayversion AS day
  ON day.sector_id = ANY (string_to_array(%s, ',')) AND day.service_date BETWEEN %s AND %s
WHERE restaurant.id = %s
GROUP BY restaurant.id
"""  # noqa: S608 - made of constants


@dataclass(slots=True)
class _Kept:
    """What was worked out at one set of numbers."""

    numbers: tuple[int, int]
    day: Day | None = None
    answers: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sector's day (or all sectors') at its present numbers; what it gives is as fresh as its opening."""

    plan: Plan
    sector_id: str | None
    date: date
    _kept: _Kept

    def day(self) -> Day:
        """What is free; read from the database once per set of numbers and process."""
        if self._kept.day is None:
            self._kept.day = days.read(self.plan.restaurant_id, self.sector_id, self.date)
        return self._kept.day

    def answer(self, key: Hashable, make: Callable[[], bytes], *, shared: bool) -> bytes:
        """The bytes kept under ``key``, else what ``make`` gives, kept from then on.

        ``key`` holds all that the answer depends on besides the day and the plan. ``shared`` keeps it
        in Redis too, for other processes: never for answers with personal data.
        """
        kept = self._kept.answers.get(key)
        if kept is not None:
            metrics.CACHE_HITS.labels("memory").inc()
            return kept
        name = self._field(key) if shared else ""
        if name and (found := _from_redis(self._name, name)) is not None:
            metrics.CACHE_HITS.labels("redis").inc()
            return self._remember(key, found)
        metrics.CACHE_MISSES.inc()
        made = make()
        if name:
            _to_redis(self._name, name, made)
        return self._remember(key, made)

    def _remember(self, key: Hashable, value: bytes) -> bytes:
        answers = self._kept.answers
        answers[key] = value
        # Another thread may have emptied it meanwhile.
        while len(answers) > KEPT_ANSWERS:
            with suppress(KeyError):
                answers.popitem(last=False)
        return value

    @property
    def _name(self) -> str:
        return _redis_name(self.plan.restaurant_id, self.sector_id, self.date)

    def _field(self, key: Hashable) -> str:
        plan, day = self._kept.numbers
        return f"{plan}:{day}:{key!r}"


_sheets: Final[OrderedDict[tuple[str, str | None, date], _Kept]] = OrderedDict()
_lock: Final = Lock()


def open_day(restaurant_id: str, sector_id: str | None, service_date: date) -> Sheet:
    """The sheet of a day at its present numbers.

    Raises NotFound for a restaurant that is not there and a sector that is not its own.
    """
    plan = with_sector(restaurant_id, sector_id)
    numbers = _numbers(plan, sector_id, service_date)
    if numbers[0] != plan.version:
        plan = current(restaurant_id)
        numbers = (plan.version, _numbers(plan, sector_id, service_date)[1])
    if not settings.DAY_CACHE:
        return Sheet(plan, sector_id, service_date, _Kept(numbers))
    name = (restaurant_id, sector_id, service_date)
    with _lock:
        kept = _sheets.get(name)
        if kept is None or kept.numbers != numbers:
            kept = _sheets[name] = _Kept(numbers)
        _sheets.move_to_end(name)
        while len(_sheets) > KEPT_DAYS:
            _sheets.popitem(last=False)
    return Sheet(plan, sector_id, service_date, kept)


def _numbers(plan: Plan, sector_id: str | None, service_date: date) -> tuple[int, int]:
    # Joined, since an id has no comma and one text is cheaper to send than an array.
    sectors = ",".join(room.id for room in plan.rooms(sector_id))
    one = timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(NUMBERS, [sectors, service_date - one, service_date + one, plan.restaurant_id])
        row = cursor.fetchone()
    if row is None:
        raise NotFound.at("restaurantId")
    return row[0], row[1]


def forget(days: Iterable[tuple[str, str, date]]) -> None:
    """Throw out of Redis what is kept of these restaurants' sectors' days, and of the dates beside them."""
    names = {
        _redis_name(restaurant_id, room, service_date + timedelta(days=beside))
        for restaurant_id, sector_id, service_date in days
        for room in (sector_id, None)
        for beside in (-1, 0, 1)
    }
    if names:
        with suppress(Away):
            ask(lambda client: client.unlink(*names))


def _redis_name(restaurant_id: str, sector_id: str | None, service_date: date) -> str:
    return f"day:{restaurant_id}:{sector_id or '*'}:{service_date}"


def _from_redis(name: str, field: str) -> bytes | None:
    try:
        # The client's types know one answer, text; it gives bytes.
        found: Any = ask(lambda client: client.hget(name, field))
    except Away:
        return None
    return found if isinstance(found, bytes) else None


def _to_redis(name: str, field: str, value: bytes) -> None:
    def put(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(name, mapping={field: value})
            pipe.expire(name, REDIS_SECONDS)
            pipe.execute()

    with suppress(Away):
        ask(put)
