"""What processes need to know about each other, in one place."""

import ctypes
import errno
import os
import signal
import socket
import sys

from wokibrain.core.errors import CannotStart

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class PortTaken(CannotStart):
    """The address is in use, or is none of this machine."""


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have this process told to end when its parent is gone, however that went. `parent`: who that was."""
    if _libc is not None:
        _libc.prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        # It went before we could ask.
        os.kill(os.getpid(), number)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address, one for each process that answers there; port 0 picks a free one.

    One socket each, because processes that share one do not share the connections fairly: at 16 connections that cost
    a third of the throughput. The caller keeps them open, so what waits in the queue of a process that died is answered
    by its successor.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror:
        raise PortTaken(f"HOST={host} is not an address of this machine") from None
    sockets: list[socket.socket] = []
    try:
        # Sharing a port must be asked for on all sides, so this one, which does not, finds out about anybody else.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            alone.listen(1)
            address = alone.getsockname()
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(2048)
    except OSError as error:
        for sock in sockets:
            sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} is taken; stop what uses it, or choose another with PORT={port + 1}"
            ) from None
        raise PortTaken(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None
    return sockets
