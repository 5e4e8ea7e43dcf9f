"""Where Kafka runs, deliveries are announced on their topic and wake the senders from there."""

from __future__ import annotations

import json
import threading
import time

import pytest
from pytest_django import Settings

from tests import kafka as brokers
from tests.webhooks import support
from webhooks import kafka
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a broker of its own."""
    monkeypatch.setattr(kafka, "_producers", {})


def test_announced_deliveries_wake_a_sender_once_committed(settings: Settings) -> None:
    with brokers.mock() as broker:
        settings.KAFKA_BROKERS = broker.address
        # The mock makes what it is asked about, and knows no other way.
        broker.admin().list_topics(kafka.TOPIC, timeout=10)
        hook = support.webhook("https://example.com/")
        event = support.happen()
        sent = Delivery.objects.get()
        stop, woken = threading.Event(), threading.Event()
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(kafka.read(stop, woken.set)))
        reader.start()
        try:
            assert woken.wait(30)
        finally:
            stop.set()
            reader.join(30)
        assert seen == [1]
        (message,) = broker.read(kafka.TOPIC)
        assert message.key() == str(hook.pk).encode()
        assert json.loads(message.value() or b"") == {
            "deliveryId": str(sent.pk),
            "webhookId": str(hook.pk),
            "eventId": str(event.event_id),
        }


def test_broker_that_is_away_loses_no_delivery(settings: Settings) -> None:
    settings.KAFKA_BROKERS = f"127.0.0.1:{support.free_port()}"
    support.webhook("https://example.com/")
    began = time.monotonic()
    support.happen()
    assert time.monotonic() - began < 2
    assert Delivery.objects.get().status == "PENDING"
