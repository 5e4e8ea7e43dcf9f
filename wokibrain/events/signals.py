"""How a long-running command learns that it is to stop."""

from __future__ import annotations

import signal
import threading


def until_stopped() -> threading.Event:
    """An event that SIGTERM, SIGINT or SIGHUP sets; call from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop
