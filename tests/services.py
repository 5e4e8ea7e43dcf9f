"""The pytest plugin that gives a run Postgres and Redis of its own (`-p tests.services`).

Under pytest-xdist each worker has its own: a test may freeze them, empty them or count what happens in them without
another test noticing. Their addresses follow from a fresh folder in the temp dir, so they are in the environment before
settings are read; they start only when there is a test to use them, which those of `tests/bookings/engine` are not.
TEST_DATABASE_URL and TEST_REDIS_URL name servers to use instead; workers then share them, with databases of their own.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from tests import processes
from wokibrain import embedded
from wokibrain.core import env

WITHOUT_SERVICES = ("tests/bookings/engine", "tests/deploy")
REDIS_PER_WORKER = 4
"""How many of the 16 numbered databases of a shared Redis each worker uses."""

_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_run = Path(os.environ.get(processes.RUN_FOLDER) or tempfile.mkdtemp(prefix="wokibrain-test-"))
_folder = _run / (_worker or "own")
_postgres = embedded.Postgres(_folder / "postgres", durable=False)
_redis = embedded.Redis(_folder / "redis", durable=False)
_started: list[embedded.Server] = []


def _environment() -> None:
    redis_url = os.environ.get("TEST_REDIS_URL")
    first = int(_worker.removeprefix("gw")) * REDIS_PER_WORKER if _worker and redis_url else 0
    os.environ |= {
        processes.RUN_FOLDER: str(_run),
        "ENVIRONMENT": "test",
        "DATA_DIR": str(_folder / "data"),
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or _postgres.url,
        "REDIS_URL": env.redis_database(redis_url or _redis.url, first),
    }
    # A developer's shell must not change what the tests say.
    for name in ("DEBUG", "BROKER_URL", "KAFKA_BROKERS", "PUBLIC_PERMISSIONS", "TRUSTED_PROXIES"):
        os.environ.pop(name, None)
    # A storm must not stop at a hundred; the tests that are about the limit set it.
    os.environ["RATE_LIMIT_MAX"] = "0"


def _keep_bytecode() -> None:
    """Have each module compiled once a run, also where Python is told to leave no bytecode beside the sources.

    Hundreds of tests start processes of ours, and without bytecode each of them spends seconds compiling.
    """
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(_run / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


_environment()
_keep_bytecode()


def _needed(session: pytest.Session) -> bool:
    if session.config.option.collectonly:
        return False
    without = [session.config.rootpath / path for path in WITHOUT_SERVICES]
    return not all(any(item.path.is_relative_to(folder) for folder in without) for item in session.items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not _needed(session):
        return
    servers: list[tuple[str, embedded.Server]] = [
        ("TEST_DATABASE_URL", _postgres),
        ("TEST_REDIS_URL", _redis),
    ]
    try:
        for name, server in servers:
            if not os.environ.get(name):
                if server is _postgres:
                    _copy_tables()
                server.start()
                _started.append(server)
    except (embedded.EmbeddedError, RuntimeError) as error:
        pytest.exit(str(error), returncode=3)


def _copy_tables() -> None:
    """Start from a Postgres with all tables, which Django's test database is then a copy of."""
    from django.conf import settings

    processes.copy_tables(_postgres)
    settings.DATABASES["default"].setdefault("TEST", {})["TEMPLATE"] = _postgres.database


@pytest.fixture(autouse=True)
def default_language() -> None:
    """Begin each test in the product's language: a request of another test may have left its own."""
    translation.activate(settings.LANGUAGE_CODE)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    for server in reversed(_started):
        server.stop()
    _started.clear()
    if not _worker:
        shutil.rmtree(_run, ignore_errors=True)
        os.environ.pop(processes.RUN_FOLDER, None)
