"""What is said of a Kafka that is away: the cause, and not over and over."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from wokibrain.events.broker import Trouble


def test_brokers_that_take_turns_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("relay")
    with caplog.at_level("WARNING", "wokibrain.events.broker"):
        for _ in range(5):
            for broker in ("one:9092", "two:9092"):
                trouble(KafkaError(KafkaError._TRANSPORT, f"{broker}: Connection refused"))
        trouble(KafkaError(KafkaError._AUTHENTICATION, "one:9092: invalid credentials"))
    assert [each.getMessage().split(";")[0] for each in caplog.records] == [
        "relay waits: Kafka: one:9092: Connection refused",
        "relay waits: Kafka: one:9092: invalid credentials",
    ]
    assert trouble.sentence.startswith("one:9092: invalid credentials")
