"""How to reach Kafka, and why it cannot be reached, in a sentence for operators."""

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

ANSWER_SECONDS: Final = 5.0
"""How long a broker has to list its topics."""
TOPIC_CREATION_SECONDS: Final = 10
FRESH_SECONDS: Final = 5.0
"""How long /health/ready believes the last probe: anyone may ask for it at any rate."""
PROBE_SECONDS: Final = 1.0
"""How long that probe may take."""
LOG_EVERY_SECONDS: Final = 60
"""The same kind of trouble is logged once in this time."""

# "(after 310ms in state AUTH_REQ)" would make every line a new one.
_NOISE: Final = re.compile(r" \(after \d+ms in state \w+.*\)$")
_SETTING_NAMES: Final = (
    ("ssl.ca.location", "KAFKA_SSL_CA"),
    ("sasl.mechanism", "KAFKA_SASL_MECHANISM"),
    ("sasl.username", "KAFKA_SASL_USERNAME"),
    ("sasl.password", "KAFKA_SASL_PASSWORD"),
)


class Trouble:
    """The last error of a client's connection; pass it to the client as ``error_cb``. It never holds a password.

    With a name, errors are logged too: each kind once in LOG_EVERY_SECONDS, whichever broker it is about.
    """

    def __init__(self, name: str = "") -> None:
        self.sentence = ""
        self._name = name
        self._kind = 0
        self._again_at: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        # That all brokers are down adds nothing to an earlier, more exact error.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.sentence:
            self.sentence, self._kind = explain(error), error.code()
        now = time.monotonic()
        if self._name and now >= self._again_at.get(self._kind, 0.0):
            self._again_at[self._kind] = now + LOG_EVERY_SECONDS
            log.warning("%s waits: Kafka: %s", self._name, self.sentence)


def explain(error: KafkaError) -> str:
    """Return what is wrong, with the settings to look at."""
    code, text = error.code(), _NOISE.sub("", error.str())
    for theirs, ours in _SETTING_NAMES:
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
    """Return the part of a client's configuration that reaches the brokers: address, TLS and SASL."""
    sasl = bool(settings.KAFKA_SASL_MECHANISM)
    conf: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "client.id": "wokibrain",
        "security.protocol": ("SASL_" if sasl else "") + ("SSL" if settings.KAFKA_SSL else "PLAINTEXT"),
        # So that a deleted or recreated topic is noticed within seconds, not minutes.
        "topic.metadata.refresh.interval.ms": 5_000,
        "reconnect.backoff.max.ms": 2_000,
        # The client's own lines bypass our log, several a second while a broker is away; see ``Trouble``.
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


def ensure_topics(*names: str, timeout: float = ANSWER_SECONDS) -> None:
    """Create those of these topics that are missing; without names, only check that a broker answers.

    Raises ``OutletDown`` when none does within ``timeout`` seconds.
    """
    trouble = Trouble()
    try:
        admin = AdminClient(
            connection_settings(settings.KAFKA_BROKERS) | {"socket.timeout.ms": 5_000, "error_cb": trouble}
        )
    except KafkaException as error:
        raise OutletDown(f"Kafka: {explain(error.args[0])}") from error
    try:
        existing = admin.list_topics(timeout=timeout).topics
        missing = [NewTopic(name, settings.KAFKA_PARTITIONS) for name in names if name not in existing]
        for future in (admin.create_topics(missing) if missing else {}).values():
            try:
                future.result(timeout=TOPIC_CREATION_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    except KafkaException as error:
        admin.poll(0)
        raise OutletDown(f"Kafka: {trouble.sentence or explain(error.args[0])}") from error


def event_topics() -> list[str]:
    """Return the names of the topics of events and of their dead letters."""
    return [name for topic in types.topics() for name in (topic.kafka, topic.dead_letters)]


def state(timeout: float = ANSWER_SECONDS) -> str:
    """Return "ok", or what is wrong in a sentence."""
    try:
        ensure_topics(timeout=timeout)
    except OutletDown as error:
        return str(error).removeprefix("Kafka: ")
    return "ok"


_probing: Final = threading.Lock()
_last_probe: tuple[str, bool, float] = ("", False, 0.0)
"""The brokers that were probed, whether one answered, and until when that counts."""


def recently_ok() -> bool:
    """Whether a broker answers, or did within FRESH_SECONDS.

    One thread of the process probes, for PROBE_SECONDS at most; meanwhile the others return the last result.
    """
    global _last_probe
    brokers, ok, until = _last_probe
    same = brokers == settings.KAFKA_BROKERS
    if (same and time.monotonic() < until) or not _probing.acquire(blocking=False):
        return same and ok
    try:
        ok = state(timeout=PROBE_SECONDS) == "ok"
        _last_probe = (settings.KAFKA_BROKERS, ok, time.monotonic() + FRESH_SECONDS)
    finally:
        _probing.release()
    return ok
