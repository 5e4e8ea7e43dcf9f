"""HTTP between a client and Django through the bridge."""

import asyncio
import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from tests.waiting import PATIENCE, until
from wokibrain.core import env
from wokibrain.server import sockets, wsgi_bridge


@dataclass(slots=True)
class Web:
    port: int
    marks: Path
    process: subprocess.Popen[bytes]
    log: Path

    def occupied_threads(self) -> list[Path]:
        """Return a mark file of each thread that a request to `/held` occupies."""
        return list(self.marks.glob("held-*"))

    def let_go(self) -> None:
        (self.marks / "let-go").touch()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str, method: str = "GET", **kwargs: Any) -> http.client.HTTPResponse:
        connection = self.connect()
        connection.request(method, path, **kwargs)
        return connection.getresponse()

    def raw(self, text: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(text)
            received = b""
            while data := client.recv(65_536):
                received += data
        return received


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (sock,) = sockets.listen("127.0.0.1", 0, 1)
    with sock:
        code = (
            "import socket, sys; from wokibrain import serve;"
            "serve.serve(socket.socket(fileno=int(sys.argv[1])), 'tests.wokibrain.server.bridge_app:application')"
        )
        log = tmp_path / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", code, str(sock.fileno())],
                cwd=env.ROOT,
                env=os.environ | {"BRIDGE_MARKS": str(tmp_path)},
                pass_fds=[sock.fileno()],
                stderr=stderr,
            )
        try:
            yield Web(sock.getsockname()[1], tmp_path, process, log)
        finally:
            process.kill()
            process.wait()


def test_request_reaches_the_application_as_sent(web: Web) -> None:
    answer = web.get(
        "/a%20b/%C3%B1?x=%31", "POST", body=b"hello", headers={"X-Api-Key": "k", "Cookie": "a=1"}
    )
    data = json.loads(answer.read())
    assert data["body"] == "hello"
    environ = data["environ"]
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/ñ"
    assert environ["QUERY_STRING"] == "x=%31"
    assert environ["CONTENT_LENGTH"] == "5"
    assert environ["HTTP_X_API_KEY"] == "k"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"


def test_header_with_an_underscore_cannot_pass_for_one_with_a_dash(web: Web) -> None:
    text = web.raw(
        b"GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 9.9.9.9\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"X-Many: 1\r\nX-Many: 2\r\nConnection: close\r\n\r\n"
    )
    data = json.loads(text.partition(b"\r\n\r\n")[2])["environ"]
    assert "HTTP_X_FORWARDED_FOR" not in data
    assert data["HTTP_COOKIE"] == "a=1; b=2"
    assert data["HTTP_X_MANY"] == "1,2"


def test_head_sends_the_headers_and_no_body(web: Web) -> None:
    text = web.raw(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert body == b""


def test_204_leaves_the_connection_usable(web: Web) -> None:
    connection = web.connect()
    for _ in range(2):
        connection.request("GET", "/nothing")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
    connection.request("GET", "/")
    assert connection.getresponse().status == 200


def headers_of(answer: bytes) -> dict[str, str]:
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])


@pytest.mark.parametrize(
    ("method", "path", "length"),
    [
        ("GET", "/short?200&abcdef", "6"),
        ("GET", "/short?302&", "0"),
        ("HEAD", "/short?200&abcdef", "6"),
        # The length of the GET response is not known here.
        ("HEAD", "/short?200&", None),
        ("GET", "/short?204&", None),
        ("GET", "/short?304&", None),
        ("GET", "/file", "3"),
    ],
)
def test_whole_response_has_a_length_and_is_not_chunked(
    web: Web, method: str, path: str, length: str | None
) -> None:
    (web.marks / "file").write_bytes(b"abc")
    answer = web.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    headers = headers_of(answer)
    assert (headers.get("content-length"), headers.get("transfer-encoding")) == (length, None)
    body = answer.partition(b"\r\n\r\n")[2]
    assert len(body) == (int(length or 0) if method == "GET" else 0)


def test_streamed_response_is_chunked(web: Web) -> None:
    answer = web.raw(b"GET /stream?2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (headers_of(answer).get("content-length"), headers_of(answer)["transfer-encoding"]) == (
        None,
        "chunked",
    )


def test_chunked_body_gets_a_length(web: Web) -> None:
    answer = web.get("/", "POST", body=iter([b"abc", b"def"]), encode_chunked=True)
    data = json.loads(answer.read())
    assert (data["body"], data["environ"]["CONTENT_LENGTH"]) == ("abcdef", "6")


def test_body_above_the_limit_is_refused_with_413_before_it_is_sent(web: Web) -> None:
    text = web.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    assert json.loads(body)["error"] == "PAYLOAD_TOO_LARGE"


def test_chunked_body_above_the_limit_is_413(web: Web) -> None:
    answer = web.get("/", "POST", body=iter([b"x" * 600, b"x" * 600]), encode_chunked=True)
    assert answer.status == 413
    assert set(json.loads(answer.read())) == {"error", "detail", "requestId"}


def test_body_at_the_limit_is_served(web: Web) -> None:
    assert len(json.loads(web.get("/", "POST", body=b"x" * 1000).read())["body"]) == 1000


def test_stream_arrives_piece_by_piece(web: Web) -> None:
    answer = web.get("/stream?3")
    assert answer.readline() == b"part 0\n"
    assert not (web.marks / "closed").exists()
    assert answer.read() == b"part 1\npart 2\n"
    assert until((web.marks / "closed").exists)


def test_stream_ends_when_its_client_disconnects(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(b"GET /stream?100000 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(100)
    assert until((web.marks / "closed").exists)


@pytest.mark.parametrize("size", [0, 100_000, 5_000_000])
def test_file_is_sent_whole(web: Web, size: int) -> None:
    content = os.urandom(size)
    (web.marks / "file").write_bytes(content)
    assert web.get("/file").read() == content


def test_request_beyond_the_queue_is_refused_with_503(web: Web) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        running = [pool.submit(web.get, "/held") for _ in range(2)]
        assert until(lambda: len(web.occupied_threads()) == 2)
        waiting = [pool.submit(web.get, "/held") for _ in range(14)]
        # Two occupy the threads and four the queue; the others are refused meanwhile.
        assert until(lambda: sum(future.done() for future in waiting) == 10)
        web.let_go()
        answers = [future.result() for future in (*running, *waiting)]
    assert Counter(answer.status for answer in answers) == {200: 6, 503: 10}
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["Retry-After"] == "1"
    assert json.loads(refused.read())["error"] == "SERVICE_UNAVAILABLE"


def test_queued_request_of_a_disconnected_client_is_not_run(web: Web) -> None:
    busy = [web.connect(), web.connect()]
    for connection in busy:
        connection.request("GET", "/held")
    assert until(lambda: len(web.occupied_threads()) == 2)
    gone = web.connect()
    gone.request("POST", "/mark", body=b"{}")
    gone.close()
    # Its leaving is looked for once it has waited for a moment; what the event loop answers by itself comes after that.
    time.sleep(4 * wsgi_bridge.WATCH_AFTER_SECONDS)
    for _ in range(2):
        assert web.get("/", "POST", body=b"x" * 1001).status == 413
    web.let_go()
    assert [connection.getresponse().status for connection in busy] == [200, 200]
    # Behind it in the queue.
    assert web.get("/nothing").status == 204
    assert not (web.marks / "mark").exists()
    assert web.get("/mark").status == 200
    assert (web.marks / "mark").exists()


def test_sigterm_lets_a_request_finish_and_exits_0(web: Web) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(web.get, "/held")
        assert until(lambda: len(web.occupied_threads()) == 1)
        web.process.send_signal(signal.SIGTERM)
        web.let_go()
        assert answer.result().status == 200
    assert web.process.wait(PATIENCE) == 0


async def refused_socket(extensions: dict[str, Any]) -> list[dict[str, Any]]:
    from wokibrain.asgi import application

    scope = {"type": "websocket", "path": "/nowhere/", "headers": [], "extensions": extensions}
    client: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
    await client.send_input({"type": "websocket.connect"})
    first = await client.receive_output()
    rest = [await client.receive_output()] if first["type"].endswith("start") else []
    return [first, *rest]


def test_unknown_websocket_path_is_refused_cleanly() -> None:
    assert asyncio.run(refused_socket({})) == [{"type": "websocket.close", "code": 4404}]
    start, body = asyncio.run(refused_socket({"websocket.http.response": {}}))
    assert start["status"] == 404
    assert body["body"] == b"There is no WebSocket at this path; it is at /ws/.\n"


def test_unknown_websocket_path_leaves_no_line_in_the_log(web: Web) -> None:
    answer = web.raw(
        b"GET /nowhere/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"There is no WebSocket at this path; it is at /ws/.\n")
    web.process.send_signal(signal.SIGTERM)
    assert web.process.wait(PATIENCE) == 0
    assert web.log.read_text() == ""
