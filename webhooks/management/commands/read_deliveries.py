"""`manage.py read_deliveries`: wake the senders for what is announced on Kafka."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from webhooks import kafka, tasks
from wokibrain.events import signals
from wokibrain.events.relay import OutletDown

AFTER_TROUBLE = 5.0


class Command(BaseCommand):
    help = "Read the topic of webhook deliveries and have them sent. Only where KAFKA_BROKERS is set."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.KAFKA_BROKERS:
            raise CommandError("KAFKA_BROKERS is not set: deliveries are queued without Kafka.")
        stop = signals.until_stopped()
        count = 0
        while not stop.is_set():
            try:
                count += kafka.read(stop, tasks.call)
            except OutletDown as error:
                self.stderr.write(f"read_deliveries waits: {error}")
                stop.wait(AFTER_TROUBLE)
        self.stderr.write(f"{count} deliveries announced")
