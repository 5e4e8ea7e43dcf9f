"""Listening sockets that processes share a port with, and a process's end with its parent."""

import ctypes
import errno
import os
import signal
import socket
import sys

from wokibrain.core.errors import CannotStart

BACKLOG = 2048
"""Connections that the kernel queues for each socket."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class PortTaken(CannotStart):
    """The address is in use, or is none of this machine."""


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process the signal `number` when its parent, the process `parent`, ends."""
    if _libc is not None:
        _libc.prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        # The parent ended before the request was made.
        os.kill(os.getpid(), number)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Return `count` listening sockets on one address, one for each serving process; port 0 picks a free one.

    Processes that share one socket take connections unevenly: at 16 connections that cost a third of the throughput.
    The caller keeps the sockets open, so that the successor of a process that died answers the connections queued in
    its socket. Raises PortTaken.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror:
        raise PortTaken(f"HOST={host} is not an address of this machine") from None
    sockets: list[socket.socket] = []
    try:
        # A port is shared only among sockets with SO_REUSEPORT, so this probe without it fails if the port is in use.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
            address = probe.getsockname()
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} is taken; stop what uses it, or choose another with PORT={port + 1}"
            ) from None
        raise PortTaken(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None
    return sockets
