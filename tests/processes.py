"""Real servers for proofs: separate API processes on a private Postgres and Redis that a test may break.

with private_services() as services, api_servers(3, services=services) as api:
    httpx.post(api.urls[0] + "/api/v1/woki/bookings", ...)
    services.redis.pause()
    api.servers[1].kill()
"""

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wokibrain import embedded
from wokibrain.core import env
from wokibrain.server import sockets

READY_TIMEOUT = 120.0
RUN_FOLDER = "WOKIBRAIN_TEST_FOLDER"
"""The environment's name for the folder that all processes of a run of pytest share."""


@dataclass(frozen=True, slots=True)
class Services:
    """A private Postgres and Redis. Both have start, stop, kill, pause, resume, pid, url and running."""

    folder: Path
    postgres: embedded.Postgres
    redis: embedded.Redis

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ENVIRONMENT": "test",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "DATA_DIR": str(self.folder / "data"),
        }


@contextlib.contextmanager
def private_services(
    *,
    durable: bool = False,
    migrated: bool = True,
    postgres_options: Mapping[str, str] | None = None,
    redis_options: Mapping[str, str] | None = None,
) -> Iterator[Services]:
    """Run both on a new folder. `durable` is for proofs that simulate a power cut: fsync on, Redis on disk."""
    with tempfile.TemporaryDirectory(prefix="wokibrain-proof-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        postgres = embedded.Postgres(folder / "postgres", durable=durable, options=postgres_options)
        redis = embedded.Redis(folder / "redis", durable=durable, options=redis_options)
        services = Services(folder, postgres, redis)
        try:
            if migrated:
                copy_tables(postgres)
            postgres.start()
            redis.start()
            yield services
        finally:
            redis.stop()
            postgres.stop()


def copy_tables(postgres: embedded.Postgres) -> None:
    """Give a Postgres that never ran the files of a migrated one."""
    postgres.folder.parent.mkdir(parents=True, exist_ok=True)
    # With their owner: Postgres refuses a folder of another user.
    subprocess.run(["cp", "-a", str(_with_tables()), str(postgres.folder)], check=True)


@functools.cache
def _with_tables() -> Path:
    """Return the folder of a migrated and stopped Postgres, created once a run by the first process to need it."""
    run = os.environ.get(RUN_FOLDER)
    folder = Path(run or tempfile.mkdtemp(prefix="wokibrain-migrated-")) / "migrated"
    if not run:
        atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    postgres = embedded.Postgres(folder / "postgres", durable=False)
    with one_at_a_time(folder):
        if not (folder / "complete").exists():
            _migrate(postgres)
            (folder / "complete").touch()
    return postgres.folder


def _migrate(postgres: embedded.Postgres) -> None:
    settings = {"ENVIRONMENT": "test", "DATABASE_URL": postgres.url, "REDIS_URL": "redis://none.invalid"}
    try:
        postgres.start()
        data = {"DATA_DIR": str(postgres.folder.with_name("data"))}
        manage("migrate", "--verbosity=0", environment=settings | data)
    finally:
        postgres.stop()


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder, so that only one process of this machine is in the block at a time."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def manage(*arguments: str, environment: Mapping[str, str]) -> str:
    """Run `manage.py` and return its output; raise with the output if it fails."""
    result = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=env.ROOT,
        env=os.environ | dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)}: {result.stdout}{result.stderr}")
    return result.stdout


@dataclass(slots=True)
class ApiServer:
    """One web process; `start` after a stop or kill keeps its address."""

    url: str
    log: Path
    environment: dict[str, str]
    sock: socket.socket = field(repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wokibrain.serve", "--fd", str(self.sock.fileno())],
                cwd=env.ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self.sock.fileno()],
                process_group=0,
                preexec_fn=lambda: sockets.die_with_parent(parent, signal.SIGKILL),
            )

    def wait_live(self, timeout: float = READY_TIMEOUT) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"the API process ended:\n{self.output()[-3000:]}")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/health/live", timeout=2) as answer,
            ):
                if answer.status == 200:
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the API process does not answer:\n{self.output()[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def pause(self) -> None:
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.send_signal(signal.SIGCONT)

    def stop(self, timeout: float = 15) -> int:
        """Stop it in order and return its exit code."""
        assert self.process is not None
        self.resume()
        self.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def send_signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Api:
    servers: list[ApiServer]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self.servers]


@contextlib.contextmanager
def api_servers(
    n: int = 3, *, services: Services, environment: Mapping[str, str] | None = None, threads: int = 4
) -> Iterator[Api]:
    """Run `n` web processes, each on a free loopback port, and wait until all respond.

    `environment` is added to theirs; RATE_LIMIT_MAX is high unless it says otherwise.
    """
    own = {"WEB_THREADS": str(threads), "RATE_LIMIT_MAX": "100000000", "LOG_LEVEL": "WARNING"}
    settings = dict(os.environ) | services.environment | own | dict(environment or {})
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        settings.pop(name, None)
    servers: list[ApiServer] = []
    try:
        for number in range(n):
            (sock,) = sockets.listen("127.0.0.1", 0, 1)
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            servers.append(ApiServer(url, services.folder / f"api-{number}.log", settings, sock))
        for server in servers:
            server.start()
        for server in servers:
            server.wait_live()
        yield Api(servers)
    finally:
        for server in servers:
            server.kill()
            server.sock.close()
