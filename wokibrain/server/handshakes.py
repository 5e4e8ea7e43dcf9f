"""Refusals of WebSocket handshakes, before the socket is accepted."""

import asyncio
import contextlib
from typing import Final

from wokibrain.server.wsgi_bridge import Headers, Receive, Scope, Send

CLOSING_SECONDS: Final = 2
"""How long to wait for the server to finish a refused handshake."""
UNKNOWN_PATH: Final = 4404
NOWHERE: Final = b"There is no WebSocket at this path; it is at /ws/.\n"


async def refuse(
    scope: Scope, receive: Receive, send: Send, *, status: int, headers: Headers, body: bytes, code: int
) -> None:
    """Answer a handshake with an HTTP response, or with the close code ``code`` where the server cannot say so.

    The application must have received ``websocket.connect``.
    """
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": code})
        return
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
    # Uvicorn sends two disconnects: on the response, and when the connection has closed. An application
    # that returns before the second is logged as having left the handshake unfinished.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            await receive()
            await receive()


async def unknown_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket at a path that has none: 404, or close code UNKNOWN_PATH."""
    await receive()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(NOWHERE)).encode()),
    ]
    await refuse(scope, receive, send, status=404, headers=headers, body=NOWHERE, code=UNKNOWN_PATH)
