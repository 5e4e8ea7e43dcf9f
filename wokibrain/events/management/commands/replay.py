"""`manage.py replay`: walk through what happened, up to an instant."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from wokibrain.events import store, types


class Command(BaseCommand):
    help = "Print the stored events in order, one JSON object a line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--until", help="an instant, e.g. 2025-10-22T20:00:00-03:00; later events are left out"
        )
        parser.add_argument(
            "--after", type=int, default=0, metavar="POSITION", help="only behind this position"
        )
        parser.add_argument(
            "--aggregate", metavar="KIND/ID", help="only of one aggregate, e.g. booking/0199..."
        )
        parser.add_argument(
            "--kind", choices=types.topics(), action="append", help="only of this kind of aggregate"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        until = _instant(options["until"]) if options["until"] else None
        kinds = options["kind"] or []
        aggregate_id = None
        if options["aggregate"]:
            if kinds:
                raise CommandError("--aggregate names a kind already; say it or --kind, not both.")
            kind, slash, aggregate_id = options["aggregate"].partition("/")
            if not slash:
                raise CommandError("--aggregate takes KIND/ID, e.g. booking/0199...")
            if kind not in types.topics():
                raise CommandError(f"No such kind: {kind}. There are: {', '.join(types.topics())}.")
            kinds = [kind]
        for event in store.stream(
            aggregate_types=kinds, aggregate_id=aggregate_id, after=options["after"], until=until
        ):
            self.stdout.write(event.to_bytes().decode())


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text} is not an instant such as 2025-10-22T20:00:00-03:00.") from None
    return instant if instant.tzinfo else timezone.make_aware(instant)
