"""Idempotency-Keys over REST: from the header to a ticket, and methods that run once per key."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import wraps
from typing import Any, Final, Protocol

import orjson
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from wokibrain.core.errors import ValidationFailed
from wokibrain.core.failpoints import point, without
from wokibrain.idempotency.keys import Replay, Ticket, settle
from wokibrain.rest.fields import BodyModel, QueryModel
from wokibrain.rest.views import ApiView, parse_body, parse_query, reply_json

HEADER: Final = "Idempotency-Key"
CANONICAL: Final = "canonical"
"""Tells the fingerprint of a parsed request from one of a request's text."""
KEY_FORMAT: Final = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
RECEIVED: Final = "wokibrain.received"
"""The key of the WSGI environ under which the bridge puts the time a request arrived (monotonic)."""

Method = Callable[..., HttpResponse]


class Idempotency(Enum):
    """What handles an operation's Idempotency-Keys."""

    VIEW = "view"
    """``once``, with one transaction around the whole operation."""
    SERVICE = "service"
    """The view passes a ticket to its service, which stores the result."""
    NONE = "none"
    """The operation takes no key; its description says why."""


class Encryption(Protocol):
    """Encrypts responses that must not be stored in the clear."""

    def seal(self, secret: str) -> str: ...

    def unseal(self, sealed: str) -> str: ...


def ticket_of(
    view: ApiView, request: Request, body: BodyModel | None = None, query: QueryModel | None = None
) -> Ticket | None:
    """Return the ticket of the request's Idempotency-Key; None without one. Raises ValidationFailed if malformed.

    ``body`` and ``query`` are the parsed request: it is the same request however its text was spelled.
    """
    key = _key_of(request)
    if key is None:
        return None
    content = [
        CANONICAL,
        request.method,
        request.path,
        query.canonical() if query else "",
        body.canonical() if body else "",
    ]

    def former_fingerprints() -> tuple[bytes, ...]:
        return _fingerprints(_text_of(request, None if body is None else request.data or {}))

    return Ticket(
        view.key_owner(request),
        key,
        _fingerprints(content),
        _received(request),
        former_fingerprints=former_fingerprints,
    )


def ticket_for(owner: str, request: HttpRequest, body: str) -> Ticket | None:
    """Return the ticket of a request outside an ApiView, by its text; ``owner`` is the owner of its key."""
    key = _key_of(request)
    if key is None:
        return None
    return Ticket(owner, key, _fingerprints(_text_of(request, body)), _received(request))


def _key_of(request: Request | HttpRequest) -> str | None:
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None or without("idempotency"):
        return None
    if not KEY_FORMAT.fullmatch(key):
        raise ValidationFailed.at(HEADER, _("Use 1-255 printable ASCII characters."))
    return key


def _received(request: Request | HttpRequest) -> float:
    received: float = request.META.get(RECEIVED) or time.monotonic()
    return received


def _text_of(request: Request | HttpRequest, body: object) -> list[object]:
    """Return what identified every request up to version 1.0, whose results are replayed for a day more."""
    return [request.method, request.path, request.META.get("QUERY_STRING", ""), body]


def _fingerprints(content: Sequence[object]) -> tuple[bytes, ...]:
    """Return keyed hashes of a request: plain ones would let short bodies be guessed.

    The first, under SECRET_KEY, is stored; the others, under SECRET_KEY_FALLBACKS, may have been stored earlier.
    """
    message = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(hmac.digest(secret.encode(), message, hashlib.sha256) for secret in secrets)


def replayed(replay: Replay) -> HttpResponse:
    """Return a stored result as a response, marked as a replay."""
    return reply_json(replay.body.encode() or None, replay.status, {"Idempotent-Replayed": "true"})


def once(
    method: Method,
    *,
    query: type[QueryModel] | None = None,
    body: type[BodyModel] | None = None,
    encryption: Encryption | None = None,
    prepare: Callable[[Request], object] | None = None,
) -> Method:
    """Run a view's method once per Idempotency-Key, storing its response in the same transaction.

    ``query`` and ``body`` are its models. ``encryption`` encrypts the stored response where it shows a secret, or
    a URL, which may contain one.
    ``prepare`` runs before the transaction, for slow work; its result is passed to the method as ``prepared``.
    """

    @wraps(method)
    def keyed_view(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        ticket = None
        if "HTTP_IDEMPOTENCY_KEY" in request.META:
            ticket = ticket_of(
                view,
                request,
                body=parse_body(body, request.data) if body else None,
                query=parse_query(query, request) if query else None,
            )

        def work() -> HttpResponse | Replay:
            more = dict(kwargs)
            if prepare:
                if ticket and (replay := ticket.past().replay):
                    return replay
                more["prepared"] = prepare(request)
            if ticket is None:
                return method(view, request, *args, **more)
            with transaction.atomic():
                ticket.lock()
                past = ticket.past()
                if past.replay:
                    return past.replay
                response = method(view, request, *args, **more)
                past.check()
                body = response.content.decode()
                ticket.keep(
                    Replay(response.status_code, encryption.seal(body) if encryption and body else body)
                )
                point("answer-kept")
            return response

        result = settle(ticket, work)
        if not isinstance(result, Replay):
            return result
        if encryption and result.body:
            result = Replay(result.status, encryption.unseal(result.body))
        return replayed(result)

    return keyed_view
