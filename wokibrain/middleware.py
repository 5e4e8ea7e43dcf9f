"""The product's middleware: one for every request, and one for the back office."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Any, Final
from urllib.parse import unquote

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string
from prometheus_client import Counter, Histogram

from wokibrain.core import context, metrics
from wokibrain.core.context import request_id
from wokibrain.core.errors import UnknownZone
from wokibrain.rest.views import bad_request, domain_error, error_response

logger = logging.getLogger("wokibrain.requests")
POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of responses that are no pages; pages set their own."""
# Load balancers and Prometheus address a process directly and do not know the product's host name.
ANY_HOST: Final = frozenset(
    base + path
    for base in ("", "/api/v1")
    for path in ("/health", "/health/live", "/health/ready", "/metrics")
)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@lru_cache(maxsize=4096)
def _meters(method: str, route: str, status: str) -> tuple[Counter, Histogram]:
    labels = (method, route, status)
    return metrics.HTTP_REQUESTS.labels(*labels), metrics.HTTP_DURATION.labels(*labels)


@lru_cache(maxsize=256)
def _is_served(hosts: tuple[str, ...], host: str) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, hosts)


class RequestMiddleware:
    """Gives a request its context, measures and logs it, and refuses unknown hosts.

    Reports a database that is away, and a time zone without rules.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.hosts = tuple(settings.ALLOWED_HOSTS) if settings.PRODUCTION else ("*",)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        trace = request.META.get("HTTP_TRACEPARENT", "")
        request_context = context.Context(
            request_id=request_id(request.META.get("HTTP_X_REQUEST_ID")),
            traceparent=trace if TRACEPARENT.fullmatch(trace) else None,
            source="admin" if request.path_info.startswith(settings.BACK_OFFICE_PATHS) else "rest",
        )
        with context.entered(request_context):
            host = request.META.get("HTTP_HOST") or request.META["SERVER_NAME"]
            served = _is_served(self.hosts, host) or request.path_info in ANY_HOST
            response = self.get_response(request) if served else bad_request(request)
            match = request.resolver_match
            labels = (
                request.method if request.method in _METHODS else "OTHER",
                match.route if match else "unmatched",
                str(response.status_code),
            )
            if response.status_code >= 500 or (settings.LOG_REQUESTS and not _is_probe(*labels)):
                _log(labels, response.status_code, perf_counter() - started)
        response["X-Request-ID"] = request_context.request_id
        response.headers.setdefault("Content-Security-Policy", POLICY)
        requests, duration = _meters(*labels)
        requests.inc()
        duration.observe(perf_counter() - started)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OperationalError | InterfaceError | UnknownZone):
            return error_response(domain_error(exception), request)
        return None


def _log(labels: tuple[str, str, str], status: int, seconds: float) -> None:
    method, route, _ = labels
    logger.log(
        logging.ERROR if status >= 500 else logging.INFO,
        "request",
        extra={"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)},
    )


def _is_probe(method: str, route: str, status: str) -> bool:
    """Return whether this is a successful request of the kind that monitoring repeats every few seconds."""
    return status == "200" and route.removeprefix("api/v1/") in _PROBES


_PROBES: Final = frozenset({"health/live", "metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class BackOfficeMiddleware:
    """Runs settings.BACK_OFFICE_MIDDLEWARE on the paths of the back office only."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.chain: GetResponse = get_response
        self._views: list[Callable[..., HttpResponseBase | None]] = []
        for name in reversed(settings.BACK_OFFICE_MIDDLEWARE):
            self.chain = import_string(name)(self.chain)
            if hook := getattr(self.chain, "process_view", None):
                self._views.insert(0, hook)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(settings.BACK_OFFICE_PATHS):
            return self.get_response(request)
        # Postgres accepts no NUL, and Django's own pages pass these texts on unchecked.
        texts = [request.path_info, unquote(request.META.get("QUERY_STRING", "")), *request.COOKIES.values()]
        if any("\x00" in text for text in texts):
            return bad_request(request)
        return self.chain(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """Call the hooks of BACK_OFFICE_MIDDLEWARE, CSRF checks among them: Django calls those of MIDDLEWARE only."""
        if not request.path_info.startswith(settings.BACK_OFFICE_PATHS):
            return None
        for hook in self._views:
            if (response := hook(request, *view)) is not None:
                return response
        return None
