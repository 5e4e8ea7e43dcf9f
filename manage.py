#!/usr/bin/env python3
"""Django's command line, with Postgres and Redis brought along for commands that need them."""

import os
import select
import sys

SELF_SUFFICIENT = frozenset(
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

    from wokibrain.embedded import EmbeddedError
    from wokibrain.postgres import diagnosis

    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_gone():
            raise
        # Whoever read our output has seen enough; the rest, flushed at exit, is to go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DatabaseError, ImproperlyConfigured, EmbeddedError) as error:
        said = diagnosis.sentence(error) if isinstance(error, DatabaseError) else str(error)
        if said is None or "--traceback" in sys.argv:
            raise
        print(f"wokibrain: {said}", file=sys.stderr)
        return 1
    return 0


def reader_gone() -> bool:
    """Whether it was the pipe of our output that broke, and not one to somebody else."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in output.poll(0))


def run() -> None:
    from django.core.management import execute_from_command_line

    from wokibrain import embedded

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks_for_help = not {"-h", "--help", "--version"}.isdisjoint(sys.argv)
    if command in SELF_SUFFICIENT or asks_for_help or not embedded.needed():
        execute_from_command_line(sys.argv)
        return
    embedded.start()
    try:
        execute_from_command_line(sys.argv)
    finally:
        embedded.stop()


if __name__ == "__main__":
    sys.exit(main())
