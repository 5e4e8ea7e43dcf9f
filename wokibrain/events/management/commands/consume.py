"""`manage.py consume GROUP... | --all`: read Kafka for these consumer groups."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from wokibrain.core import startup
from wokibrain.events import kafka_groups, registry, signals
from wokibrain.events.types import Group


class Command(BaseCommand):
    help = "Read events from Kafka and hand them to the consumers of these groups."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(Group))
        parser.add_argument("--all", action="store_true", help="all groups that have a consumer")

    def handle(self, *args: Any, groups: list[str], **options: Any) -> None:
        if not settings.KAFKA_BROKERS:
            raise CommandError(
                "KAFKA_BROKERS is not set: the relay feeds the consumers itself, there is nothing to read."
            )
        there = registry.groups()
        if bool(groups) == options["all"]:
            raise CommandError(f"Name groups, or say --all. There are: {', '.join(there)}.")
        if unknown := set(groups) - set(there):
            raise CommandError(f"No such group: {', '.join(sorted(unknown))}. There are: {', '.join(there)}.")
        selected = there if options["all"] else [Group(name) for name in groups]
        self.stderr.write(f"consume: {', '.join(selected)} from {settings.KAFKA_BROKERS}")
        stop = signals.until_stopped()
        startup.run()
        kafka_groups.consume(selected, stop)
        self.stderr.write("consume: stopped")
