"""Django's PostgreSQL backend with fewer health checks, and without statement time-outs in migrations.

Django checks a persistent connection once a request, at the cost of a round trip. Here a connection that was checked
within the last second is trusted. If it breaks within that second, the request fails with an OperationalError, which
the adapters answer with 503, and the next request gets a new connection.

A migration may take longer than the 15 s of a statement: an index whose creation was cancelled stays behind, invalid
and unused.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, Final

from django.db.backends.postgresql import base, schema

from wokibrain.postgres import limits

HEALTH_CHECK_SECONDS: Final = 1.0
"""How long a connection is trusted after a health check."""
MIGRATION_LOCK_TIMEOUT: Final = "5s"


class SchemaEditor(schema.DatabaseSchemaEditor):
    """Runs migrations without a statement time-out.

    In a transaction it gives up waiting for a lock after 5 s, because every other session queues behind it; the
    migration can be run again. Outside a transaction (concurrent index builds) it waits without limit.
    """

    def __enter__(self) -> SchemaEditor:
        super().__enter__()
        self._limits = ExitStack()
        if self.collect_sql:
            return self
        if self.atomic_migration:
            with self.connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', %s, true)",
                    [MIGRATION_LOCK_TIMEOUT],
                )
        else:
            self._limits.enter_context(limits.lifted(self.connection))
        return self

    def __exit__(self, *error: Any) -> None:
        with self._limits:
            super().__exit__(*error)


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = SchemaEditor
    health_check_done: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._checked_at = 0.0

    def connect(self) -> None:
        super().connect()
        self._checked_at = time.monotonic()

    def close_if_health_check_failed(self) -> None:
        if self.connection is None or self.health_check_done:
            return
        if time.monotonic() - self._checked_at < HEALTH_CHECK_SECONDS:
            self.health_check_done = True
            return
        super().close_if_health_check_failed()
        self._checked_at = time.monotonic()
