"""The API's documentation: OpenAPI, its rendered reference, and the Postman collection."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page

from wokibrain.rest import openapi, postman
from wokibrain.rest.views import json_response, limited, require_safe

REDOC_CACHE_SECONDS: Final = 86_400
# ReDoc sets inline styles, and searches in a worker made from a blob.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def yaml_response(data: Any) -> HttpResponse:
    text = yaml.safe_dump(orjson.loads(orjson.dumps(data)), sort_keys=False, allow_unicode=True)
    return HttpResponse(text, content_type="application/yaml; charset=utf-8")


@require_safe
@limited
def openapi_json(request: HttpRequest) -> HttpResponse:
    return json_response(openapi.document())


@require_safe
@limited
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    return yaml_response(openapi.document())


@require_safe
@limited
def docs(request: HttpRequest) -> HttpResponse:
    """Show the reference, rendered by a ReDoc that this server serves itself."""
    response = render(request, "docs/redoc.html")
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@require_safe
@gzip_page
def redoc(request: HttpRequest) -> HttpResponse:
    """Serve ReDoc's script, without the logo that it would fetch from its vendor on every visit."""
    response = HttpResponse(_redoc(), content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = f"public, max-age={REDOC_CACHE_SECONDS}"
    return response


@cache
def _redoc() -> bytes:
    file = finders.find("drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js")
    return Path(str(file)).read_bytes().replace(b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")


@require_safe
@limited
def postman_json(request: HttpRequest) -> HttpResponse:
    return json_response(postman.collection(f"{request.scheme}://{request.get_host()}"))
