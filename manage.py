#!/usr/bin/env python3
"""Django's command line, with Postgres and Redis brought along for commands that need them."""

import os
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
    from django.core.management import execute_from_command_line

    from wokibrain import embedded

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    asks_for_help = not {"-h", "--help", "--version"}.isdisjoint(sys.argv)
    if command in SELF_SUFFICIENT or asks_for_help or not embedded.needed():
        execute_from_command_line(sys.argv)
        return 0
    try:
        embedded.start()
    except embedded.EmbeddedError as error:
        print(f"wokibrain: {error}", file=sys.stderr)
        return 1
    try:
        execute_from_command_line(sys.argv)
    finally:
        embedded.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
