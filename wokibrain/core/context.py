"""What surrounds the work at hand: request id, trace and source, for events, logs and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from wokibrain.core.ids import tag, uuid7


@dataclass(frozen=True, slots=True)
class Context:
    """``source`` says through which door the work came: rest, admin, command, worker ...

    ``actor`` is who is asking, once that is known, as events and logs name them.
    """

    request_id: str = field(default_factory=lambda: str(uuid7()))
    traceparent: str | None = None
    source: str = "command"
    actor: str | None = None


_current: ContextVar[Context | None] = ContextVar("wokibrain_context", default=None)


def current() -> Context:
    """The context of this thread or task; a fresh one where none was entered."""
    return _current.get() or Context()


def current_or_none() -> Context | None:
    """The context that was entered, if any."""
    return _current.get()


@contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Make ``context`` current for the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def act_as(actor: str) -> None:
    """Name who is asking, from here to the end of the context that was entered."""
    here = _current.get()
    if here is not None:
        _current.set(Context(here.request_id, here.traceparent, here.source, actor))


def request_id(given: str | None) -> str:
    """The caller's request id where it is a UUID, else a new one."""
    if given and len(given) <= 45:
        try:
            return str(UUID(given))
        except ValueError:
            pass
    return str(tag())
