"""A small WSGI application for tests of the bridge."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wokibrain.server.handshakes import unknown_socket
from wokibrain.server.wsgi_bridge import Bridge, Environ, FileChunks, Receive, Scope, Send, lifespan

MARKS = Path(os.environ["BRIDGE_MARKS"])


class Stream:
    """A response like Django's streaming ones."""

    streaming = True

    def __init__(self, pause: float, count: int) -> None:
        self.pause = pause
        self.count = count

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.count):
            yield f"part {number}\n".encode()
            time.sleep(self.pause)

    def close(self) -> None:
        (MARKS / "closed").touch()


def wsgi(environ: Environ, start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/nothing":
        start_response("204 No Content", [])
        return []
    if path == "/short":
        status, _, content = environ["QUERY_STRING"].partition("&")
        start_response(f"{status} Said", [("Content-Type", "text/plain")])
        return [content[:2].encode(), content[2:].encode()]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Stream(0.02, int(environ["QUERY_STRING"]))
    if path == "/file":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return FileChunks((MARKS / "file").open("rb"))
    if path == "/mark":
        (MARKS / "mark").touch()
    if path == "/held":
        (MARKS / f"held-{threading.get_ident()}").touch()
        while not (MARKS / "let-go").exists():
            time.sleep(0.01)
    body = environ["wsgi.input"].read()
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    content = json.dumps({"environ": texts, "body": body.decode()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


_http = Bridge(wsgi, threads=2, max_body=1000, backlog=4)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    match scope["type"]:
        case "lifespan":
            await lifespan(scope, receive, send)
        case "websocket":
            await unknown_socket(scope, receive, send)
        case _:
            await _http(scope, receive, send)
