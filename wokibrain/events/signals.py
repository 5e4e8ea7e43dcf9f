"""Stop signals of long-running commands."""

from __future__ import annotations

import signal
import threading


def until_stopped() -> threading.Event:
    """Return an event that SIGTERM, SIGINT and SIGHUP set. Call it from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop
