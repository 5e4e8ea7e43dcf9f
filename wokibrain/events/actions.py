"""What the audit trail calls an action, in words for people. Apps register their own in ``ready()``."""

from __future__ import annotations

from collections.abc import Mapping

from wokibrain.core.errors import Text
from wokibrain.events import types

_words: dict[str, Text] = {}


def register(words: Mapping[str, Text]) -> None:
    """Add actions that are no events: the stored name of each, and its words. Event types bring their own."""
    _words.update(words)


def words() -> dict[str, Text]:
    """Return the words of every action by its stored name."""
    return _words | {event_type.name: event_type.audit_words for event_type in types.event_types()}
