"""The current time, time zones, and times as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from wokibrain.core.errors import UnknownZone

_frozen: ContextVar[datetime | None] = ContextVar("wokibrain_clock", default=None)


def now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


def now_to_millisecond() -> datetime:
    """Return the current instant, truncated to the millisecond, the precision that events and JSON carry."""
    instant = now()
    return instant - timedelta(microseconds=instant.microsecond % 1000)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Stop the clock at ``at`` during the block, in this thread or task only."""
    token = _frozen.set(at.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)


def iso_milliseconds(instant: datetime, zone: tzinfo) -> str:
    """Return when something happened: ISO 8601 in ``zone``, to the millisecond."""
    return instant.astimezone(zone).isoformat(timespec="milliseconds")


def iso(instant: datetime, zone: tzinfo) -> str:
    """Return the start or end of a booking or block: ISO 8601 in ``zone``, with milliseconds only if there are any."""
    return iso_local(instant.astimezone(zone))


def iso_local(local: datetime) -> str:
    """Return a time with its offset as ISO 8601, with milliseconds only if there are any."""
    return local.isoformat(timespec="milliseconds") if local.microsecond else local.isoformat()


@cache
def known_zones() -> frozenset[str]:
    """Return the names of all zones that a restaurant may have."""
    # These mean the zone of the machine, or that it has none: they differ between machines.
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def is_known_zone(name: str) -> bool:
    """Return whether ``name`` is an IANA zone, and not a path that ZoneInfo would open all the same."""
    return name in known_zones()


@cache
def zone(name: str) -> ZoneInfo:
    """Return the zone of that IANA name. Raises UnknownZone for one that this host's rules lack."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(name) from error


def zone_or_utc(name: str) -> ZoneInfo:
    """Return the zone of that name, or UTC for an unknown one: to show what must be shown, never to decide."""
    try:
        return zone(name)
    except UnknownZone:
        return zone("UTC")
