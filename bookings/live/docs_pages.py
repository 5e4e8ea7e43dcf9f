"""Pages that document the live channel: the AsyncAPI document and a rendering for people."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bookings.live import asyncapi
from wokibrain.rest.docs_pages import DOCS_POLICY, yaml_response
from wokibrain.rest.views import json_response, limited, require_safe


def _live_document(request: HttpRequest) -> dict[str, Any]:
    return asyncapi.document(request.get_host(), secure=request.is_secure())


@require_safe
@limited
def asyncapi_json(request: HttpRequest) -> HttpResponse:
    return json_response(_live_document(request))


@require_safe
@limited
def asyncapi_yaml(request: HttpRequest) -> HttpResponse:
    return yaml_response(_live_document(request))


@require_safe
@limited
def websockets(request: HttpRequest) -> HttpResponse:
    """Render the document for people: each message with its example."""
    sections = [
        (
            title,
            [
                message | {"shown": json.dumps(message["examples"][0]["payload"], indent=2)}
                for message in asyncapi.messages(operation)
            ],
        )
        for title, operation in (("What you send", "listen"), ("What you receive", "tell"))
    ]
    page = {"document": _live_document(request), "sections": sections}
    response = render(request, "docs/websockets.html", page)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response
