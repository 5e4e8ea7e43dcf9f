"""What must be true after a storm, checked by the clients' ledger, SQL and the receivers' log alone."""

from __future__ import annotations

import base64
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from tests.faults.receivers import Receipt
from tests.ledger import OVERLAPS, Entry

EXCUSED: Final = 5.0
"""For how long after a kill a 503 is allowed. Only of what a request needs: a worker's death excuses nothing."""
NEEDED: Final = ("api", "redis")
REFUSED: Final = {
    409: {"CONFLICT", "NO_CAPACITY", "ALREADY_CANCELLED", "IDEMPOTENCY_IN_PROGRESS"},
    422: {"OUTSIDE_SERVICE_WINDOW"},
}
"""The refusals a storm of well-formed requests may meet."""

GAPS: Final = """
SELECT count(*) FROM (
    SELECT FROM events_storedevent GROUP BY aggregate_type, aggregate_id
    HAVING min(version) <> 1 OR max(version) <> count(*)) AS gaps
"""
UNAUDITED: Final = """
SELECT count(*) FROM events_storedevent e FULL JOIN events_auditentry a ON a.event_id = e.event_id
WHERE (a.event_id IS NOT NULL OR a.id IS NULL) AND (e.event_id IS NULL OR a.event_id IS NULL
    OR (a.action, a.target_id, a.occurred_at) <> (e.event_type, e.aggregate_id, e.occurred_at))
"""
EVENTS: Final = """
SELECT event_id::text, aggregate_id, version, event_type, payload FROM events_storedevent
WHERE aggregate_type = 'booking' ORDER BY position
"""
ANSWER_FIELDS: Final = ("tableIds", "start", "end", "partySize", "sectorId", "status")
"""What an answer says of a booking, as the event of its version does."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happened, as seen from outside. ``kills`` are (what, ``time.monotonic``); ``secrets`` the endpoints'."""

    entries: Sequence[Entry]
    kills: Sequence[tuple[str, float]]
    secrets: Sequence[str]
    receipts: Sequence[Receipt]


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    booking: str
    version: int
    type: str
    payload: Mapping[str, Any]


def is_final(entry: Entry) -> bool:
    """Return whether the response is final; if it is not, the client repeats the request with the same key."""
    waits = entry.status == 409 and entry.body["error"] == "IDEMPOTENCY_IN_PROGRESS"
    return entry.status not in (0, 503) and not waits


def findings(link: psycopg.Connection[Any], story: Story) -> list[str]:
    """Yield a sentence for each broken promise."""
    events = [Event(*row) for row in link.execute(EVENTS.encode()).fetchall()]
    return [
        *_overlaps(link),
        *_answers(story),
        *_bookings(link, story, events),
        *_changes(story, events),
        *_after(link),
        *_deliveries(story, events),
    ]


def _count(link: psycopg.Connection[Any], statement: str) -> int:
    row = link.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _overlaps(link: psycopg.Connection[Any]) -> Iterator[str]:
    if overlaps := _count(link, OVERLAPS):
        yield f"overlaps: {overlaps}"


def _answers(story: Story) -> Iterator[str]:
    for entry in story.entries:
        if entry.status == 503:
            since = [entry.ended - at for what, at in story.kills if what in NEEDED]
            if not any(0 <= seconds <= EXCUSED for seconds in since):
                yield f"503 without a kill: {entry.operation}"
        elif entry.status in REFUSED:
            if entry.body["error"] not in REFUSED[entry.status]:
                yield f"unexpected {entry.status}: {entry.operation} {entry.body}"
        elif entry.status not in (0, 200, 201, 204):
            yield f"unexpected {entry.status}: {entry.operation} {entry.body}"
    open_keys = {entry.key for entry in story.entries} - {
        entry.key for entry in story.entries if is_final(entry)
    }
    if open_keys:
        yield f"never answered: {len(open_keys)} requests"


def _bookings(link: psycopg.Connection[Any], story: Story, events: Sequence[Event]) -> Iterator[str]:
    """Check that each 201 has one row and one version-1 event, each key one booking, and that there are no others."""
    by_key: dict[str | None, set[str]] = defaultdict(set)
    for entry in story.entries:
        if entry.status == 201:
            by_key[entry.key].add(entry.body["id"])
    for key, ids in by_key.items():
        if len(ids) > 1:
            yield f"one key, several bookings: {key}"
    answers = Counter(id for ids in by_key.values() for id in ids)
    if repeats := [id for id, count in answers.items() if count > 1]:
        yield f"several keys, one booking: {repeats[:5]}"
    rows = {row[0] for row in link.execute("SELECT id::text FROM bookings_booking").fetchall()}
    if missing := answers.keys() - rows:
        yield f"a 201 without its row: {sorted(missing)[:5]}"
    if extra := rows - answers.keys():
        yield f"a row nobody was told of: {sorted(extra)[:5]}; their requests were {_asked_for(link, story, extra)}"
    first = Counter(event.booking for event in events if (event.version, event.type) == (1, "BookingCreated"))
    if wrong := [id for id in answers if first[id] != 1]:
        yield f"a 201 without its one version-1 event: {wrong[:5]}"


def _asked_for(link: psycopg.Connection[Any], story: Story, bookings: set[str]) -> list[str]:
    """Describe each attempt at the requests for these bookings, with its seconds from the first."""
    keys = link.execute(
        "SELECT key FROM bookings_idempotencykey WHERE booking_id = ANY (%s::uuid[]) AND status = 201",
        [list(bookings)],
    )
    descriptions = []
    for (key,) in keys.fetchall():
        attempts = sorted(
            (entry for entry in story.entries if entry.key == key), key=lambda entry: entry.began
        )
        descriptions.append(
            ", ".join(
                f"{entry.status} {(entry.body or {}).get('error', '')} "
                f"{entry.began - attempts[0].began:.1f}-{entry.ended - attempts[0].began:.1f} s"
                for entry in attempts
            )
        )
    return descriptions


def _changes(story: Story, events: Sequence[Event]) -> Iterator[str]:
    """Check that the events contain every acknowledged change, and nothing else."""
    events_by_place = {(event.booking, event.version): event for event in events}
    answer_places: set[tuple[str, int]] = set()
    cancels: dict[str, set[str | None]] = defaultdict(set)
    for entry in story.entries:
        if entry.status in (200, 201):
            place = entry.body["id"], entry.body["version"]
            answer_places.add(place)
            event = events_by_place.get(place)
            if event is None or any(
                not _same(entry.body[name], event.payload[name]) for name in ANSWER_FIELDS
            ):
                yield f"an answer that is not what its event says: {entry.operation} v{entry.body['version']}"
        elif entry.status == 204:
            cancels[entry.operation.rpartition("/")[2]].add(entry.key)
    if twice := [id for id, keys in cancels.items() if len(keys) > 1]:
        yield f"cancelled twice: {twice[:5]}"
    cancelled_bookings = {event.booking for event in events if event.type == "BookingCancelled"}
    if wrong := cancelled_bookings ^ cancels.keys():
        yield f"cancelled and not told, or told and not cancelled: {sorted(wrong)[:5]}"
    silent = {
        place for place, event in events_by_place.items() if event.type != "BookingCancelled"
    } - answer_places
    if silent:
        yield f"a change nobody was told of: {sorted(silent)[:5]}"


def _same(in_answer: Any, in_event: Any) -> bool:
    if (
        isinstance(in_answer, str)
        and isinstance(in_event, str)
        and "T" in in_answer
        and in_answer != in_event
    ):
        return datetime.fromisoformat(in_answer) == datetime.fromisoformat(in_event)
    return bool(in_answer == in_event)


def _after(link: psycopg.Connection[Any]) -> Iterator[str]:
    """Check what our own consumers made of the events."""
    if gaps := _count(link, GAPS):
        yield f"versions with gaps: {gaps}"
    if unaudited := _count(link, UNAUDITED):
        yield f"audit rows that are not the events: {unaudited}"
    if unpublished := _count(link, "SELECT count(*) FROM events_storedevent WHERE published_at IS NULL"):
        yield f"outbox: {unpublished}"
    if failed := _count(link, "SELECT count(*) FROM events_failure"):
        yield f"dead letters and retries: {failed}"


def _deliveries(story: Story, events: Sequence[Event]) -> Iterator[str]:
    """Check that each (event, endpoint) arrived with valid signatures, and that repeats were identical."""
    event_ids = {event.id for event in events}
    deliveries: dict[tuple[str, int], set[tuple[str, bytes]]] = defaultdict(set)
    for receipt in story.receipts:
        id = receipt.headers.get("webhook-id", "")
        if id not in event_ids:
            yield f"a delivery of no event: {id}"
        elif not verified(receipt, story.secrets[receipt.to]):
            yield f"a signature that does not verify: {id} at {receipt.to}"
        else:
            deliveries[id, receipt.to].add((receipt.headers["x-wokibrain-delivery-id"], receipt.body))
    if differing := [pair for pair, forms in deliveries.items() if len(forms) > 1]:
        yield f"a duplicate that is not the same: {differing[:5]}"
    expected = {(id, number) for id in event_ids for number in range(len(story.secrets))}
    if missing := expected - deliveries.keys():
        yield f"never delivered: {len(missing)}, {sorted(missing)[:3]}"


def verified(receipt: Receipt, secret: str) -> bool:
    """Return whether both signatures are those computed here from the secret and the bytes."""
    legacy = hmac.new(secret.encode(), receipt.body, "sha256").hexdigest()
    head = f"{receipt.headers['webhook-id']}.{receipt.headers['webhook-timestamp']}."
    standard = base64.b64encode(hmac.digest(secret.encode(), head.encode() + receipt.body, "sha256")).decode()
    return hmac.compare_digest(
        legacy, receipt.headers["x-wokibrain-signature"]
    ) and f"v1,{standard}" in receipt.headers["webhook-signature"].split(" ")
