"""A server process with a data folder of its own: starting, watching, freezing, killing and stopping it.

The path of a Unix socket has at most 107 bytes. Where a data folder's path is longer, or would need quoting in a URL,
its sockets are in `/tmp/wokibrain-<hash of the folder>` instead.
"""

import abc
import contextlib
import hashlib
import importlib.util
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from wokibrain.core.errors import CannotStart
from wokibrain.embedded.accounts import Account, account_for, in_child

MAX_SOCKET_PATH_BYTES = 107
MAX_LOG_BYTES = 5_000_000
"""A larger log is set aside at the next start; the one set aside before is lost."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0
"""How long a server may take to follow each of its stop signals."""


class EmbeddedError(CannotStart):
    """An embedded server could not be started or stopped."""


class Server(abc.ABC):
    """A server process with a data folder. It ends with the thread that started it, so start it from a lasting one."""

    name = "server"
    title = "server"
    death_signal = signal.SIGTERM
    stop_signals: Sequence[int] = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, folder: Path, sockets: Path | None = None) -> None:
        self.folder = folder
        self.sockets = sockets or socket_dir(folder)
        self.log = folder.with_name(f"{folder.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def socket_file(self) -> Path:
        """The socket it listens on."""

    @property
    @abc.abstractmethod
    def pid_file(self) -> Path:
        """The file in which it writes its process id."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abc.abstractmethod
    def ready(self, pid: int) -> bool:
        """Return whether the process with that id accepts work."""

    def prepare(self, account: Account | None) -> None:  # noqa: B027 - not every server needs it
        """Create the server's files in the folder if they are missing."""

    @property
    def pid(self) -> int | None:
        """The process id of the running server, whichever process started it; None while it does not run."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        pid = self._pid_in_file()
        return pid if pid is not None and self._is_ours(pid) else None

    def running(self) -> bool:
        return answers(self.socket_file)

    def start(self) -> None:
        """Start the server unless it runs, and wait until it accepts work. Raises EmbeddedError."""
        if self.running():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
        account = account_for(self.folder, Path(self.command()[0]))
        _private_folder(self.sockets, account)
        if account is not None and self.folder.stat().st_uid == 0:
            os.chown(self.folder, account.uid, account.gid)
        if account is None and self.folder.stat().st_uid != os.geteuid():
            raise EmbeddedError(f"{self.folder} belongs to another user; set DATA_DIR, or change its owner")
        self._forget_stale_pid()
        self.prepare(account)
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._process = self._spawn(account)
            if self._wait_ready(self._process, deadline):
                return
            tail = _tail(self.log)
            # After kill -9 the server's children live on for a moment, during which Postgres refuses to start.
            if "pre-existing shared memory" not in tail or time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not start: {last_line(tail)} (see {self.log})")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server and wait for its end, with a stronger signal each time that takes too long."""
        pid = self.pid
        if pid is None:
            return
        for number in self.stop_signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            if self._wait_gone(pid, STOP_SECONDS):
                break
        self._process = None
        with contextlib.suppress(OSError):
            self.sockets.rmdir()

    def kill(self) -> None:
        """Kill the server with SIGKILL and wait for its end."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: it still accepts connections but answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pid = self.pid
        if pid is None:
            raise EmbeddedError(f"{self.name} is not running")
        os.kill(pid, number)
        if number == signal.SIGKILL:
            self._wait_gone(pid, STOP_SECONDS)
            self._process = None

    def _spawn(self, account: Account | None) -> subprocess.Popen[bytes]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        try:
            with open_log(self.log) as log:
                return subprocess.Popen(
                    self.command(),
                    cwd="/",
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=in_child(account, self.death_signal),
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(
                f"{self.name} cannot be started here: {error}; set DATABASE_URL and REDIS_URL"
            ) from error

    def _wait_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        while process.poll() is None:
            if self.ready(process.pid):
                return True
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return False
            time.sleep(0.01)
        return False

    def _wait_gone(self, pid: int, timeout: float) -> bool:
        if self._process is not None and self._process.pid == pid:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                return False
            return True
        deadline = time.monotonic() + timeout
        while _alive(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _pid_in_file(self) -> int | None:
        try:
            first = self.pid_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        except OSError:
            return None
        return int(first) if first.isdigit() else None

    def _forget_stale_pid(self) -> None:
        pid = self._pid_in_file()
        if pid is not None and not self._is_ours(pid):
            # Another process may have the number by now, and Postgres would wait for that one to end.
            self.pid_file.unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        """Return whether that process is this server, and not a later one with the number of a dead server."""
        if not _alive(pid):
            return False
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return True  # without /proc only the file tells
        return self.title in command and (str(self.folder) in command or str(self.sockets) in command)


def socket_dir(folder: Path) -> Path:
    """Return the folder for a server's sockets: beside its data if that path is short and plain, else in /tmp."""
    near = folder.parent / "run" / folder.name
    if (
        re.fullmatch(r"[\w./-]+", str(near), re.ASCII)
        and len(str(near / ".s.PGSQL.5432.lock")) <= MAX_SOCKET_PATH_BYTES
    ):
        return near
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    # Not TMPDIR, which may differ between the processes that look for the sockets.
    return Path("/tmp") / f"wokibrain-{key}"  # noqa: S108 - _private_folder keeps other users out


def packaged(package: str, *path: str) -> Path | None:
    """Return a file of an installed package; `path` may hold patterns.

    The package is not imported: only its programs are used, not its own way to run them.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("/".join(path)), None)


def answers(path: Path) -> bool:
    """Return whether a process listens on a Unix socket; the file of a dead server refuses connections."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
    except OSError:
        return False
    return True


def _private_folder(path: Path, account: Account | None) -> None:
    """Create a folder that only this user and the servers' may enter. Raises EmbeddedError if another user owns it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = {os.geteuid()} | ({account.uid} if account else set())
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours:
        raise EmbeddedError(f"{path} belongs to another user; remove it")
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; one over MAX_LOG_BYTES is set aside first."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2000))
        return file.read().decode(errors="replace")


def last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip() and "HINT" not in line]
    return lines[-1] if lines else "no output"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie, which ended but was not waited for, still has its number.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
