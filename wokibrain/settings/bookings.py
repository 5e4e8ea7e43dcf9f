"""Locks, the cache of days, and how long guests are kept."""

from wokibrain.core import env

LOCK_TTL_MS = env.integer("LOCK_TTL_MS", 5_000, minimum=100)
"""How long a lock on a sector's day lives in Redis unless it is released."""
LOCK_WAIT_MS = env.integer("LOCK_WAIT_MS", 5_000, minimum=0)
"""How long a request waits for such a lock."""
DAY_CACHE = env.flag("DAY_CACHE", True)
"""Whether discover and list reuse a day's computed answers; off, they compute them for each request."""
ZONES_APPLY_AT_START = env.flag("ZONES_APPLY_AT_START", False)
"""Whether a process that starts with other time-zone rules than the instants follow derives them anew."""
GUEST_RETENTION_DAYS = env.integer("GUEST_RETENTION_DAYS", 0, minimum=0)
"""`manage.py tidy` erases a guest whose last visit is longer ago; 0 keeps all."""
