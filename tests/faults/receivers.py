"""The storm's webhook receivers, in a separate process: ``python -m tests.faults.receivers LOG COUNT HANGING``.

Prints its ports as JSON. The last HANGING of them read what they get and do not answer, until a line comes in on
stdin; the process ends when stdin does. Each request becomes one JSON line of LOG before it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wokibrain.core import env

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request received at endpoint ``to``: its exact bytes, and its headers with names in lower case."""

    to: int
    at: float
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Receivers:
    log: Path
    urls: list[str]
    process: subprocess.Popen[str]

    def heal(self) -> None:
        """Make the hanging receivers respond from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write("heal\n")
        self.process.stdin.flush()

    def receipts(self) -> list[Receipt]:
        with self.log.open(encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines]
        return [
            Receipt(entry["to"], entry["at"], entry["headers"], entry["body"].encode("latin-1"))
            for entry in entries
        ]


@contextlib.contextmanager
def receivers(log: Path, count: int, hanging: int) -> Iterator[Receivers]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.receivers", str(log), str(count), str(hanging)],
        cwd=env.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Measuring its coverage would slow its start by seconds and has no use.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        ports = json.loads(process.stdout.readline())
        yield Receivers(log, [f"http://127.0.0.1:{port}/hook" for port in ports], process)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def serve(log: Path, count: int, hanging: int) -> None:
    healed = asyncio.Event()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        healed.set()
        if not os.read(0, 100):
            loop.remove_reader(0)
            ended.set()

    with log.open("a", encoding="utf-8", buffering=1) as lines:
        servers = []
        for number in range(count):

            async def receive(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = number
            ) -> None:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
                    pairs = (line.partition(":") for line in head)
                    headers = {name.lower(): value.strip() for name, _, value in pairs}
                    body = await reader.readexactly(int(headers.get("content-length", 0)))
                    entry = {"to": number, "at": time.monotonic(), "headers": headers}
                    lines.write(json.dumps(entry | {"body": body.decode("latin-1")}) + "\n")
                    if number >= count - hanging:
                        await healed.wait()
                    writer.write(OK)
                    await writer.drain()
                with contextlib.suppress(OSError):
                    writer.close()

            servers.append(await asyncio.start_server(receive, "127.0.0.1", 0, backlog=512))
        print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
        loop.add_reader(0, hear)
        await ended.wait()
        for server in servers:
            server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
