"""Service days and rendered answers in memory and in Redis, good for as long as their numbers stand.

The database counts every change of a plan (``Restaurant.plan_version``) and of a sector's day (``DayVersion``) in the
transaction of the change. Each read fetches these numbers first, one row by primary key, and a cached value belongs
to one pair of numbers. In Redis it also belongs to the build that rendered it and to that build's time-zone rules:
processes of two builds, beside each other during a deploy, never serve each other's answers. So nothing needs
invalidating and nothing is stale: not for the writer's next read, nor in another process, nor after a change by hand
in SQL, nor while Redis is away. ``forget``, which the events call, removes from Redis what no request can reach any
more: it saves memory, and nothing depends on it.
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
from wokibrain.core import build, clock
from wokibrain.core.errors import NotFound
from wokibrain.core.redis import Away, ask

MAX_DAYS: Final = 512
"""Days that a process holds in memory."""
MAX_ANSWERS: Final = 128
"""Answers that a process holds of one day."""
REDIS_SECONDS: Final = 600
"""How long Redis holds a day after its latest answer."""

# A night's service reaches into the next date, so bookings of the dates beside it may hold tables of this day.
NUMBERS: Final = f"""
SELECT restaurant.plan_version, coalesce(sum(day.version), 0)::bigint
FROM {RESTAURANT}
LEFT JOIN bookings_dayversion AS day
  ON day.sector_id = ANY (string_to_array(%s, ',')) AND day.service_date BETWEEN %s AND %s
WHERE restaurant.id = %s
GROUP BY restaurant.id
"""  # noqa: S608 - made of constants


@dataclass(slots=True)
class _Entry:
    """A day and its answers at one pair of numbers."""

    numbers: tuple[int, int]
    day: Day | None = None
    answers: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class CachedDay:
    """A service day of a sector, or of all sectors, at the numbers that it was opened with."""

    plan: Plan
    sector_id: str | None
    date: date
    _entry: _Entry

    def day(self) -> Day:
        """Return the day; a process reads it from the database once for each pair of numbers."""
        if self._entry.day is None:
            self._entry.day = days.read(self.plan.restaurant_id, self.sector_id, self.date)
        return self._entry.day

    def depends_on_clock(self) -> bool:
        """Return whether the clock decides too what is free: in a day that has begun, lead time and margin included."""
        service = self.plan.day(self.date)
        soonest = self.plan.not_before()
        if soonest is not None and soonest > service.origin:
            return True
        return service.origin < self.plan.occupied_until() and clock.now() < service.instant_of(service.slots)

    def answer(self, key: Hashable, render: Callable[[], bytes], *, shared: bool) -> bytes:
        """Return the cached bytes of ``key``, else those of ``render``, which are cached.

        ``key`` holds all that the answer depends on besides the day and the plan. ``shared`` caches it in Redis too,
        for other processes: never for answers with personal data.
        """
        cached = self._entry.answers.get(key)
        if cached is not None:
            metrics.CACHE_HITS.labels("memory").inc()
            return cached
        name = self._field(key) if shared else ""
        if name and (cached := _from_redis(self._name, name)) is not None:
            metrics.CACHE_HITS.labels("redis").inc()
            return self._remember(key, cached)
        metrics.CACHE_MISSES.inc()
        answer = render()
        if name:
            _to_redis(self._name, name, answer)
        return self._remember(key, answer)

    def _remember(self, key: Hashable, value: bytes) -> bytes:
        answers = self._entry.answers
        answers[key] = value
        # Another thread may have emptied it meanwhile.
        while len(answers) > MAX_ANSWERS:
            with suppress(KeyError):
                answers.popitem(last=False)
        return value

    @property
    def _name(self) -> str:
        return _redis_name(self.plan.restaurant_id, self.sector_id, self.date)

    def _field(self, key: Hashable) -> str:
        plan, day = self._entry.numbers
        return f"{plan}:{day}:{key!r}"


_entries: Final[OrderedDict[tuple[str, str | None, date], _Entry]] = OrderedDict()
_lock: Final = Lock()


def open_day(restaurant_id: str, sector_id: str | None, service_date: date) -> CachedDay:
    """Return a day at its present numbers.

    Raises NotFound for a restaurant that does not exist and for a sector that is not its own.
    """
    plan = with_sector(restaurant_id, sector_id)
    numbers = _numbers(plan, sector_id, service_date)
    if numbers[0] != plan.version:
        plan = current(restaurant_id)
        numbers = (plan.version, _numbers(plan, sector_id, service_date)[1])
    if not settings.DAY_CACHE:
        return CachedDay(plan, sector_id, service_date, _Entry(numbers))
    name = (restaurant_id, sector_id, service_date)
    with _lock:
        entry = _entries.get(name)
        if entry is None or entry.numbers != numbers:
            entry = _entries[name] = _Entry(numbers)
        _entries.move_to_end(name)
        while len(_entries) > MAX_DAYS:
            _entries.popitem(last=False)
    return CachedDay(plan, sector_id, service_date, entry)


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
    """Delete from Redis the answers of these days, (restaurant id, sector id, date), and of the dates beside them."""
    names = {
        _redis_name(restaurant_id, sector, service_date + timedelta(days=beside))
        for restaurant_id, sector_id, service_date in days
        for sector in (sector_id, None)
        for beside in (-1, 0, 1)
    }
    if names:
        with suppress(Away):
            ask(lambda client: client.unlink(*names))


def _redis_name(restaurant_id: str, sector_id: str | None, service_date: date) -> str:
    return f"day:{build.identity()}:{restaurant_id}:{sector_id or '*'}:{service_date}"


def _from_redis(name: str, field: str) -> bytes | None:
    try:
        # By its types the client returns text; it returns bytes.
        answer: Any = ask(lambda client: client.hget(name, field))
    except Away:
        return None
    return answer if isinstance(answer, bytes) else None


def _to_redis(name: str, field: str, value: bytes) -> None:
    def put(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(name, mapping={field: value})
            pipe.expire(name, REDIS_SECONDS)
            pipe.execute()

    with suppress(Away):
        ask(put)
