"""PostgreSQL and Redis."""

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from wokibrain.core import env
from wokibrain.settings.base import PRODUCTION

DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL")
EMBEDDED_SERVERS = "contextlib.nullcontext"
"""A context manager that keeps the embedded servers running; commands enter it."""
if not PRODUCTION:
    from wokibrain import embedded

    EMBEDDED_SERVERS = "wokibrain.embedded.running"
    DATABASE_URL = DATABASE_URL or embedded.database_url()
    REDIS_URL = REDIS_URL or embedded.redis_url()

BROKER_URL = env.text("BROKER_URL")
"""The Redis database of Celery's queues; when empty, the one after REDIS_URL's."""

DATABASES: dict[str, dict[str, Any]] = {"default": {}}
if DATABASE_URL:
    DATABASES["default"] = env.database(
        DATABASE_URL,
        {
            "application_name": "wokibrain",
            "connect_timeout": 2,
            "options": "-c statement_timeout=15s -c idle_in_transaction_session_timeout=60s",
        },
    )
    DATABASES["default"] |= {
        "ENGINE": "wokibrain.postgres",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    # Options of Django and psycopg that a libpq URL cannot express.
    DATABASES["default"]["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": 3}

REDIS_TIMEOUT_MS = env.integer("REDIS_TIMEOUT_MS", 100, minimum=1)
"""How long a request waits for one answer of Redis before it goes on without."""
REDIS_COOL_DOWN_MS = env.integer("REDIS_COOL_DOWN_MS", 1_000, minimum=1)
"""How long Redis is left alone after a failure; up to eight times as long while failures go on."""
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL or "redis://unset",
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_MS / 1000,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT_MS / 1000,
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        },
    },
}
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL or "redis://unset"], "prefix": "wokibrain"},
    }
}
"""Carries events to the sockets of other processes; a board that reconnects catches up on what it dropped."""
