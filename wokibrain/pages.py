"""Health, metrics and documentation: what operators and integrators look at, outside the API proper."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page

from wokibrain import asyncapi, clock, metrics, openapi, postman
from wokibrain.errors import Code
from wokibrain.postgres import trouble
from wokibrain.redis import Away, ask
from wokibrain.rest import Refused, error_response, limited

DAY: Final = 86_400
# ReDoc styles itself as it goes and searches in a worker that it makes of a blob.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Page = Callable[[HttpRequest], HttpResponse]


def require_safe(page: Page) -> Page:
    """Refuse what does not only read, in the one shape of errors."""

    @wraps(page)
    def safe(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return page(request)
        if request.method == "OPTIONS":
            response = HttpResponse(status=204)
            del response["Content-Type"]
        else:
            response = error_response(Refused(Code.METHOD_NOT_ALLOWED), request)
        response["Allow"] = "GET, HEAD, OPTIONS"
        return response

    return safe


def _json(data: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), status=status, content_type="application/json")


def _yaml(data: Any) -> HttpResponse:
    text = yaml.safe_dump(orjson.loads(orjson.dumps(data)), sort_keys=False, allow_unicode=True)
    return HttpResponse(text, content_type="application/yaml; charset=utf-8")


@require_safe
@limited
def health(request: HttpRequest) -> HttpResponse:
    """That this process answers, and which version it is."""
    return _json({"status": "ok", "version": settings.VERSION, "timestamp": clock.now().isoformat()})


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """For the orchestrator: restart me when this fails. It asks nobody else."""
    return _json({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """For the balancer: 503 without Postgres; without anything else it works on, degraded."""
    kafka = _kafka() if settings.KAFKA_BROKERS else "off"
    checks = {"database": _database(), "redis": _redis(), "kafka": kafka}
    if checks["database"] != "ok":
        return _json({"status": "unavailable", "checks": checks}, 503)
    degraded = any(state not in ("ok", "off") for state in checks.values())
    return _json({"status": "degraded" if degraded else "ok", "checks": checks})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error as error:
        trouble.report(error)
        return "unavailable"
    return "ok"


def _redis() -> str:
    try:
        ask(lambda client: client.ping())
    except Away:
        return "degraded"
    return "ok"


def _kafka() -> str:
    from wokibrain.events import broker

    # What is wrong is for operators: `manage.py status` tells them.
    return "ok" if broker.recently_ok() else "degraded"


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


@require_safe
@limited
def openapi_json(request: HttpRequest) -> HttpResponse:
    return _json(openapi.document())


@require_safe
@limited
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    return _yaml(openapi.document())


@require_safe
@limited
def docs(request: HttpRequest) -> HttpResponse:
    """The reference, rendered by a ReDoc that this server serves itself."""
    response = render(request, "docs/redoc.html")
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@require_safe
@gzip_page
def redoc(request: HttpRequest) -> HttpResponse:
    """ReDoc's script, without the logo that it would fetch from its makers' server on every visit."""
    response = HttpResponse(_redoc(), content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = f"public, max-age={DAY}"
    return response


@cache
def _redoc() -> bytes:
    file = finders.find("drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js")
    return Path(str(file)).read_bytes().replace(b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")


def _live_document(request: HttpRequest) -> dict[str, Any]:
    return asyncapi.document(request.get_host(), secure=request.is_secure())


@require_safe
@limited
def asyncapi_json(request: HttpRequest) -> HttpResponse:
    return _json(_live_document(request))


@require_safe
@limited
def asyncapi_yaml(request: HttpRequest) -> HttpResponse:
    return _yaml(_live_document(request))


@require_safe
@limited
def postman_json(request: HttpRequest) -> HttpResponse:
    return _json(postman.collection(f"{request.scheme}://{request.get_host()}"))


@require_safe
@limited
def websockets(request: HttpRequest) -> HttpResponse:
    """The live channel for people, made of the same document."""
    sections = [
        (title, [each | {"shown": json.dumps(each["examples"][0]["payload"], indent=2)} for each in messages])
        for title, messages in (("What you send", asyncapi.SENT), ("What you are sent", asyncapi.RECEIVED))
    ]
    page = {"document": _live_document(request), "sections": sections}
    response = render(request, "docs/websockets.html", page)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response
