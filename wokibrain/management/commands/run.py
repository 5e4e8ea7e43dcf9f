"""`manage.py run`: the whole product with one command."""

import io
import math
import os
import shutil
import socket
import time
import urllib.request
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.utils.module_loading import import_string

from wokibrain import serve
from wokibrain.server.supervisor import Program, Supervisor

# A process of its own, because its task sends webhooks for minutes. Threads, because it mostly waits for other
# people's servers: one for each sender, and one for the sweep. It also runs the clock of periodic tasks (-B), with
# a scheduler that needs no file.
DELIVER = (
    "-m", "celery", "-q", "-A", "wokibrain.celery", "worker", "-n", "deliver@%h", "-Q", "webhook-deliveries",
    "-P", "threads", "-c", str(settings.WEBHOOK_PUMPS + 1), "-B", "--scheduler", "celery.beat:Scheduler",
)  # fmt: skip
# The processes beside the web server. One line here has another one started, restarted and stopped with the rest.
PROGRAMS: tuple[Program, ...] = (
    Program("relay", ("manage.py", "relay")),
    Program("worker", ("-m", "celery", "-q", "-A", "wokibrain.celery", "worker")),
    Program("deliver", DELIVER),
    *((Program("consume", ("manage.py", "consume", "--all")),) if settings.KAFKA_BROKERS else ()),
)

FIRST_ANSWER_SECONDS = 60.0
"""How long the web server may take to answer before the console says that it takes long."""


class Command(BaseCommand):
    help = "Start everything: servers, migrations, sample data, web and workers. Ctrl-C stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        # Before the servers are started: a port that is taken ends the command at once.
        sockets = serve.listen()
        # Ctrl-C before the supervisor runs finds nothing to stop in order.
        with suppress(KeyboardInterrupt), import_string(settings.EMBEDDED_SERVERS)():
            # The child processes take the addresses from here and start no servers of their own.
            os.environ |= {"DATABASE_URL": settings.DATABASE_URL, "REDIS_URL": settings.REDIS_URL}
            credentials = prepare()
            watch = Supervisor([*serve.programs(sockets), *PROGRAMS])
            watch.run(lambda watch: announce(watch, address(sockets[0]), credentials))


def prepare() -> list[str]:
    """Migrate and seed the database; return the lines that tell a developer how to log in, none in production."""
    # Each file is one process's metrics, and the processes of the last run are gone.
    shutil.rmtree(settings.METRICS_DIR, ignore_errors=True)
    settings.METRICS_DIR.mkdir(parents=True, exist_ok=True)
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", interactive=False, verbosity=0)
    output = io.StringIO()
    call_command("seed", first_look=True, stdout=output)
    connections.close_all()
    return output.getvalue().splitlines()


def address(sock: socket.socket) -> str:
    """Return the URL a browser on this machine reaches the socket at."""
    host, port = sock.getsockname()[:2]
    name = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, host)  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def announce(watch: Supervisor, base: str, credentials: list[str]) -> None:
    """Wait for the first answer of the web server, then print the banner."""
    patient_until = time.monotonic() + FIRST_ANSWER_SECONDS
    while not watch.stopping and not answers(f"{base}/health/live"):
        if time.monotonic() > patient_until:
            patient_until = math.inf
            watch.say("wokibrain: the web server does not answer yet; see its output above")
        watch.look_after()
        time.sleep(0.05)
    if not watch.stopping:
        watch.say(banner(base, credentials))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False


def banner(base: str, credentials: list[str]) -> str:
    lines = [
        "",
        "  WokiBrain is running",
        "",
        f"  API       {base}/api/v1",
        f"  Docs      {base}/docs",
        f"  Admin     {base}/admin/",
        *(f"  {line}" for line in credentials),
        "",
        "  Ctrl-C stops it; the data stays.",
        "",
    ]
    return "\n".join(lines)
