"""Kafka with TLS and passwords: right settings publish events; wrong ones delay them and are reported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
import redis

from bookings.event_types import BOOKING
from tests.kafka import PASSWORD, USER, Secured
from tests.pipeline import Pipeline, event_row
from tests.processes import Services, manage, private_services
from wokibrain.core.ids import uuid7

pytestmark = [pytest.mark.kafka, pytest.mark.fault]

WRONG = "Tr0ub4dor-and-3"


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.fixture(autouse=True)
def fresh(services: Services, secured_kafka: Secured) -> None:
    redis.Redis.from_url(services.redis.url).flushall()
    secured_kafka.reset()


def with_password(broker: Secured, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    return {
        "KAFKA_BROKERS": broker.sasl,
        "KAFKA_SSL": "true",
        "KAFKA_SSL_CA": str(broker.ca),
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }


def with_tls(broker: Secured) -> dict[str, str]:
    return {"KAFKA_BROKERS": broker.tls, "KAFKA_SSL": "true", "KAFKA_SSL_CA": str(broker.ca)}


def write(pipeline: Pipeline, count: int) -> None:
    pipeline.append_many([event_row(str(uuid7())) for _ in range(count)])


def all_arrived(pipeline: Pipeline, broker: Secured, count: int) -> None:
    """Assert that each event went through the broker and took effect once."""
    pipeline.until_settled()
    messages = broker.read(BOOKING.kafka)
    assert len({message.key() for message in messages}) == count
    assert pipeline.value("SELECT count(*) FROM events_auditentry") == count
    assert pipeline.value("SELECT sum(bookings) FROM bookings_bookinghour") == count
    manage("verify", environment=pipeline.settings)


@pytest.mark.parametrize(
    "way", ["SCRAM-SHA-512", *(pytest.param(way, marks=pytest.mark.slow) for way in ("PLAIN", "TLS alone"))]
)
def test_events_are_published_with_the_right_settings(
    services: Services, secured_kafka: Secured, way: str
) -> None:
    right = with_tls(secured_kafka) if way == "TLS alone" else with_password(secured_kafka, way)
    with Pipeline(services, environment=right) as pipeline:
        pipeline.start("relay", "consume", "worker")
        write(pipeline, 20)
        all_arrived(pipeline, secured_kafka, 20)
        assert json.loads(manage("status", "--json", environment=pipeline.settings))["kafka"] == "ok"


def wrong(case: str, broker: Secured) -> Mapping[str, str]:
    right = with_password(broker)
    return {
        "password": right | {"KAFKA_SASL_PASSWORD": WRONG},
        "authority": right | {"KAFKA_SSL_CA": str(broker.other_ca)},
        "no such file": right | {"KAFKA_SSL_CA": str(broker.folder / "nowhere.pem")},
        "no TLS": {"KAFKA_BROKERS": broker.tls},
        "TLS to one without": right | {"KAFKA_BROKERS": broker.address},
        "no password": with_tls(broker) | {"KAFKA_BROKERS": broker.sasl},
        "mechanism": right | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
    }[case]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("password", ["invalid credentials", "KAFKA_SASL_PASSWORD"]),
        pytest.param("authority", ["certificate verify failed", "KAFKA_SSL_CA"], marks=pytest.mark.slow),
        pytest.param("no TLS", ["hangs up", "KAFKA_SSL"], marks=pytest.mark.slow),
    ],
)
def test_events_wait_until_wrong_settings_are_corrected(
    services: Services, secured_kafka: Secured, case: str, says: list[str]
) -> None:
    with Pipeline(services, environment=with_password(secured_kafka)) as pipeline:
        broken = dict(wrong(case, secured_kafka))
        off = dict.fromkeys((name for name in with_password(secured_kafka) if name not in broken), "")
        started = [pipeline.process(name, **off, **broken) for name in ("relay", "consume")]
        for process in started:
            process.start()
        relay = started[0]
        write(pipeline, 5)
        # It keeps retrying.
        pipeline.until(lambda: relay.output().count("events wait: Kafka: ") >= 2)
        for process in started:
            pipeline.until(lambda process=process: all(word in process.output() for word in says))  # type: ignore[misc]
        output = manage("status", environment=pipeline.settings | off | broken)
        (line,) = (line for line in output.splitlines() if line.startswith("kafka  "))
        assert [word for word in says if word not in line] == []
        assert "outbox       5 events" in output
        outputs = output + "".join(process.output() for process in started)
        assert "Traceback" not in outputs
        assert [secret for secret in (PASSWORD, WRONG) if secret in outputs] == []
        assert [process.stop() for process in started] == [0, 0]

        pipeline.start("relay", "consume", "worker")
        all_arrived(pipeline, secured_kafka, 5)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no such file", "KAFKA_SSL_CA"),
        ("TLS to one without", "KAFKA_SSL and"),
        ("no password", "KAFKA_SASL_MECHANISM"),
        ("mechanism", "supported mechanisms: PLAIN,SCRAM-SHA-512"),
    ],
)
def test_status_names_the_setting_to_check(
    services: Services, secured_kafka: Secured, case: str, says: str
) -> None:
    with Pipeline(services, environment=wrong(case, secured_kafka)) as pipeline:
        state = json.loads(manage("status", "--json", environment=pipeline.settings))["kafka"]
    assert says in state
    assert PASSWORD not in state
