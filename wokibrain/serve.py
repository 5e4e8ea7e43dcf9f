"""The web server: `python -m wokibrain.serve`.

Listens on HOST:PORT with WEB_PROCESSES processes of WEB_THREADS threads each. A process that dies is replaced;
SIGTERM lets requests in flight finish. `--fd N` makes it one such process, on an inherited listening socket.
"""

import argparse
import os
import signal
import socket
import sys

import uvicorn
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from wokibrain.core import env
from wokibrain.ops.production_checks import refuse_unsafe
from wokibrain.server import sockets as processes
from wokibrain.server.supervisor import Program, Supervisor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")

GRACE_SECONDS = 10


def web_processes() -> int:
    return env.integer("WEB_PROCESSES", min(4, max(2, os.cpu_count() or 2)), minimum=1, maximum=128)


def listen() -> list[socket.socket]:
    return processes.listen(
        env.text("HOST", "127.0.0.1"), env.integer("PORT", 8000, minimum=0, maximum=65_535), web_processes()
    )


def programs(sockets: list[socket.socket]) -> list[Program]:
    """The web server's processes, each on a socket of its own."""
    return [
        Program(f"web-{number}", ("-m", "wokibrain.serve", "--fd", str(sock.fileno())), (sock.fileno(),))
        for number, sock in enumerate(sockets, start=1)
    ]


def serve(sock: socket.socket, application: str = "wokibrain.asgi:application") -> None:
    settings.METRICS_DIR.mkdir(parents=True, exist_ok=True)
    # Read when the metrics are made, with the application. Nobody asks other processes for theirs.
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(settings.METRICS_DIR))
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Whose word counts about the client's address is for TRUSTED_PROXIES to say, not for the server.
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws_max_size=65_536,
    )
    server = uvicorn.Server(config)
    # The server passes a signal on to whoever had it before, which would make an orderly end look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run([sock])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m wokibrain.serve")
    parser.add_argument(
        "--fd", type=int, help="serve from this one process, on an inherited listening socket"
    )
    descriptor = parser.parse_args(arguments).fd
    if descriptor is not None:
        serve(socket.socket(fileno=descriptor))
        return 0
    try:
        refuse_unsafe(settings)
        sockets = listen()
    except (ImproperlyConfigured, processes.PortTaken) as error:
        print(f"wokibrain: {error}", file=sys.stderr)
        return 1
    if len(sockets) == 1:
        serve(sockets[0])
        return 0
    return Supervisor(programs(sockets), prefix=False).run()


if __name__ == "__main__":
    sys.exit(main())
