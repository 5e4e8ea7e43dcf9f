"""Waiting for what another thread or process is about to do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], timeout: float = 30) -> bool:
    """Whether it came true in time; a test asserts it, so that the condition is what a failure shows."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
