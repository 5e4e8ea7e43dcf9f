"""Django's PostgreSQL backend, asking a kept connection after its health less often, and patient in migrations.

Django asks once a request, which costs a round trip each; here a connection that answered within the
last second is taken for well. What breaks within that second is an OperationalError, which the
adapters answer with 503, and the connection is made anew after it.

A migration is not a request: what builds an index may take longer than a statement's 15 s, and an index whose building
was cancelled stays behind, not valid and never used.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, Final

from django.db.backends.postgresql import base, schema

from wokibrain.postgres import limits

TRUSTED_SECONDS: Final = 1.0
MIGRATION_LOCK_WAIT: Final = "5s"


class SchemaEditor(schema.DatabaseSchemaEditor):
    """Without a limit on statements.

    In a transaction it gives up a lock it waits for, because everybody else waits behind it; the migration can be
    run again. Outside of one it builds beside others at work, and waits for them to end.
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
                    [MIGRATION_LOCK_WAIT],
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
        self._well_at = 0.0

    def connect(self) -> None:
        super().connect()
        self._well_at = time.monotonic()

    def close_if_health_check_failed(self) -> None:
        if self.connection is None or self.health_check_done:
            return
        if time.monotonic() - self._well_at < TRUSTED_SECONDS:
            self.health_check_done = True
            return
        super().close_if_health_check_failed()
        self._well_at = time.monotonic()
