"""`manage.py read_deliveries`: wake the senders for what is announced on Kafka."""

from typing import Any

from confluent_kafka import KafkaException
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from webhooks import kafka, tasks
from wokibrain.events import signals


class Command(BaseCommand):
    help = "Read the topic of webhook deliveries and have them sent. Only where KAFKA_BROKERS is set."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.KAFKA_BROKERS:
            raise CommandError("KAFKA_BROKERS is not set: deliveries are queued without Kafka.")
        try:
            count = kafka.read(signals.until_stopped(), tasks.call)
        except KafkaException as error:
            raise CommandError(f"Kafka does not answer: {error}") from None
        self.stderr.write(f"{count} deliveries announced")
