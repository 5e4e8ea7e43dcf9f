"""Folding an aggregate's events into its state, from the latest snapshot on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wokibrain.events.envelope import Envelope, Payload, upcaster_count
from wokibrain.events.models import Snapshot, StoredEvent

VERSIONS_PER_SNAPSHOT: Final = 50

Evolve = Callable[[Payload | None, Envelope], Payload]


@dataclass(frozen=True, slots=True)
class Folded:
    """An aggregate's state at ``version``; version 0 and no state before its first event."""

    state: Payload | None
    version: int


def fold(
    aggregate_type: str,
    aggregate_id: str,
    evolve: Evolve,
    *,
    version: int | None = None,
    until: datetime | None = None,
) -> Folded:
    """Return the state that ``evolve`` makes of an aggregate's events, in order.

    ``evolve`` takes the state before an event (None before the first) and the event. Only events up to ``version``
    and ``until`` (inclusive) are counted. Starts from the latest snapshot within these limits.
    """
    snapshots = Snapshot.objects.filter(
        aggregate_type=aggregate_type, aggregate_id=aggregate_id, shapes=upcaster_count()
    )
    events = StoredEvent.objects.filter(aggregate_type=aggregate_type, aggregate_id=aggregate_id)
    if version is not None:
        snapshots, events = snapshots.filter(version__lte=version), events.filter(version__lte=version)
    if until is not None:
        snapshots, events = snapshots.filter(occurred_at__lte=until), events.filter(occurred_at__lte=until)
    start = snapshots.order_by("-version").first()
    state, reached = (start.state, start.version) if start else (None, 0)
    for event in map(Envelope.from_row, events.filter(version__gt=reached).order_by("version")):
        state, reached = evolve(state, event), event.version
    return Folded(state, reached)


def save_snapshots(events: Iterable[Envelope], evolve: Evolve) -> None:
    """Store the state at every 50th version among ``events``; a snapshot that exists stays as it is."""
    due = [event for event in events if event.version % VERSIONS_PER_SNAPSHOT == 0]
    Snapshot.objects.bulk_create(
        [
            Snapshot(
                aggregate_type=event.aggregate_type,
                aggregate_id=event.aggregate_id,
                version=event.version,
                shapes=upcaster_count(),
                occurred_at=event.occurred_at,
                state=fold(event.aggregate_type, event.aggregate_id, evolve, version=event.version).state,
            )
            for event in due
        ],
        ignore_conflicts=True,
    )
