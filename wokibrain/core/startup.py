"""What a long-running process does once, before its work: web, relay, worker and consume call ``run``."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error

from wokibrain.core.errors import DomainError

logger = logging.getLogger(__name__)

Hook = Callable[[], None]

_hooks: list[Hook] = []


def register(hook: Hook) -> None:
    """Have ``hook`` run at the start of every long-running process, in the order of registration."""
    _hooks.append(hook)


def run() -> None:
    """Run every hook. One that fails because the database is away or refuses is logged: the process starts anyway."""
    for hook in _hooks:
        try:
            hook()
        except (Error, DomainError) as error:
            logger.warning("at the start: %s: %s", type(error).__name__, error)
