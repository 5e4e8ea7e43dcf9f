"""Who keeps the embedded servers alive.

Every process that needs a server holds a shared lock on one file of that server's (`take()` takes it, `release()` or
the end of the process lets it go: the kernel does that even after kill -9). A keeper process, started by whoever comes
first, is the server's parent. It waits for the exclusive lock on the same file, which it gets when the last user has
gone, and then stops the server. So nobody can pull a server away from another, and none outlives its use.
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
from wokibrain.embedded.server import START_TIMEOUT, STOP_TIMEOUT, EmbeddedError, Server, open_log
from wokibrain.embedded.servers import servers


class Lease:
    """One process's claim on servers of a data folder: on all of them, or on those named."""

    def __init__(self, folder: Path, names: Sequence[str] | None = None) -> None:
        self.folder = folder
        self._claims = [
            _Claim(folder, server) for server in servers(folder) if names is None or server.name in names
        ]

    def take(self) -> None:
        """Return with the servers running, and staying so until `release` or the end of this process."""
        try:
            # All are on their way before the first is waited for.
            for claim in self._claims:
                claim.ask()
            for claim in self._claims:
                claim.wait()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give up the claim; return once the servers have stopped, or at once if others still use them."""
        for claim in self._claims:
            claim.give_up()
        for claim in self._claims:
            claim.wait_for_end()


class _Claim:
    """A process's claim on one server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self._users: IO[str] | None = None
        self._starting: IO[str] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def ask(self) -> None:
        """Become a user, and start a keeper where there is none."""
        if self._users is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            users = _lock(self.folder, self.server, "users")
        except OSError as error:
            raise EmbeddedError(f"the data folder cannot be used: {error}") from error
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper is busy stopping it
        self._users = users
        self._starting = _lock(self.folder, self.server, "start")
        fcntl.flock(self._starting, fcntl.LOCK_EX)
        if not _kept(self.folder, self.server):
            self._start_keeper()

    def wait(self) -> None:
        """Return when the server runs."""
        if self._starting is None:
            return
        deadline = time.monotonic() + START_TIMEOUT
        with self._starting:
            self._starting = None
            while self._keeper is None and _kept(self.folder, self.server):
                if self.server.running():
                    return
                # The keeper is bringing back a server that died, or was itself told to end.
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"{self.server.name} does not answer (see {self._log})")
                time.sleep(0.05)
            if self._keeper is None:
                self._start_keeper()
            self._hear_keeper()

    def give_up(self) -> None:
        for file in (self._starting, self._users):
            if file is not None:
                file.close()
        self._given_up = self._users is not None
        self._starting = self._users = None

    def wait_for_end(self) -> None:
        """Return when the server has stopped, or at once if others still use it."""
        if not self._given_up:
            return
        self._given_up = False
        keeper, self._keeper = self._keeper, None
        deadline = time.monotonic() + 3 * STOP_TIMEOUT
        while (
            _kept(self.folder, self.server)
            and not _in_use(self.folder, self.server)
            and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        if keeper is not None and keeper.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(0 if _kept(self.folder, self.server) else STOP_TIMEOUT)
            # Where others still use the server it goes on without us, and Popen is not to warn about that.
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

    def _hear_keeper(self) -> None:
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        with self._keeper.stdout as answers_on:
            answer = answers_on.readline().decode().strip()
        if answer != "ready":
            raise EmbeddedError(answer or f"{self.server.name} did not start (see {self._log})")


# --- the keeper ------------------------------------------------------------------------------------------------------


def keep(folder: Path, name: str) -> int:
    """The keeper: run a server until no process uses it any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = next(each for each in servers(folder) if each.name == name)
    # Never closed: it is let go when this process is really gone, and not while it is still on its way out.
    lock = _open(folder, server, "keeper")
    # A predecessor may be on its last steps, or dead with its server still going down.
    fcntl.flock(lock, fcntl.LOCK_EX)
    unused = threading.Event()
    told = False

    def end(*_: object) -> None:
        # A plain flag: setting the event from a handler could wait for a lock this very thread holds.
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, end)
    with _lock(folder, server, "users") as users:
        try:
            _wait_until_gone(server)
            server.start()
        except EmbeddedError as error:
            server.stop()
            _say(str(error))
            return 1
        _say("ready")
        threading.Thread(target=_wait_for_end_of_use, args=(users, unused), daemon=True).start()
        while not (unused.wait(0.5) or told):
            if server.pid is None:
                print(f"{server.name} ended; starting it again", file=sys.stderr, flush=True)
                with contextlib.suppress(EmbeddedError):
                    server.start()
        server.stop()
    return 0


def _wait_for_end_of_use(users: IO[str], unused: threading.Event) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    unused.set()


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)
    # The starter reads one line and goes; nothing may be written to it again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _wait_until_gone(server: Server) -> None:
    """A server left by a killed keeper is on its way out: its death signal came with its parent's end."""
    deadline = time.monotonic() + STOP_TIMEOUT
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
    """Whether a keeper lives."""
    with _lock(folder, server, "keeper") as file:
        return not _try(file, fcntl.LOCK_SH)


def _in_use(folder: Path, server: Server) -> bool:
    """Whether others hold the shared lock, and nobody the exclusive one; not known, and False, while others look."""
    # One looks at a time: of two that do, each would take the other's look for a user.
    with _lock(folder, server, "look") as turn, _lock(folder, server, "users") as file:
        return _try(turn, fcntl.LOCK_EX) and _try(file, fcntl.LOCK_SH) and not _try(file, fcntl.LOCK_EX)


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
