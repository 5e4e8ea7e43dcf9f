"""Readiness: the state of each service that this process depends on. Apps register theirs in ``ready()``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """OFF: not used in this installation. DEGRADED: away, and requests are answered without it.
    UNAVAILABLE: away, and no request can be answered."""

    OK = "ok"
    OFF = "off"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


Check = Callable[[], State]

_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Have ``check`` run for every request to /health/ready. It must be quick and must not raise."""
    _checks[name] = check


def states() -> dict[str, State]:
    """Return the state of each service by name, in the order in which they were registered."""
    return {name: check() for name, check in _checks.items()}


def overall(states: dict[str, State]) -> State:
    """Return the state of the process as a whole: the worst of ``states``, where OFF counts as OK."""
    for state in (State.UNAVAILABLE, State.DEGRADED):
        if state in states.values():
            return state
    return State.OK
