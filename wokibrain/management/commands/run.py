"""`manage.py run`: the whole product with one command."""

import os
import shutil
import socket
import sys
import time
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from wokibrain import embedded, serve
from wokibrain.server import sockets as processes
from wokibrain.server.supervisor import Program, Supervisor

# Beside the web server. One line makes another process of the product run, be watched and be stopped.
# Threads, because its work is to wait for others: one for each pump, and one for the sweep. With the clock of
# periodic tasks, which needs no file of its own.
DELIVER = (
    "-m", "celery", "-q", "-A", "wokibrain.celery", "worker", "-n", "deliver@%h", "-Q", "webhook-deliveries",
    "-P", "threads", "-c", str(settings.WEBHOOK_PUMPS + 1), "-B", "--scheduler", "celery.beat:Scheduler",
)  # fmt: skip
PROGRAMS: tuple[Program, ...] = (
    Program("relay", ("manage.py", "relay")),
    Program("worker", ("-m", "celery", "-q", "-A", "wokibrain.celery", "worker")),
    Program("deliver", DELIVER),
    *((Program("consume", ("manage.py", "consume", "--all")),) if settings.KAFKA_BROKERS else ()),
)

READY_TIMEOUT = 60.0


class Command(BaseCommand):
    help = "Start everything: servers, migrations, sample data, web and workers. Ctrl-C stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sockets = serve.listen()
        except processes.PortTaken as error:
            sys.exit(f"wokibrain: {error}")
        try:
            if embedded.needed():
                embedded.start()
            # Said to the children, who then need not know where it comes from.
            os.environ |= {"DATABASE_URL": settings.DATABASE_URL, "REDIS_URL": settings.REDIS_URL}
            prepare()
            watch = Supervisor([*serve.programs(sockets), *PROGRAMS])
            watch.run(lambda watch: announce(watch, address(sockets[0])))
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            # Before there was anything to stop in order.
            pass
        finally:
            embedded.stop()


def prepare() -> None:
    """Bring the database to the current state, and fill it when there is nothing in it."""
    # Numbers of processes that are no more.
    shutil.rmtree(settings.METRICS_DIR, ignore_errors=True)
    settings.METRICS_DIR.mkdir(parents=True, exist_ok=True)
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", interactive=False, verbosity=0)
    if settings.ENVIRONMENT != "production" and not has_data():
        call_command("seed", verbosity=0)
    connections.close_all()


def has_data() -> bool:
    from restaurants.models import Restaurant

    return Restaurant.objects.exists()


def address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, host)  # noqa: S104
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def announce(watch: Supervisor, base: str) -> None:
    """Wait until the first request is answered, then say where everything is."""
    deadline = time.monotonic() + READY_TIMEOUT
    while not watch.stopping and not answers(f"{base}/health/live"):
        if time.monotonic() > deadline:
            watch.say("wokibrain: the web server does not answer yet; see its output above")
            return
        watch.look_after()
        time.sleep(0.05)
    if not watch.stopping:
        watch.say(banner(base))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False


def banner(base: str) -> str:
    lines = [
        "",
        "  WokiBrain is running",
        "",
        f"  API       {base}/api/v1",
        f"  Docs      {base}/docs",
        f"  Admin     {base}/admin/",
        *credentials(),
        "",
        "  Ctrl-C stops it; the data stays.",
        "",
    ]
    return "\n".join(lines)


def credentials() -> list[str]:
    """The key and the login the sample data comes with; nothing in production."""
    if settings.ENVIRONMENT == "production":
        return []
    from bookings.sample_data import example

    look = example.first_look()
    connections.close_all()
    return [f"  API key   {look.api_key}", f"  Login     {look.username} / {look.password}"]
