"""Keeps an embedded server running for as long as any process uses it.

Each process that uses a server holds a shared lock on the server's `users` file. `take()` takes the lock; `release()`
or the end of the process releases it, which the kernel does even after kill -9. The first user starts a keeper process,
the server's parent. The keeper waits for the exclusive lock on the same file, which it gets when the last user has
gone, and then stops the server. So no process can stop a server that another uses, and no server outlives its users.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from wokibrain.core import env
from wokibrain.embedded.server import START_SECONDS, STOP_SECONDS, EmbeddedError, Server, open_log
from wokibrain.embedded.servers import servers


class Lease:
    """A process's use of the servers of a data folder: of all, or of those in `names`."""

    def __init__(self, folder: Path, names: Sequence[str] | None = None) -> None:
        self.folder = folder
        self._claims = [
            _Claim(folder, server) for server in servers(folder) if names is None or server.name in names
        ]

    def take(self) -> None:
        """Start the servers that do not run, and keep them until `release` or the end of this process."""
        try:
            # All start at the same time; then each is waited for.
            for claim in self._claims:
                claim.ask()
            for claim in self._claims:
                claim.wait()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """End the use; return once the servers have stopped, or at once if other processes use them."""
        for claim in self._claims:
            claim.give_up()
        for claim in self._claims:
            claim.wait_for_end()


class _Claim:
    """A process's use of one server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self._users: IO[str] | None = None
        self._starting: IO[str] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def ask(self) -> None:
        """Become a user of the server, and start a keeper if there is none."""
        if self._users is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            users = _lock(self.folder, self.server, "users")
        except OSError as error:
            raise EmbeddedError(f"the data folder cannot be used: {error}") from error
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper stops it
        self._users = users
        self._starting = _lock(self.folder, self.server, "start")
        fcntl.flock(self._starting, fcntl.LOCK_EX)
        if not _kept(self.folder, self.server):
            self._start_keeper()

    def wait(self) -> None:
        """Return when the server runs. Raises EmbeddedError."""
        if self._starting is None:
            return
        deadline = time.monotonic() + START_SECONDS
        with self._starting:
            self._starting = None
            while self._keeper is None and _kept(self.folder, self.server):
                if self.server.running():
                    return
                # The keeper restarts a server that died, or is itself ending.
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"{self.server.name} does not answer (see {self._log})")
                time.sleep(0.05)
            if self._keeper is None:
                self._start_keeper()
            self._read_report()

    def give_up(self) -> None:
        for file in (self._starting, self._users):
            if file is not None:
                file.close()
        self._given_up = self._users is not None
        self._starting = self._users = None

    def wait_for_end(self) -> None:
        """Return when the server has stopped, or at once if other processes use it."""
        if not self._given_up:
            return
        self._given_up = False
        keeper, self._keeper = self._keeper, None
        deadline = time.monotonic() + 3 * STOP_SECONDS
        while (
            _kept(self.folder, self.server)
            and not _in_use(self.folder, self.server)
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        if keeper is not None and keeper.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(0 if _kept(self.folder, self.server) else STOP_SECONDS)
            # The keeper continues for the other users; this keeps Popen from warning about a running child.
            keeper.returncode = keeper.returncode or 0

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.server.name}.keeper.log"

    def _start_keeper(self) -> None:
        with open_log(self._log) as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", "wokibrain.embedded", str(self.folder), self.server.name],
                cwd=env.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )

    def _read_report(self) -> None:
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        with self._keeper.stdout as output:
            answer = output.readline().decode().strip()
        if answer != "ready":
            raise EmbeddedError(answer or f"{self.server.name} did not start (see {self._log})")


# --- the keeper ------------------------------------------------------------------------------------------------------


def keep(folder: Path, name: str) -> int:
    """Run a server until no process uses it; the work of the keeper. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = next(server for server in servers(folder) if server.name == name)
    # Never closed: the kernel releases the lock when this process has ended, not while it is ending.
    lock = _open(folder, server, "keeper")
    # An earlier keeper may be ending, or dead while its server shuts down.
    fcntl.flock(lock, fcntl.LOCK_EX)
    unused = threading.Event()
    terminated = False

    def end(*_: object) -> None:
        # Not the event: setting it in a handler could wait for a lock that the interrupted thread holds.
        nonlocal terminated
        terminated = True

    signal.signal(signal.SIGTERM, end)
    with _lock(folder, server, "users") as users:
        try:
            _wait_until_gone(server)
            server.start()
        except EmbeddedError as error:
            server.stop()
            _report(str(error))
            return 1
        _report("ready")
        threading.Thread(target=_set_when_unused, args=(users, unused), daemon=True).start()
        while not (unused.wait(0.5) or terminated):
            if server.pid is None:
                print(f"{server.name} ended; starting it again", file=sys.stderr, flush=True)
                with contextlib.suppress(EmbeddedError):
                    server.start()
        server.stop()
    return 0


def _set_when_unused(users: IO[str], unused: threading.Event) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    unused.set()


def _report(line: str) -> None:
    """Send the process that started the keeper the one line it waits for."""
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)
    # That process closes the pipe after one line; a second write would fail.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _wait_until_gone(server: Server) -> None:
    """Wait for the end of a server whose keeper was killed, which signalled the server; kill it after a time."""
    deadline = time.monotonic() + STOP_SECONDS
    while (pid := server.pid) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


# --- locks -----------------------------------------------------------------------------------------------------------


def _open(folder: Path, server: Server, purpose: str) -> int:
    path = folder / f"{server.name}.{purpose}.lock"
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _lock(folder: Path, server: Server, purpose: str) -> IO[str]:
    return os.fdopen(_open(folder, server, purpose))


def _kept(folder: Path, server: Server) -> bool:
    """Return whether a keeper lives."""
    with _lock(folder, server, "keeper") as file:
        return not _try(file, fcntl.LOCK_SH)


def _in_use(folder: Path, server: Server) -> bool:
    """Return whether other processes use the server; False also while another process runs this check."""
    # One check at a time: two would take each other's probing locks for users.
    with _lock(folder, server, "look") as guard, _lock(folder, server, "users") as file:
        return _try(guard, fcntl.LOCK_EX) and _try(file, fcntl.LOCK_SH) and not _try(file, fcntl.LOCK_EX)


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
