"""Webhooks: their secrets, and how deliveries are sent, retried and kept."""

from wokibrain.core import env

WEBHOOK_SECRET_KEYS = env.items("WEBHOOK_SECRET_KEYS", ["development-only-webhook-secret-key"])
"""Keys that encrypt webhook secrets at rest: the first encrypts, all decrypt."""
WEBHOOK_ALLOW_PRIVATE = env.flag("WEBHOOK_ALLOW_PRIVATE", False)
"""Deliver to this machine and to private networks too; for development, refused in production."""
WEBHOOK_TIMEOUT_SECONDS = env.seconds("WEBHOOK_TIMEOUT_SECONDS", 10, minimum=0.1, maximum=60)
WEBHOOK_QUICK_ATTEMPTS = env.numbers("WEBHOOK_QUICK_ATTEMPTS", [0, 1, 2, 4])
"""When the first attempts are due, in seconds from the first one."""
WEBHOOK_RETRY_PAUSES = env.numbers(
    "WEBHOOK_RETRY_PAUSES", [300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
)
"""Seconds to wait after each attempt from then on, +-20 %."""
WEBHOOK_CONCURRENCY = env.integer("WEBHOOK_CONCURRENCY", 10, minimum=1, maximum=100)
"""Deliveries to one webhook that may be under way at the same time."""
WEBHOOK_BREAKER_FAILURES = env.integer("WEBHOOK_BREAKER_FAILURES", 5, minimum=1)
"""Failures in a row after which an endpoint is only probed, one delivery at a time."""
WEBHOOK_BREAKER_SECONDS = env.seconds("WEBHOOK_BREAKER_SECONDS", 5, minimum=0.1)
"""The pause between the first two probes; it doubles up to a minute."""
WEBHOOK_PUMPS_MOST = 16
WEBHOOK_PUMPS = env.integer("WEBHOOK_PUMPS", 1, minimum=1, maximum=WEBHOOK_PUMPS_MOST)
"""Senders that work at the same time, over all processes and hosts; each occupies a thread of its process."""
WEBHOOK_GRACE_HOURS = env.seconds("WEBHOOK_GRACE_HOURS", 24)
WEBHOOK_HOLD_HOURS = env.seconds("WEBHOOK_HOLD_HOURS", 72)
WEBHOOK_FAILING_HOURS = env.seconds("WEBHOOK_FAILING_HOURS", 120)
WEBHOOK_RETENTION_DAYS = env.integer("WEBHOOK_RETENTION_DAYS", 30, minimum=1)
WEBHOOK_LIMIT = env.integer("WEBHOOK_LIMIT", 100, minimum=1)
"""Webhooks a restaurant may have."""
