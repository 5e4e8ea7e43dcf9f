"""`manage.py relay`: hand committed events on; see wokibrain/events/relay.py."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from wokibrain.core import startup
from wokibrain.events import signals
from wokibrain.events.kafka_outlet import KafkaOutlet
from wokibrain.events.outlets import DirectOutlet, Outlet
from wokibrain.events.relay import MAX_BATCH, Relay


class Command(BaseCommand):
    help = (
        "Hand committed events on: to Kafka where KAFKA_BROKERS is set, else straight to the consumers. "
        "Run as many as you like; one is active, the others take over when it ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=MAX_BATCH, help=f"events at a time (default {MAX_BATCH})"
        )

    def handle(self, *args: Any, batch: int, **options: Any) -> None:
        if batch < 1:
            raise CommandError("--batch must be at least 1.")
        where = f"Kafka at {settings.KAFKA_BROKERS}" if settings.KAFKA_BROKERS else "the consumers themselves"
        self.stderr.write(f"relay: to {where}")
        relay = Relay(outlet(), batch=batch)
        stop = signals.until_stopped()
        startup.run()
        relay.run(stop)
        self.stderr.write(f"relay: stopped, {relay.sent} events handed on")


def outlet() -> Outlet:
    """Return Kafka where KAFKA_BROKERS names a broker, else the consumers themselves."""
    return KafkaOutlet() if settings.KAFKA_BROKERS else DirectOutlet()
