"""The one address: HTTP through Django's WSGI handler in a few threads, WebSocket through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import re_path

from wokibrain.server.wsgi_bridge import Bridge, Receive, Scope, Send, lifespan

wsgi = get_wsgi_application()


# After the wsgi application, which sets Django up: this one knows its models.
from bookings.live.endpoint import live  # noqa: E402


async def unknown_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket nobody serves: refused before it is accepted."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 4404})


application = ProtocolTypeRouter(
    {
        "http": Bridge(
            wsgi,
            threads=settings.WEB_THREADS,
            max_body=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        ),
        "websocket": URLRouter([re_path(r"^ws/?$", live), re_path(r"", unknown_socket)]),  # type: ignore[arg-type]
        "lifespan": lifespan,
    }
)
