"""Health, metrics and documentation: what operators and integrators look at, outside the API proper."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
import yaml
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from wokibrain import clock, metrics, openapi
from wokibrain.errors import Code
from wokibrain.redis import Away, ask
from wokibrain.rest import Refused, error_response

Page = Callable[[HttpRequest], HttpResponse]


def require_safe(page: Page) -> Page:
    """Refuse what does not only read, in the one shape of errors."""

    @wraps(page)
    def safe(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return page(request)
        response = error_response(Refused(Code.METHOD_NOT_ALLOWED), request)
        response["Allow"] = "GET, HEAD"
        return response

    return safe


def _json(data: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), status=status, content_type="application/json")


@require_safe
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
    checks = {"database": _database(), "redis": _redis()}
    if settings.KAFKA_BROKERS:
        checks["kafka"] = _kafka()
    if checks["database"] != "ok":
        return _json({"status": "unavailable", "checks": checks}, 503)
    degraded = any(state != "ok" for state in checks.values())
    return _json({"status": "degraded" if degraded else "ok", "checks": checks})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error:
        return "unavailable"
    return "ok"


def _redis() -> str:
    try:
        ask(lambda client: client.ping())
    except Away:
        return "degraded"
    return "ok"


def _kafka() -> str:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from wokibrain.events.kafka import connection_settings

    try:
        AdminClient(connection_settings(settings.KAFKA_BROKERS)).list_topics(timeout=1)
    except KafkaException:
        return "degraded"
    return "ok"


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    return _json(openapi.document())


@require_safe
def openapi_yaml(request: HttpRequest) -> HttpResponse:
    text = yaml.safe_dump(orjson.loads(orjson.dumps(openapi.document())), sort_keys=False, allow_unicode=True)
    return HttpResponse(text, content_type="application/yaml; charset=utf-8")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The reference, rendered by a ReDoc that this server serves itself."""
    return render(request, "docs/redoc.html")
