"""`manage.py status`: how far the events have come."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from wokibrain.core import zones
from wokibrain.events import kafka_connection, status


class Command(BaseCommand):
    help = "Show the outbox, Kafka where it is used, the time-zone rules, consumers' lags, dead letters, rebuilds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        now = status.status()
        kafka = kafka_connection.state() if settings.KAFKA_BROKERS else None
        if options["json"]:
            facts = asdict(now) | {
                "kafka": kafka,
                "zones": zones.release(),
                "zones_of_data": zones.derived_with(),
            }
            self.stdout.write(json.dumps(facts, default=str))
            return
        self.stdout.write(f"relay        {'active' if now.relay_active else 'NOT RUNNING'}")
        self.stdout.write(f"outbox       {now.unpublished} events, oldest {now.outbox_age_seconds:.1f} s")
        if kafka is not None:
            self.stdout.write(f"kafka        {kafka}")
        self.stdout.write(f"zones        {zones.release()}, instants by {zones.derived_with() or 'unknown'}")
        self.stdout.write("")
        self.stdout.write(
            f"{'consumer':<14}{'group':<20}{'behind':>8}{'lag s':>9}{'retrying':>10}{'dead':>6}"
        )
        for one in now.consumers:
            self.stdout.write(
                f"{one.name:<14}{one.group:<20}{one.behind:>8}{one.lag_seconds:>9.1f}{one.retrying:>10}{one.dead:>6}"
            )
        if now.unreadable:
            self.stdout.write(
                f"\n{now.unreadable} messages from Kafka that are no events: `manage.py deadletters list`"
            )
        self.stdout.write("")
        for name, finished in now.rebuilds.items():
            self.stdout.write(
                f"rebuilt      {name:<14}{finished:%Y-%m-%d %H:%M:%S}"
                if finished
                else f"rebuilt      {name:<14}never"
            )
