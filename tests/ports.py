"""Ports for servers that take their port as a setting."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
from typing import Final

FIRST: Final = 20_000
COUNT: Final = 12_000
"""Below the ports that the system gives away by itself, so that it gives none of these to another process."""
STRIDE: Final = 32
"""Each xdist worker counts in steps of its own, and meets no other."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_steps = itertools.count(random.randrange(COUNT // STRIDE))


def free_port() -> int:
    """Return a loopback port on which no process listens, a different one each time."""
    while True:
        port = FIRST + (next(_steps) * STRIDE + _worker) % COUNT
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
