"""A server process on a folder of its own: started, watched, frozen, killed and stopped.

The path of a unix socket holds 107 bytes. A data folder with a longer path, or one that would need quoting in a
URL, has its sockets in `/tmp/wokibrain-<hash of the folder>` instead.
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

SOCKET_PATH_LIMIT = 107
LOG_LIMIT = 5_000_000
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0


class EmbeddedError(CannotStart):
    """An embedded server could not be started or stopped."""


class Server(abc.ABC):
    """A server process on a folder of its own. Start it from a thread that lives on: it ends with that thread."""

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
        """Where it writes down its process id."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abc.abstractmethod
    def ready(self, pid: int) -> bool:
        """Whether the process with that id serves by now."""

    def prepare(self, account: Account | None) -> None:  # noqa: B027 - not every server needs it
        """Make the folder fit to start on."""

    @property
    def pid(self) -> int | None:
        """The running server's process id, whoever started it."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        pid = self._pid_in_file()
        return pid if pid is not None and self._is_ours(pid) else None

    def running(self) -> bool:
        return answers(self.socket_file)

    def start(self) -> None:
        """Start and wait until it serves. Nothing happens when it already does."""
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
            raise EmbeddedError(f"{self.folder} belongs to another user; give DATA_DIR, or change its owner")
        self._forget_stale_pid()
        self.prepare(account)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            self._process = self._spawn(account)
            if self._wait_ready(self._process, deadline):
                return
            tail = _tail(self.log)
            # After kill -9 the server's children need a moment to notice; until then it refuses a successor.
            if "pre-existing shared memory" not in tail or time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not start: {last_line(tail)} (see {self.log})")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop in order and wait for the end; with force when that takes too long."""
        pid = self.pid
        if pid is None:
            return
        for number in self.stop_signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            if self._wait_gone(pid, STOP_TIMEOUT):
                break
        self._process = None
        with contextlib.suppress(OSError):
            self.sockets.rmdir()

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it still accepts connections, and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pid = self.pid
        if pid is None:
            raise EmbeddedError(f"{self.name} is not running")
        os.kill(pid, number)
        if number == signal.SIGKILL:
            self._wait_gone(pid, STOP_TIMEOUT)
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
                f"{self.name} cannot be started here: {error}; give DATABASE_URL and REDIS_URL"
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
            # The number may be somebody else's by now, and Postgres would then wait for a stranger to leave.
            self.pid_file.unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        """Whether the process of that number is this server, and not one that got the number of a dead one."""
        if not _alive(pid):
            return False
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return True  # no /proc on this system: believe the file
        return self.title in command and (str(self.folder) in command or str(self.sockets) in command)


def socket_dir(folder: Path) -> Path:
    """Where the sockets of a data folder are: beside it when that path is short and plain, else in /tmp."""
    near = folder.parent / "run" / folder.name
    if (
        re.fullmatch(r"[\w./-]+", str(near), re.ASCII)
        and len(str(near / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT
    ):
        return near
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    # Not TMPDIR: every process of a data folder is to find them, whatever it was started with.
    return Path("/tmp") / f"wokibrain-{key}"  # noqa: S108 - _private_folder lets nobody else in


def shipped(package: str, *path: str) -> Path | None:
    # The packages themselves are not imported: they come with process handling of their own, which is not used here.
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return next(Path(found.submodule_search_locations[0]).glob("/".join(path)), None)


def answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket. A file left by a dead server refuses."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
    except OSError:
        return False
    return True


def _private_folder(path: Path, account: Account | None) -> None:
    """A folder only we and the servers enter; in a shared temp dir somebody else may have made one of that name."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = {os.geteuid()} | ({account.uid} if account else set())
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise EmbeddedError(f"{path} belongs to somebody else; remove it")
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_LIMIT:
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
    # A process that ended but was not waited for still has its number.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
