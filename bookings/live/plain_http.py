"""What requests to the WebSocket's address are answered when they do not ask for a WebSocket."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from bookings.live.endpoint import NOT_SOCKET_IO
from wokibrain.core.errors import NotFound, ValidationFailed
from wokibrain.rest.views import error_response, limited, require_safe


@require_safe
@limited
def without_upgrade(request: HttpRequest) -> HttpResponse:
    """Tell a client of Socket.IO, which polls first, and any other where the WebSocket and its documents are."""
    if "EIO" in request.GET:
        return error_response(ValidationFailed.at("EIO", NOT_SOCKET_IO), request)
    return error_response(
        NotFound(_("This is a WebSocket: connect to /ws/. /docs/websockets has its messages.")), request
    )
