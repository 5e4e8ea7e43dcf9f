"""The PostgreSQL and Redis that come with the checkout, for when no DATABASE_URL / REDIS_URL is given.

Both are ordinary servers on unix sockets, with their files under DATA_DIR. Their addresses follow from DATA_DIR alone,
so every process of a checkout finds them without asking anyone. ``lease`` says who keeps them alive.

The classes ``Postgres`` and ``Redis`` work on any folder: tests start private ones, freeze them and kill them.
"""

from wokibrain.core import env
from wokibrain.embedded.lease import Lease
from wokibrain.embedded.postgres import Postgres, postgres_binary
from wokibrain.embedded.redis import Redis
from wokibrain.embedded.server import EmbeddedError, Server, answers
from wokibrain.embedded.servers import servers

__all__ = [
    "EmbeddedError",
    "Lease",
    "Postgres",
    "Redis",
    "Server",
    "answers",
    "database_url",
    "needed",
    "postgres_binary",
    "redis_url",
    "servers",
    "start",
    "stop",
]

_lease: Lease | None = None


def database_url() -> str:
    return servers()[0].url


def redis_url() -> str:
    return servers()[1].url


def needed() -> list[str]:
    """Which embedded servers this process's settings lead to."""
    if env.environment() == "production":
        return []
    given = zip(servers(), ("DATABASE_URL", "REDIS_URL"), strict=True)
    return [server.name for server, setting in given if not env.text(setting)]


def start() -> None:
    """Make sure the servers that are needed run, and keep them running while this process lives or until `stop()`."""
    global _lease
    if _lease is None:
        lease = Lease(env.data_dir(), needed())
        lease.take()
        _lease = lease


def stop() -> None:
    """Give them up; the last one to do so ends them."""
    global _lease
    if _lease is not None:
        _lease.release()
        _lease = None
