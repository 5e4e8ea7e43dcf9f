"""Log messages about an unavailable Kafka: the cause, and not too often."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Producer

from wokibrain.events.kafka_connection import Trouble
from wokibrain.events.kafka_outlet import KafkaOutlet, _cause
from wokibrain.events.outlets import OutletDown


def test_alternating_broker_errors_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("relay")
    with caplog.at_level("WARNING", "wokibrain.events.kafka_connection"):
        for _ in range(5):
            for broker in ("one:9092", "two:9092"):
                trouble(KafkaError(KafkaError._TRANSPORT, f"{broker}: Connection refused"))
        trouble(KafkaError(KafkaError._AUTHENTICATION, "one:9092: invalid credentials"))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "relay waits: Kafka: one:9092: Connection refused",
        "relay waits: Kafka: one:9092: invalid credentials",
    ]
    assert trouble.sentence.startswith("one:9092: invalid credentials")


def test_the_reason_of_a_refused_message_precedes_a_connection_error() -> None:
    trouble = Trouble()
    trouble(KafkaError(KafkaError._TRANSPORT, "one:9092: Connection refused"))
    refused = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "Message size too large")
    timed_out = KafkaError(KafkaError._MSG_TIMED_OUT, "Message timed out")
    assert _cause([refused], trouble) == "Message size too large"
    assert _cause([timed_out], trouble) == "one:9092: Connection refused"
    assert _cause([], trouble) == "one:9092: Connection refused"
    assert _cause([timed_out], Trouble()) == "Message timed out"
    assert _cause([], Trouble()) == "no answer"


def test_a_resolved_error_is_not_reported_as_the_cause() -> None:
    outlet = KafkaOutlet()
    outlet._trouble(KafkaError(KafkaError._AUTHENTICATION, "one:9092: invalid credentials"))
    # No process listens there, and the client, without an `error_cb`, does not report it.
    outlet._producer = Producer(
        {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 200, "log_level": 0}
    )
    with pytest.raises(OutletDown) as down:
        outlet._send_all([{"topic": "t", "value": b""}])
    assert str(down.value) == "Kafka: Local: Message timed out"
