"""Django's PostgreSQL backend, asking a kept connection after its health less often.

Django asks once a request, which costs a round trip each; here a connection that answered within the
last second is taken for well. What breaks within that second is an OperationalError, which the
adapters answer with 503, and the connection is made anew after it.
"""

from __future__ import annotations

import time
from typing import Any, Final

from django.db.backends.postgresql import base

TRUSTED_SECONDS: Final = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
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
