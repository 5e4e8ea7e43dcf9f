"""The one address: HTTP through Django's WSGI handler in a few threads, WebSocket through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import re_path  # noqa: E402

from wokibrain import env  # noqa: E402
from wokibrain.bridge import Bridge, Receive, Scope, Send  # noqa: E402

wsgi = get_wsgi_application()


async def unknown_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket nobody serves: refused before it is accepted."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 4404})


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing to set up or take down; said so, and not refused, because a refusal is logged as an error."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = ProtocolTypeRouter(
    {
        "http": Bridge(
            wsgi,
            threads=env.integer("WEB_THREADS", 2, minimum=1, maximum=64),
            max_body=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        ),
        "websocket": URLRouter([re_path(r"", unknown_socket)]),
        "lifespan": lifespan,
    }
)
