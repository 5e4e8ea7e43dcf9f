"""The one place that tells the time and knows the zones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_frozen: ContextVar[datetime | None] = ContextVar("wokibrain_clock", default=None)


def now() -> datetime:
    """This instant, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


def now_to_millisecond() -> datetime:
    """Return the current instant, truncated to the millisecond, the precision that events and JSON carry."""
    instant = now()
    return instant - timedelta(microseconds=instant.microsecond % 1000)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold the clock at ``at`` for the block, in this thread or task only."""
    token = _frozen.set(at.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)


def stamped(instant: datetime, zone: tzinfo) -> str:
    """When something happened, as it is written for others: the clock of ``zone``, to the millisecond."""
    return instant.astimezone(zone).isoformat(timespec="milliseconds")


def written(instant: datetime, zone: tzinfo) -> str:
    """The start or end of something, the same way: on the grid, where most lie, without a fraction."""
    local = instant.astimezone(zone)
    return local.isoformat(timespec="milliseconds") if local.microsecond else local.isoformat()


@cache
def _zones() -> frozenset[str]:
    # What a machine calls its own zone, and what it has none by, is nobody else's.
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def is_known_zone(name: str) -> bool:
    """Whether ``name`` is an IANA zone (and not a path that would merely open a file)."""
    return name in _zones()


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises KeyError for an unknown one."""
    return ZoneInfo(name)
