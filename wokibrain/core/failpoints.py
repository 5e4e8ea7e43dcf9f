"""Points at which a test may stop or kill the process, and protections that a test may switch off.

A test that still passes without the protection it is about proves nothing, so each is also run without it.
None of this has any effect unless ENVIRONMENT is test.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

_TEST = os.environ.get("ENVIRONMENT") == "test"
_ARMED = os.environ.get("FAULT_POINTS", "") if _TEST else ""
_WITHOUT = frozenset(os.environ.get("FAULT_WITHOUT", "").split(",")) if _TEST else frozenset()


def without(protection: str) -> bool:
    """Return whether FAULT_WITHOUT switches this protection off (``locks``, ``idempotency``, ``refusals``)."""
    return protection in _WITHOUT


def armed(name: str) -> bool:
    """Return whether FAULT_POINTS names this point."""
    return any(entry.startswith(f"{name}=") for entry in _ARMED.split(","))


def point(name: str) -> None:
    """Stop or kill this process if FAULT_POINTS has ``name=stop:FILE`` or ``name=kill:FILE`` and FILE exists.

    FILE is removed first, so that creating it once affects one process.
    """
    if not _ARMED:
        return
    for entry in _ARMED.split(","):
        armed, _, rest = entry.partition("=")
        action, _, file = rest.partition(":")
        if armed != name:
            continue
        try:
            Path(file).unlink()
        except FileNotFoundError:
            continue
        # To this thread: a signal to the process may reach another thread first while this one continues.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)
