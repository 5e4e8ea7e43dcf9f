"""The product as one ASGI application: HTTP through Django's WSGI handler in threads, WebSocket through Channels."""

import asyncio
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import re_path
from django.utils.module_loading import import_string

from wokibrain.core import startup
from wokibrain.server import wsgi_bridge
from wokibrain.server.wsgi_bridge import Bridge, Receive, Scope, Send

wsgi = get_wsgi_application()


async def unknown_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket at any other path before accepting it: 404, or code 4404 where the server cannot say so."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 4404})


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start before the first request."""
    await asyncio.to_thread(startup.run)
    await wsgi_bridge.lifespan(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": Bridge(
            wsgi,
            threads=settings.WEB_THREADS,
            max_body=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        ),
        # Imported by name after the WSGI application, which sets Django up: it needs the models.
        "websocket": URLRouter(
            [
                re_path(r"^ws/?$", import_string(settings.LIVE_APPLICATION)),
                re_path(r"", unknown_socket),  # type: ignore[arg-type]
            ]
        ),
        "lifespan": lifespan,
    }
)
