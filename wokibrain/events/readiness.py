"""Whether Kafka answers, for /health/ready."""

from __future__ import annotations

from django.conf import settings

from wokibrain.core.readiness import State


def kafka() -> State:
    """Return OFF without KAFKA_BROKERS; `manage.py status` says what is wrong when this is DEGRADED."""
    if not settings.KAFKA_BROKERS:
        return State.OFF
    # Loading Kafka's client takes a fifth of a second, which only installations that use it should pay for.
    from wokibrain.events import kafka_connection

    return State.OK if kafka_connection.recently_ok() else State.DEGRADED
