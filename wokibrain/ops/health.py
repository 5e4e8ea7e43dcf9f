"""Health probes and the metrics page, for orchestrators and Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from wokibrain.core import clock
from wokibrain.core.redis import Away, ask
from wokibrain.ops import metrics
from wokibrain.postgres import diagnosis
from wokibrain.rest.views import json_response, limited, require_safe


@require_safe
@limited
def health(request: HttpRequest) -> HttpResponse:
    """That this process answers, and which version it is."""
    return json_response({"status": "ok", "version": settings.VERSION, "timestamp": clock.now().isoformat()})


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """For the orchestrator: restart me when this fails. It asks nobody else."""
    return json_response({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """For the balancer: 503 without Postgres; without anything else it works on, degraded."""
    kafka = _kafka() if settings.KAFKA_BROKERS else "off"
    checks = {"database": _database(), "redis": _redis(), "kafka": kafka}
    if checks["database"] != "ok":
        return json_response({"status": "unavailable", "checks": checks}, 503)
    degraded = any(state not in ("ok", "off") for state in checks.values())
    return json_response({"status": "degraded" if degraded else "ok", "checks": checks})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error as error:
        diagnosis.report(error)
        return "unavailable"
    return "ok"


def _redis() -> str:
    try:
        ask(lambda client: client.ping())
    except Away:
        return "degraded"
    return "ok"


def _kafka() -> str:
    from wokibrain.events import kafka_connection

    # What is wrong is for operators: `manage.py status` tells them.
    return "ok" if kafka_connection.recently_ok() else "degraded"


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
