"""Kafka, the relay, and live updates."""

from wokibrain.core import env

KAFKA_BROKERS = env.text("KAFKA_BROKERS")
"""Comma-separated host:port; when empty, the relay hands events to the consumers itself."""
KAFKA_SSL = env.flag("KAFKA_SSL", False)
KAFKA_SSL_CA = env.text("KAFKA_SSL_CA")
KAFKA_SASL_MECHANISM = env.choice("KAFKA_SASL_MECHANISM", "", ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
KAFKA_SASL_USERNAME = env.text("KAFKA_SASL_USERNAME")
KAFKA_SASL_PASSWORD = env.text("KAFKA_SASL_PASSWORD")
KAFKA_PARTITIONS = env.integer("KAFKA_PARTITIONS", 6, minimum=1)
"""Partitions of the topics that the product creates; existing topics keep theirs."""
EVENTS_REDRIVE_SECONDS = env.seconds("EVENTS_REDRIVE_SECONDS", 60, minimum=1)
"""How long an event may go without a receipt before it is handed on again."""
EVENTS_RETRY_SECONDS = env.seconds("EVENTS_RETRY_SECONDS", 1, minimum=0.01)
"""The pause after a consumer's first failure with an event; it doubles each time."""

LIVE_ANNOUNCE_SECONDS = env.seconds("LIVE_ANNOUNCE_SECONDS", 20, minimum=0.1)
"""How often a process announces its open boards; after two and a half intervals of silence they count as closed."""
LIVE_RECHECK_SECONDS = env.seconds("LIVE_RECHECK_SECONDS", 30, minimum=0.1)
"""How long a socket may still receive after its key was revoked, its token expired or its user left the staff."""
