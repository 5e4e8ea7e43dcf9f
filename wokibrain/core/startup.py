"""What a long-running process does once, before its work: web, relay, worker and consume call ``run``."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error, connection

logger = logging.getLogger(__name__)

Hook = Callable[[], None]

_hooks: list[Hook] = []


def register(hook: Hook) -> None:
    """Have ``hook`` run at the start of every long-running process, in the order of registration."""
    _hooks.append(hook)


def run() -> None:
    """Run every hook, until one finds the database away: the process starts anyway, and itself logs the outage.

    Leaves no database connection open, which child processes would inherit.
    """
    try:
        for hook in _hooks:
            hook()
    except Error as error:
        logger.info("at the start: %s", type(error).__name__)
    finally:
        connection.close()
