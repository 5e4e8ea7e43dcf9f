"""Points where a proof may stop or kill the process, and protections a canary may take away.

A proof that passes without the protection it is about proves nothing, so each is run once without it.
None of this does anything unless ENVIRONMENT is test.
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
    """Whether a canary runs without this protection (``locks``, ``idempotency``, ``refusals``)."""
    return protection in _WITHOUT


def armed(name: str) -> bool:
    """Whether a proof may stop or kill this process at that point."""
    return any(entry.startswith(f"{name}=") for entry in _ARMED.split(","))


def point(name: str) -> None:
    """Where FAULT_POINTS holds ``name=stop:FILE`` or ``name=kill:FILE``, do that once FILE exists.

    FILE is removed first, so that each time it is made counts once over all processes.
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
        # To this thread: a signal to the process may reach another one first, and this one would go on meanwhile.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)
