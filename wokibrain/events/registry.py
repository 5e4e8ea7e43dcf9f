"""Who consumes which events, and how. Apps register in their module ``consumers``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from wokibrain.events.store import Envelope
from wokibrain.events.types import Group, Topic
from wokibrain.events.types import topics as all_topics

Handler = Callable[[Sequence[Envelope]], None]
Listener = Callable[[], None]


class Mode(Enum):
    """BATCH: one Celery task for a batch of events. EACH: one for every event. INLINE: at once, in the process
    that reads the events."""

    BATCH = auto()
    EACH = auto()
    INLINE = auto()


class Start(Enum):
    """Where a consumer begins that is new to an installation."""

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
    pass


def consumer(
    *,
    name: str,
    group: Group | str,
    topics: Iterable[Topic] | None = None,
    mode: Mode,
    start: Start = Start.FIRST_EVENT,
) -> Callable[[Handler], Handler]:
    """Register a handler of events: of these topics, or of all topics that any app registers.

    The handler gets events of known types in order of their positions, as far as they arrived in order:
    it must stand events of one aggregate coming late or not at all yet (look at ``version``, or make the effect
    independent of order). BATCH and EACH handlers run in a transaction together with their receipts, so what
    they write to the database happens once; they do no network I/O. INLINE handlers run outside a
    transaction, before the receipt: theirs is an effect that may be repeated, and they bound their own time.

    What a handler raises is retried and dead-lettered after ``dispatch.MAX_ATTEMPTS`` tries; the aggregate's
    later events go on meanwhile.
    """

    def register(handler: Handler) -> Handler:
        if name in _consumers:
            raise ValueError(f"a consumer named {name} is registered already")
        only = None if topics is None else tuple(topics)
        _consumers[name] = Consumer(name, Group(group), only, mode, start, handler)
        return handler

    return register


def listener(*, group: Group, topic: str) -> Callable[[Listener], Listener]:
    """Register who is called when something has come on a Kafka topic that holds no events.

    The group reads it along with its events, so that one process is one member of it. What is registered is quick
    and never raises, and it costs nothing to call it again, or for what has been seen before.
    """

    def register(heard: Listener) -> Listener:
        _listeners[group, topic] = heard
        return heard

    return register


def listeners(group: Group) -> dict[str, Listener]:
    """The group's listeners, by topic."""
    return {topic: heard for (of, topic), heard in _listeners.items() if of is group}


def get(name: str) -> Consumer:
    """The consumer of that name. Raises ``UnknownConsumer``."""
    try:
        return _consumers[name]
    except KeyError:
        raise UnknownConsumer(
            f"no consumer is named {name}; there are: {', '.join(sorted(_consumers))}"
        ) from None


def consumers(group: Group | None = None) -> list[Consumer]:
    """All consumers, or those of one group, by name."""
    return sorted(
        (one for one in _consumers.values() if group is None or one.group is group), key=lambda one: one.name
    )


def groups() -> list[Group]:
    """The groups that have a consumer."""
    return [group for group in Group if consumers(group)]


def unregister(name: str) -> None:
    """Take a consumer away again (tests)."""
    del _consumers[name]
