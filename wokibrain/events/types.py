"""The types of event there are: each app registers those that it emits.

An event of a type that no app registered is not guessed at: it waits for a program that knows the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wokibrain.core.errors import Text


class Topic(str):
    """The type of an aggregate, as it is stored; its events go to a Kafka topic of their own."""

    __slots__ = ()

    @property
    def kafka(self) -> str:
        """The name of the Kafka topic."""
        return f"wokibrain.{self}.events"

    @property
    def dead_letters(self) -> str:
        """The name of the Kafka topic that announces dead letters."""
        return f"{self.kafka}.dlq"


@dataclass(frozen=True, slots=True)
class EventType:
    """``name`` is stored and sent, so it never changes. ``audit_words`` are what the audit trail calls the event,
    ``label`` what a booking's history calls it (empty where none shows it). ``fields`` are those that every payload
    of this type has."""

    name: str
    topic: Topic
    audit_words: Text
    fields: tuple[str, ...]
    label: Text = ""


_types: dict[str, EventType] = {}


def register(event_type: EventType) -> EventType:
    """Make an event type known to consumers, read models and the audit trail. Raises ValueError on a second one."""
    if event_type.name in _types:
        raise ValueError(f"an event type named {event_type.name} is registered already")
    _types[event_type.name] = event_type
    return event_type


def get(name: str) -> EventType | None:
    """Return the event type of that name, or None where no app registered it."""
    return _types.get(name)


def label(name: str) -> Text:
    """Return what a history calls the event type of that name; the name itself where no app registered it."""
    event_type = _types.get(name)
    return event_type.label if event_type else name


def event_types(topic: Topic | None = None) -> list[EventType]:
    """Return all event types, or those of one topic, in the order in which they were registered."""
    return [event_type for event_type in _types.values() if topic is None or event_type.topic == topic]


def topics() -> list[Topic]:
    """Return the topics of all event types, in the order in which they were registered."""
    return list(dict.fromkeys(event_type.topic for event_type in _types.values()))


class Group(StrEnum):
    """Consumer groups: each reads every event of its topics once; also the names of Celery's queues."""

    PROJECTIONS = "projection-workers"
    WEBSOCKET = "websocket-workers"
    CACHE = "cache-workers"
    WEBHOOKS = "webhook-workers"
    ANALYTICS = "analytics-workers"
    AUDIT = "audit-workers"
