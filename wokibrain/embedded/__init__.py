"""The PostgreSQL and Redis that come with the checkout, for when DATABASE_URL or REDIS_URL is not set.

Both are ordinary servers on Unix sockets with their files under DATA_DIR. Their addresses follow from DATA_DIR alone,
so every process of a checkout finds them without asking. ``lease`` keeps them alive for as long as a process uses them.

The classes ``Postgres`` and ``Redis`` work on any folder: tests start private servers, freeze them and kill them.
Settings import this package in development and tests only; production knows nothing of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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
    "postgres_binary",
    "redis_url",
    "running",
    "servers",
]


def database_url() -> str:
    """Return the address of the checkout's PostgreSQL, whether or not it runs."""
    return servers()[0].url


def redis_url() -> str:
    """Return the address of the checkout's Redis, whether or not it runs."""
    return servers()[1].url


@contextmanager
def running() -> Iterator[None]:
    """Keep those servers running during the block that DATABASE_URL and REDIS_URL do not replace.

    Other processes may use them too; the last to leave stops them. Raises EmbeddedError.
    """
    names = [
        server.name
        for server, setting in zip(servers(), ("DATABASE_URL", "REDIS_URL"), strict=True)
        if not env.text(setting)
    ]
    lease = Lease(env.data_dir(), names)
    lease.take()
    try:
        yield
    finally:
        lease.release()
