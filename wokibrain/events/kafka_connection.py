"""How Kafka is reached, and in a sentence what is wrong when it is not."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from django.conf import settings

from wokibrain.events import types
from wokibrain.events.outlets import OutletDown

log = logging.getLogger(__name__)

ANSWER: Final = 5.0
"""Seconds a broker has to tell what topics there are."""
RECENT: Final = 5.0
PROBE: Final = 1.0

# "(after 310ms in state AUTH_REQ)" would make every line a new one.
_NOISE: Final = re.compile(r" \(after \d+ms in state \w+.*\)$")
_OURS: Final = (
    ("ssl.ca.location", "KAFKA_SSL_CA"),
    ("sasl.mechanism", "KAFKA_SASL_MECHANISM"),
    ("sasl.username", "KAFKA_SASL_USERNAME"),
    ("sasl.password", "KAFKA_SASL_PASSWORD"),
)


class Trouble:
    """What a client last said of its connection; to be its ``error_cb``. Clients never say a password.

    With a name it is logged too: each kind of trouble once a minute, whichever broker it is with.
    """

    def __init__(self, name: str = "") -> None:
        self.sentence = ""
        self._name = name
        self._kind = 0
        self._again_at: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        # That all brokers are down says nothing that was not said, unless nothing was.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.sentence:
            self.sentence, self._kind = explain(error), error.code()
        now = time.monotonic()
        if self._name and now >= self._again_at.get(self._kind, 0.0):
            self._again_at[self._kind] = now + 60
            log.warning("%s waits: Kafka: %s", self._name, self.sentence)


def explain(error: KafkaError) -> str:
    """What is wrong, with the settings to look at."""
    code, text = error.code(), _NOISE.sub("", error.str())
    for theirs, ours in _OURS:
        text = text.replace(theirs, ours)
    if code == KafkaError._AUTHENTICATION:
        return (
            f"{text}; look at KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, "
            "and whether KAFKA_BROKERS names the listener that takes them"
        )
    if code == KafkaError._SSL or "SSL" in text:
        return f"{text}; look at KAFKA_SSL and KAFKA_SSL_CA"
    if code == KafkaError._ALL_BROKERS_DOWN:
        return (
            f"{settings.KAFKA_BROKERS} hangs up: it is ending, or wants TLS or a password and gets none; "
            "look at KAFKA_SSL and KAFKA_SASL_MECHANISM"
        )
    if code == KafkaError._INVALID_ARG:
        return f"{text}; look at the settings KAFKA_SSL_CA and KAFKA_SASL_*"
    return text or str(error.name())


def connection_settings(brokers: str) -> dict[str, Any]:
    """How to reach the brokers: address, TLS and SASL as the settings have it."""
    sasl = bool(settings.KAFKA_SASL_MECHANISM)
    conf: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "client.id": "wokibrain",
        "security.protocol": ("SASL_" if sasl else "") + ("SSL" if settings.KAFKA_SSL else "PLAINTEXT"),
        # A topic that was deleted or made again is noticed within seconds, not minutes.
        "topic.metadata.refresh.interval.ms": 5_000,
        "reconnect.backoff.max.ms": 2_000,
        # Its own lines go past our log, several a second while a broker is away; see ``Trouble``.
        "log_level": 2,
    }
    if sasl:
        conf |= {
            "sasl.mechanism": settings.KAFKA_SASL_MECHANISM,
            "sasl.username": settings.KAFKA_SASL_USERNAME,
            "sasl.password": settings.KAFKA_SASL_PASSWORD,
        }
    if settings.KAFKA_SSL_CA:
        conf["ssl.ca.location"] = settings.KAFKA_SSL_CA
    return conf


def ensure_topics(*names: str, timeout: float = ANSWER) -> None:
    """Make those topics that are missing; none named: only ask. Raises ``OutletDown`` when no broker answers."""
    trouble = Trouble()
    try:
        admin = AdminClient(
            connection_settings(settings.KAFKA_BROKERS) | {"socket.timeout.ms": 5_000, "error_cb": trouble}
        )
    except KafkaException as error:
        raise OutletDown(f"Kafka: {explain(error.args[0])}") from error
    try:
        there = admin.list_topics(timeout=timeout).topics
        wanted = [NewTopic(name, settings.KAFKA_PARTITIONS) for name in names if name not in there]
        for future in (admin.create_topics(wanted) if wanted else {}).values():
            try:
                future.result(timeout=10)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    except KafkaException as error:
        admin.poll(0)
        raise OutletDown(f"Kafka: {trouble.sentence or explain(error.args[0])}") from error


def event_topics() -> list[str]:
    """The topics of events and of their dead letters."""
    return [name for topic in types.topics() for name in (topic.kafka, topic.dead_letters)]


def state(timeout: float = ANSWER) -> str:
    """ "ok", or what is wrong in a sentence."""
    try:
        ensure_topics(timeout=timeout)
    except OutletDown as error:
        return str(error).removeprefix("Kafka: ")
    return "ok"


_asking: Final = threading.Lock()
_told: tuple[str, bool, float] = ("", False, 0.0)
"""Which brokers were asked last, whether they answered, and until when that is believed."""


def recently_ok() -> bool:
    """Whether the brokers answer, or did within RECENT seconds, for what anybody may ask as often as they like.

    One thread of the process asks, for PROBE seconds at most; meanwhile the others are told what was known.
    """
    global _told
    brokers, ok, until = _told
    known = brokers == settings.KAFKA_BROKERS
    if (known and time.monotonic() < until) or not _asking.acquire(blocking=False):
        return known and ok
    try:
        ok = state(timeout=PROBE) == "ok"
        _told = (settings.KAFKA_BROKERS, ok, time.monotonic() + RECENT)
    finally:
        _asking.release()
    return ok
