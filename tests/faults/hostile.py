"""Hostile receivers in a separate process: `python -m tests.faults.hostile` prints their ports.

Runs until its input ends.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(200 * 2**20), 1)


def one_byte_a_second(connection: socket.socket) -> None:
    for byte in OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(1)


def slow_body(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(1)


def endless_body(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def gzip_bomb(connection: socket.socket) -> None:
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(BOMB)}\r\n\r\n".encode()
    connection.sendall(head + BOMB)


def header_flood(connection: socket.socket) -> None:
    connection.sendall(OK)
    while True:
        connection.sendall(b"X-Flood: " + b"x" * 8_000 + b"\r\n")


def one_endless_header(connection: socket.socket) -> None:
    connection.sendall(OK + b"X-Flood: ")
    while True:
        connection.sendall(b"x" * 65_536)


def interim_flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)


def chunk_extension_flood(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n1;")
    while True:
        connection.sendall(b"e" * 65_536)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def says_nothing(connection: socket.socket) -> None:
    time.sleep(60)


def not_http(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def closes(connection: socket.socket) -> None:
    pass


BEHAVIOURS: tuple[Callable[[socket.socket], None], ...] = (
    one_byte_a_second, slow_body, endless_body, gzip_bomb, header_flood, one_endless_header, interim_flood,
    chunk_extension_flood, reset, says_nothing, not_http, closes,
)  # fmt: skip


def listen(behave: Callable[[socket.socket], None]) -> int:
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                behave(connection)
            except OSError:
                pass

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


if __name__ == "__main__":
    print(json.dumps({behave.__name__: listen(behave) for behave in BEHAVIOURS}), flush=True)
    sys.stdin.read()
