"""The consumers of events and how they run. Apps register theirs in a module named ``consumers``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from wokibrain.events.envelope import Envelope
from wokibrain.events.types import Group, Topic
from wokibrain.events.types import topics as all_topics

Handler = Callable[[Sequence[Envelope]], None]
Listener = Callable[[], None]


class Mode(Enum):
    """BATCH: a Celery task for a batch of events. EACH: a task for every event. INLINE: at once, in the process that
    reads the events."""

    BATCH = auto()
    EACH = auto()
    INLINE = auto()


class Start(Enum):
    """Where a consumer begins when it is new to an installation."""

    FIRST_EVENT = auto()
    NOW = auto()


@dataclass(frozen=True, slots=True)
class Consumer:
    """A registered handler. ``only`` limits it to those topics; None is all that the apps register."""

    name: str
    group: Group
    only: tuple[Topic, ...] | None
    mode: Mode
    start: Start
    handler: Handler

    @property
    def topics(self) -> Sequence[Topic]:
        """The topics whose events the consumer takes."""
        return all_topics() if self.only is None else self.only


_consumers: dict[str, Consumer] = {}
_listeners: dict[tuple[Group, str], Listener] = {}


class UnknownConsumer(LookupError):
    """No consumer has that name."""


def consumer(
    *,
    name: str,
    group: Group | str,
    topics: Iterable[Topic] | None = None,
    mode: Mode,
    start: Start = Start.FIRST_EVENT,
) -> Callable[[Handler], Handler]:
    """Register a handler of events: of these topics, or of all topics that any app registers.

    The handler gets events of registered types, ordered by position as far as they arrived in order. It must cope
    with an aggregate's event that comes late or is still missing: by looking at ``version``, or by an effect that
    does not depend on order. BATCH and EACH handlers run in one transaction with their receipts, so what they write
    to the database happens once; they must do no network I/O. INLINE handlers run before the receipt is written and
    outside a transaction: their effect must bear repetition, and they must limit their own time.

    An event whose handler raises is retried, and dead-lettered after ``retries.MAX_ATTEMPTS`` tries. The aggregate's
    later events do not wait for it.
    """

    def register(handler: Handler) -> Handler:
        if name in _consumers:
            raise ValueError(f"a consumer named {name} is registered already")
        only = None if topics is None else tuple(topics)
        _consumers[name] = Consumer(name, Group(group), only, mode, start, handler)
        return handler

    return register


def listener(*, group: Group, topic: str) -> Callable[[Listener], Listener]:
    """Register a function to be called when a message arrives on a Kafka topic that holds no events.

    The group reads the topic along with its events, so that a process is one member of one group. The function must
    be quick and must not raise; it may be called more than once for a message.
    """

    def register(function: Listener) -> Listener:
        _listeners[group, topic] = function
        return function

    return register


def listeners(group: Group) -> dict[str, Listener]:
    """Return the group's listeners, by topic."""
    return {topic: function for (of, topic), function in _listeners.items() if of is group}


def get(name: str) -> Consumer:
    """Return the consumer of that name. Raises ``UnknownConsumer``."""
    try:
        return _consumers[name]
    except KeyError:
        raise UnknownConsumer(
            f"no consumer is named {name}; there are: {', '.join(sorted(_consumers))}"
        ) from None


def consumers(group: Group | None = None) -> list[Consumer]:
    """Return all consumers, or those of one group, sorted by name."""
    consumers = (consumer for consumer in _consumers.values() if group is None or consumer.group is group)
    return sorted(consumers, key=lambda consumer: consumer.name)


def groups() -> list[Group]:
    """Return the groups that have a consumer."""
    return [group for group in Group if consumers(group)]


def unregister(name: str) -> None:
    """Remove a consumer; tests register their own."""
    del _consumers[name]
