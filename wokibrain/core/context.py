"""The context of the current work: request id, trace, source and actor, for events, logs and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from wokibrain.core.ids import tag, uuid7

MAX_REQUEST_ID: Final = 45
"""Characters of the longest spelling of a UUID that Python reads, a URN."""


@dataclass(frozen=True, slots=True)
class Context:
    """``source`` is the entrance of the work: rest, admin, websocket, command, worker ...

    ``actor`` is the caller as events and logs name it, once it is authenticated.
    """

    request_id: str = field(default_factory=lambda: str(uuid7()))
    traceparent: str | None = None
    source: str = "command"
    actor: str | None = None


_current: ContextVar[Context | None] = ContextVar("wokibrain_context", default=None)


def current() -> Context:
    """Return the context of this thread or task; a new one where none was entered."""
    return _current.get() or Context()


def current_or_none() -> Context | None:
    """Return the context that was entered, if any."""
    return _current.get()


@contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Make ``context`` the current one during the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def act_as(actor: str) -> None:
    """Set the actor of the current context, if one was entered."""
    context = _current.get()
    if context is not None:
        _current.set(replace(context, actor=actor))


def request_id(header: str | None) -> str:
    """Return the client's request id if it is a UUID, else a new one."""
    if header and len(header) <= MAX_REQUEST_ID:
        try:
            return str(UUID(header))
        except ValueError:
            pass
    return str(tag())
