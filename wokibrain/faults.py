"""Named points where a proof may stop or kill the process. They do nothing outside of tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

_ARMED = os.environ.get("FAULT_POINTS", "") if os.environ.get("ENVIRONMENT") == "test" else ""


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
        os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)
