"""Health probes and the metrics page, for orchestrators and Prometheus."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from wokibrain.access.authentication import token_in
from wokibrain.access.credentials import caller_of
from wokibrain.core import clock, readiness, zones
from wokibrain.core.errors import Unauthorized
from wokibrain.core.permissions import Permission
from wokibrain.core.readiness import State
from wokibrain.core.redis import Away, ask
from wokibrain.ops import metrics
from wokibrain.postgres import diagnosis
from wokibrain.rest.views import json_response, limited, require_safe


@require_safe
@limited
def health(request: HttpRequest) -> HttpResponse:
    """Answer that this process runs, and which version it is."""
    return json_response({"status": "ok", "version": settings.VERSION, "timestamp": clock.now().isoformat()})


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Liveness, for the orchestrator: restart the process when this fails. Asks no other service."""
    return json_response({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Readiness, for the load balancer: 503 without Postgres; without any other service degraded, and still 200."""
    checks = readiness.states()
    status = readiness.overall(checks)
    facts: dict[str, Any] = {"release": zones.release()}
    if status is not State.UNAVAILABLE:
        facts |= _unknown_zones(request)
    return json_response(
        {"status": status, "checks": checks, "zones": facts}, 503 if status is State.UNAVAILABLE else 200
    )


def _unknown_zones(request: HttpRequest) -> dict[str, Any]:
    """Return how many restaurants have a zone that this host lacks, and which of them the caller may read.

    Nothing if the database does not say, because it went away just now or has no tables yet.
    """
    caller = None
    try:
        unknown = zones.unknown()
        token = token_in(request.META)
        caller = caller_of(token) if token and unknown else None
    except Unauthorized:
        pass
    except Error as error:
        diagnosis.report(error)
        return {}
    facts: dict[str, Any] = {"unknown": len(unknown)}
    if caller:
        facts["restaurants"] = {
            restaurant_id: zone
            for restaurant_id, zone in unknown.items()
            if caller.may(Permission.RESTAURANT_READ, restaurant_id)
        }
    return facts


def database() -> State:
    """Readiness of Postgres, without which no request is answered."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error as error:
        diagnosis.report(error)
        return State.UNAVAILABLE
    return State.OK


def redis() -> State:
    """Readiness of Redis, without which the caches and live updates are off."""
    try:
        ask(lambda client: client.ping())
    except Away:
        return State.DEGRADED
    return State.OK


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """The metrics page."""
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
