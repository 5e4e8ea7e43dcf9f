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
from wokibrain.server.handshakes import unknown_socket
from wokibrain.server.wsgi_bridge import Bridge, Receive, Scope, Send

wsgi = get_wsgi_application()


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
