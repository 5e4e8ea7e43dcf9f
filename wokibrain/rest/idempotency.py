"""Idempotency-Keys over REST: from the header to a ticket, and a view that is run once per key."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
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
from wokibrain.rest.views import ApiView, reply_json

HEADER: Final = "Idempotency-Key"
FORM: Final = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
RECEIVED: Final = "wokibrain.received"
"""Where the bridge notes, in the environ, when a request came in."""

Method = Callable[..., HttpResponse]


class Keyed(Enum):
    """Who sees to an operation's Idempotency-Keys."""

    HERE = "once"
    """``once`` does, with one transaction around the whole operation."""
    DEEPER = "service"
    """The view and its service do."""
    NEVER = "never"
    """Nobody; its description says why."""


class Vault(Protocol):
    """Encrypts what may not lie about as it is."""

    def seal(self, secret: str) -> str: ...

    def unseal(self, sealed: str) -> str: ...


def ticket_of(view: ApiView, request: Request, body: object = None) -> Ticket | None:
    """The request's key with what was asked; None without one. Raises ValidationFailed for a malformed one."""
    return ticket_for(view.holder(request), request, body)


def ticket_for(holder: str, request: Request | HttpRequest, body: object = None) -> Ticket | None:
    """``ticket_of`` where there is no such view; ``holder`` is whose key it is."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None or without("idempotency"):
        return None
    if not FORM.fullmatch(key):
        raise ValidationFailed.at(HEADER, _("Use 1-255 printable ASCII characters."))
    received: float = request.META.get(RECEIVED) or time.monotonic()
    return Ticket(holder, key, fingerprints(request, body), received)


def fingerprints(request: Request | HttpRequest, body: object) -> tuple[bytes, ...]:
    """Stand for method, path, query and body; keyed, since a body may hold what is worth guessing at.

    The first, under SECRET_KEY, is what is kept; under each of SECRET_KEY_FALLBACKS it may have been.
    """
    asked = [request.method, request.path, request.META.get("QUERY_STRING", ""), body]
    said = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(hmac.digest(secret.encode(), said, hashlib.sha256) for secret in secrets)


def replayed(replay: Replay) -> HttpResponse:
    """The response of a result given before."""
    return reply_json(replay.body.encode() or None, replay.status, {"Idempotent-Replayed": "true"})


def once(
    method: Method,
    *,
    has_body: bool,
    vault: Vault | None = None,
    prepare: Callable[[Request], object] | None = None,
) -> Method:
    """Run a view's method once per Idempotency-Key, in one transaction with the keeping of its answer.

    ``vault``: what its answer is encrypted with, where that shows a secret, or a URL, which may hold one.
    ``prepare`` comes before the transaction, for what may take its time, and what it returns is given to
    the method as ``prepared``.
    """

    @wraps(method)
    def answered(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        ticket = ticket_of(view, request, request.data if has_body else None)

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
                ticket.keep(Replay(response.status_code, vault.seal(body) if vault and body else body))
                point("answer-kept")
            return response

        result = settle(ticket, work)
        if not isinstance(result, Replay):
            return result
        if vault and result.body:
            result = Replay(result.status, vault.unseal(result.body))
        return replayed(result)

    return answered
