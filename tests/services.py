"""The pytest plugin that gives a run Postgres and Redis of its own (`-p tests.services`).

The addresses follow from a fresh folder in the temp dir, so they are in the environment before settings are read; the
servers start only when the run has something to use them: `pytest tests/bookings/engine` does not pay for them.
TEST_DATABASE_URL and TEST_REDIS_URL name servers to use instead. Under pytest-xdist the controller owns the servers;
pytest-django gives each worker a database of its own, and this gives each a Redis database of its own.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from wokibrain import embedded
from wokibrain.core import env

WITHOUT_SERVICES = ("tests/bookings/engine", "tests/deploy")
FOLDER = "WOKIBRAIN_TEST_FOLDER"
# Each xdist worker gets this many numbered databases; Redis has 16 unless told otherwise.
REDIS_DATABASES = {"databases": "128"}
REDIS_PER_WORKER = 4

_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_folder = Path(os.environ.get(FOLDER) or tempfile.mkdtemp(prefix="wokibrain-test-"))
_postgres = embedded.Postgres(_folder / "postgres", durable=False)
_redis = embedded.Redis(_folder / "redis", durable=False, options=REDIS_DATABASES)
_started: list[embedded.Server] = []


def _environment() -> None:
    first = (int(_worker.removeprefix("gw")) + 1) * REDIS_PER_WORKER if _worker else 0
    redis_url = os.environ.get("TEST_REDIS_URL") or _redis.url
    os.environ |= {
        FOLDER: str(_folder),
        "ENVIRONMENT": "test",
        "DATA_DIR": str(_folder / "data"),
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or _postgres.url,
        "REDIS_URL": env.redis_database(redis_url, first),
    }
    # A developer's shell must not change what the tests say.
    for name in ("DEBUG", "BROKER_URL", "KAFKA_BROKERS", "PUBLIC_PERMISSIONS", "TRUSTED_PROXIES"):
        os.environ.pop(name, None)
    # A storm must not stop at a hundred; the tests that are about the limit set it.
    os.environ["RATE_LIMIT_MAX"] = "0"


_environment()


def _needed(config: pytest.Config) -> bool:
    if _worker or config.option.help or config.option.version or config.option.collectonly:
        return False
    root = config.rootpath
    free = [root / path for path in WITHOUT_SERVICES]
    asked = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    return not all(any(path.is_relative_to(one) for one in free) for path in asked)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if not _needed(session.config):
        return
    wanted: list[tuple[str, embedded.Server]] = [("TEST_DATABASE_URL", _postgres), ("TEST_REDIS_URL", _redis)]
    for name, server in wanted:
        if not os.environ.get(name):
            try:
                server.start()
            except embedded.EmbeddedError as error:
                pytest.exit(str(error), returncode=3)
            _started.append(server)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    if _worker:
        return
    for server in reversed(_started):
        server.stop()
    _started.clear()
    shutil.rmtree(_folder, ignore_errors=True)
    os.environ.pop(FOLDER, None)
