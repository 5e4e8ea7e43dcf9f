"""The web server: `python -m wokibrain.serve`.

Listens on HOST:PORT with WEB_PROCESSES processes of WEB_THREADS threads each. A process that dies is replaced; SIGTERM
lets running requests finish. With `--fd N` it is one of those processes, on the inherited listening socket N.
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
"""How long running requests may take to finish after SIGTERM."""
KEEP_ALIVE_SECONDS = 75
"""Longer than a proxy keeps idle connections, 60 s in many, so that the proxy closes them first."""
MAX_MESSAGE_BYTES = 65_536
"""The largest WebSocket message of a client."""


def web_processes() -> int:
    return env.integer("WEB_PROCESSES", min(4, max(2, os.cpu_count() or 2)), minimum=1, maximum=128)


def listen() -> list[socket.socket]:
    """Return a listening socket on HOST:PORT for each process. Raises PortTaken."""
    return processes.listen(
        env.text("HOST", "127.0.0.1"), env.integer("PORT", 8000, minimum=0, maximum=65_535), web_processes()
    )


def programs(sockets: list[socket.socket]) -> list[Program]:
    """Return the web server's processes, each on a socket of its own."""
    return [
        Program(f"web-{number}", ("-m", "wokibrain.serve", "--fd", str(sock.fileno())), (sock.fileno(),))
        for number, sock in enumerate(sockets, start=1)
    ]


def serve(sock: socket.socket, application: str = "wokibrain.asgi:application") -> None:
    """Serve on the socket until SIGINT or SIGTERM arrives."""
    settings.METRICS_DIR.mkdir(parents=True, exist_ok=True)
    # Read when the application creates its metrics; other processes' metrics are not collected.
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
        # TRUSTED_PROXIES decides which proxies are believed about the client's address.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws_max_size=MAX_MESSAGE_BYTES,
    )
    server = uvicorn.Server(config)
    # After its own shutdown uvicorn raises the signal again for the previous handler; the default one would make an
    # orderly end look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run([sock])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m wokibrain.serve")
    parser.add_argument(
        "--fd", type=int, help="serve from this process, on the inherited listening socket FD"
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
