"""Work that may take longer than a request: migrations and checks of the whole store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import import_module

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from wokibrain.events import invariants
from wokibrain.postgres import diagnosis
from wokibrain.postgres.base import MIGRATION_LOCK_TIMEOUT

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS_BY_DAY = import_module("bookings.migrations.0004_events_by_day").Migration.operations
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'event_by_service_day'::regclass"


def query_value(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])


@pytest.fixture
def short_timeout() -> Iterator[None]:
    """Limit this session's statements to 500 ms, as a request's are limited to 15 s."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '500ms'")
    yield
    connection.close()


@pytest.mark.parametrize("atomic", [True, False])
def test_a_migration_may_take_longer_than_a_request(short_timeout: None, atomic: bool) -> None:
    with connection.schema_editor(atomic=atomic) as editor:
        editor.execute("SELECT pg_sleep(0.8)")
        assert query_value("SHOW lock_timeout") == (MIGRATION_LOCK_TIMEOUT if atomic else "0")
    assert (query_value("SHOW statement_timeout"), query_value("SHOW lock_timeout")) == ("500ms", "0")
    with pytest.raises(OperationalError) as refused:
        query_value("SELECT pg_sleep(0.8)")
    assert (
        diagnosis.sentence(refused.value)
        == "PostgreSQL cancelled a statement, because it took too long or on request"
    )


@pytest.mark.parametrize("atomic", [True, False])
def test_limits_are_restored_after_a_failed_migration(short_timeout: None, atomic: bool) -> None:
    with pytest.raises(ZeroDivisionError), connection.schema_editor(atomic=atomic):
        raise ZeroDivisionError
    assert (query_value("SHOW statement_timeout"), query_value("SHOW lock_timeout")) == ("500ms", "0")


def test_an_index_left_invalid_is_built_by_the_next_attempt() -> None:
    (operation,) = EVENTS_BY_DAY
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("bookings", editor, None, None)
    url = connection.get_connection_params()
    with psycopg.connect(
        host=url.get("host"), port=url.get("port"), user=url.get("user"), dbname=url["dbname"]
    ) as old:
        # Building an index waits for transactions that may still see the table as it was.
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")
        with connection.schema_editor(atomic=False) as editor:
            editor.execute("SET statement_timeout = '2s'")
            with pytest.raises(OperationalError):
                operation.database_forwards("bookings", editor, None, None)
    assert query_value(VALID) == "False"
    assert dict(invariants.run())["every index is valid"] == 1
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("bookings", editor, None, None)
    assert query_value(VALID) == "True"
    assert dict(invariants.run())["every index is valid"] == 0


def test_verify_may_take_longer_than_a_request(short_timeout: None, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "SELECT 0 FROM pg_sleep(0.8)"
    with pytest.raises(OperationalError):
        invariants.count(slow)
    monkeypatch.setitem(invariants._checks, "a slow check", lambda: invariants.count(slow))
    out = io.StringIO()
    call_command("verify", stdout=out)
    assert {line.split()[0] for line in out.getvalue().splitlines()} == {"ok"}
    assert "a slow check" in out.getvalue()
    assert query_value("SHOW statement_timeout") == "500ms"
