"""`manage.py rebuild NAME`: make a read model anew from the events."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from wokibrain.events import readmodels


class Command(BaseCommand):
    help = "Rebuild a read model from all events beside the live one, put it in its place, and verify it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="a read model")
        parser.add_argument("--all", action="store_true", help="every read model")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        if bool(names) == options["all"]:
            raise CommandError(f"Name read models, or say --all. There are: {', '.join(readmodels.names())}.")
        for name in readmodels.names() if options["all"] else names:
            try:
                result = readmodels.rebuild(name, self._progress)
            except (readmodels.UnknownReadModel, readmodels.RebuildRunning) as error:
                raise CommandError(f"{error}.") from None
            wrong = readmodels.differences(name)
            seconds = (result.finished_at - result.started_at).total_seconds()
            self.stdout.write(
                f"{name}: {result.events} events in {seconds:.1f} s, {result.repaired} rows changed"
            )
            if wrong:
                raise CommandError(f"{name}: {wrong} rows still differ from the events.")

    def _progress(self, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        share = done / total if total else 1.0
        bar = "#" * round(share * 40)
        self.stderr.write(f"\r[{bar:<40}] {done}/{total}", ending="\n" if done >= total else "")
