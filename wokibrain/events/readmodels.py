"""Read models: tables that follow from events alone. This module rebuilds and checks them.

A read model belongs to a consumer. Its ``apply`` adds a batch of events to the tables, whose names get a suffix: none
for the live tables, another for temporary tables of the same shape. The result must not depend on the order or the
batches in which events come.

The live tables hold exactly the effects of the events that have a receipt or lie below the watermark, and have no
failure. A check compares them with the fold of just those events, in one snapshot, so it works while events pour in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q, Subquery

from wokibrain.core import clock
from wokibrain.events import registry
from wokibrain.events.dispatch import CONSUMER_LOCK
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import Failure, Rebuild, Receipt, StoredEvent, Watermark
from wokibrain.events.registry import Consumer
from wokibrain.events.types import event_types

Apply = Callable[[Sequence[Envelope], str], None]
Progress = Callable[[int, int], None]

EVENTS_PER_CHUNK: Final = 2_000
"""Applied at a time by a rebuild or a check; bounds its memory."""
BESIDE: Final = "_beside"
"""Suffix of the temporary tables beside the live ones."""
REBUILD_LOCK: Final = 0x574C

NOT_APPLIED: Final = "NOT EXISTS (SELECT FROM applied t WHERE t.event_id = events_storedevent.event_id)"


class UnknownReadModel(LookupError):
    """No read model has that name."""


class RebuildRunning(Exception):
    """Another process is rebuilding this read model."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """``models`` have a composite primary key, by which rows are compared."""

    name: str
    consumer: str
    models: tuple[type[models.Model], ...]
    apply: Apply


_read_models: dict[str, ReadModel] = {}


def register(read_model: ReadModel) -> ReadModel:
    """Make the read model known to `manage.py rebuild` and `manage.py verify`."""
    _read_models[read_model.name] = read_model
    return read_model


def get(name: str) -> ReadModel:
    """Return the read model of that name. Raises ``UnknownReadModel``."""
    try:
        return _read_models[name]
    except KeyError:
        raise UnknownReadModel(
            f"no read model is named {name}; there are: {', '.join(sorted(_read_models))}"
        ) from None


def names() -> list[str]:
    """Return the names of all read models, sorted."""
    return sorted(_read_models)


# --- rebuild ---------------------------------------------------------------------------------------------------------


def rebuild(name: str, progress: Progress = lambda done, total: None) -> Rebuild:
    """Build the read model anew from all events and replace the live one in one commit. Return what was done.

    Most of the work goes into temporary tables, from one snapshot of the store. Then the consumer waits while the
    events committed since are added and the rows that differ are replaced; readers see the old state or the new.
    Applied events get receipts, so that no delivery adds them again; events with a ``Failure`` are left out, as they
    are in the live tables. Raises ``UnknownReadModel``, ``RebuildRunning``.
    """
    read_model = get(name)
    consumer = registry.get(read_model.consumer)
    started = clock.now()
    with _only_rebuild(name), _tables_beside(read_model):
        with _snapshot():
            total = _events(consumer).count()
            done = 0
            for chunk in _chunks(_events(consumer).iterator(EVENTS_PER_CHUNK)):
                _apply_beside(read_model, consumer, chunk)
                done += len(chunk)
                progress(done, total)
        with transaction.atomic():
            _lock_out(consumer)
            late = list(_events(consumer).extra(where=[NOT_APPLIED]))  # noqa: S610 - a constant of ours
            for chunk in _chunks(iter(late)):
                _apply_beside(read_model, consumer, chunk)
            _receipt(consumer)
            repaired = sum(_replace(model) for model in read_model.models)
            result = Rebuild.objects.create(
                read_model=name,
                started_at=started,
                finished_at=clock.now(),
                events=done + len(late),
                repaired=repaired,
            )
    progress(done + len(late), done + len(late))
    return result


def differences(name: str) -> int:
    """Return how many rows of the live tables differ from the fold of the handled events."""
    read_model = get(name)
    consumer = registry.get(read_model.consumer)
    with _tables_beside(read_model), _snapshot():
        through = Watermark.objects.filter(consumer=consumer.name).values("through")
        handled = _events(consumer).filter(_in(Receipt, consumer) | Q(published_at__lte=Subquery(through)))
        for chunk in _chunks(handled.iterator(EVENTS_PER_CHUNK)):
            _apply_beside(read_model, consumer, chunk)
        return sum(_differing(model) for model in read_model.models)


def _events(consumer: Consumer) -> models.QuerySet[StoredEvent]:
    """Return the events of the consumer's topics that are of a registered type and have not failed."""
    type_names = [event_type.name for event_type in event_types()]
    events = StoredEvent.objects.filter(aggregate_type__in=consumer.topics, event_type__in=type_names)
    return events.exclude(_in(Failure, consumer)).order_by("position")


def _in(book: type[Receipt] | type[Failure], consumer: Consumer) -> Exists:
    return Exists(book._default_manager.filter(consumer=consumer.name, event_id=OuterRef("event_id")))


def _chunks(rows: Iterator[StoredEvent]) -> Iterator[list[StoredEvent]]:
    while chunk := list(islice(rows, EVENTS_PER_CHUNK)):
        yield chunk


def _apply_beside(read_model: ReadModel, consumer: Consumer, rows: Sequence[StoredEvent]) -> None:
    events = [Envelope.from_row(row) for row in rows]
    read_model.apply(events, BESIDE)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO applied SELECT unnest(%s::uuid[])", [[event.event_id for event in events]]
        )


def _lock_out(consumer: Consumer) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [CONSUMER_LOCK, consumer.name])


def _receipt(consumer: Consumer) -> None:
    with connection.cursor() as cursor:
        # An event that failed while the rebuild applied it has taken effect now.
        cursor.execute(
            "DELETE FROM events_failure f USING applied t WHERE f.consumer = %s AND f.event_id = t.event_id",
            [consumer.name],
        )
        cursor.execute(
            """
            INSERT INTO events_receipt (consumer, event_id)
            SELECT %(consumer)s, e.event_id FROM applied t JOIN events_storedevent e USING (event_id)
            LEFT JOIN events_watermark w ON w.consumer = %(consumer)s
            WHERE e.published_at IS NULL OR w.through IS NULL OR e.published_at > w.through
            ON CONFLICT DO NOTHING
            """,
            {"consumer": consumer.name},
        )


# --- tables ----------------------------------------------------------------------------------------------------------


def columns(model: type[models.Model]) -> tuple[list[str], list[str]]:
    """Return the columns of the composite key, and the other columns."""
    key = [str(field.column) for field in model._meta.pk_fields]
    rest = [str(field.column) for field in model._meta.concrete_fields if field.column]
    return key, [column for column in rest if column not in key]


@contextmanager
def _tables_beside(read_model: ReadModel) -> Iterator[None]:
    """Make empty temporary tables of the same shape, and one for the ids of the events applied to them."""
    tables = [model._meta.db_table for model in read_model.models]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DROP TABLE IF EXISTS {table}{BESIDE}")
            cursor.execute(
                f"CREATE TEMP TABLE {table}{BESIDE} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES)"
            )
        cursor.execute("DROP TABLE IF EXISTS applied")
        cursor.execute("CREATE TEMP TABLE applied (event_id uuid PRIMARY KEY)")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                for table in (*(f"{table}{BESIDE}" for table in tables), "applied"):
                    cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _replace(model: type[models.Model]) -> int:
    key, values = columns(model)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} l WHERE NOT EXISTS (SELECT FROM {table}{BESIDE} b WHERE {_same(key)})"  # noqa: S608
        )
        deleted = cursor.rowcount
        cursor.execute(
            f"""
            INSERT INTO {table} AS l ({", ".join(key + values)})
            SELECT {", ".join(key + values)} FROM {table}{BESIDE}
            ON CONFLICT ({", ".join(key)}) DO UPDATE
                SET {", ".join(f"{column} = EXCLUDED.{column}" for column in values)}
            WHERE ({", ".join(f"l.{column}" for column in values)})
                IS DISTINCT FROM ({", ".join(f"EXCLUDED.{column}" for column in values)})
            """  # noqa: S608 - names of our own tables
        )
        return int(deleted + cursor.rowcount)


def _differing(model: type[models.Model]) -> int:
    key, values = columns(model)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*) FROM {table} l FULL JOIN {table}{BESIDE} b ON {_same(key)}
            WHERE ({", ".join(f"l.{column}" for column in key + values)})
                IS DISTINCT FROM ({", ".join(f"b.{column}" for column in key + values)})
            """  # noqa: S608 - names of our own tables
        )
        return int(cursor.fetchone()[0])


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"l.{column} = b.{column}" for column in key)


# --- transactions ----------------------------------------------------------------------------------------------------


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SET LOCAL statement_timeout = 0")
        yield


@contextmanager
def _only_rebuild(name: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [REBUILD_LOCK, name])
        if not cursor.fetchone()[0]:
            raise RebuildRunning(f"{name} is being rebuilt already")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [REBUILD_LOCK, name])
