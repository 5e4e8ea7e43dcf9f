#!/usr/bin/env python3
"""Django's command line; in development it starts PostgreSQL and Redis for the commands that need them."""

import os
import select
import sys

# These commands use no server, or start the servers themselves.
WITHOUT_SERVERS = frozenset(
    {
        "check",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "help",
        "makemessages",
        "run",
        "spectacular",
        "version",
    }
)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError

    from wokibrain.core.errors import CannotStart
    from wokibrain.postgres import diagnosis

    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_has_left():
            raise
        # The reader of our output, say `head`, has left; what Python flushes at exit must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DatabaseError, ImproperlyConfigured, CannotStart) as error:
        sentence = diagnosis.sentence(error) if isinstance(error, DatabaseError) else str(error)
        if sentence is None or "--traceback" in sys.argv:
            raise
        print(f"wokibrain: {sentence}", file=sys.stderr)
        return 1
    return 0


def reader_has_left() -> bool:
    """Return whether the broken pipe is our standard output and not another one."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in output.poll(0))


def run() -> None:
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.utils.module_loading import import_string

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks_for_help = not {"-h", "--help", "--version"}.isdisjoint(sys.argv)
    if command in WITHOUT_SERVERS or asks_for_help:
        execute_from_command_line(sys.argv)
        return
    with import_string(settings.EMBEDDED_SERVERS)():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
