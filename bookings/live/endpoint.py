"""The ASGI application of /ws/: it authenticates the handshake before it accepts the socket."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.cookie import parse_cookie
from django.utils import translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from bookings.live.connection import NOT_ALLOWED, Receive, Send, Socket, Visitor, in_thread
from wokibrain.access.credentials import caller_of, caller_of_user
from wokibrain.access.staff import is_staff
from wokibrain.core import context
from wokibrain.core.callers import anonymous
from wokibrain.core.client_address import client_address
from wokibrain.core.context import request_id
from wokibrain.core.errors import DomainError, Forbidden, Unauthorized, ValidationFailed
from wokibrain.rest.views import domain_error, error_response
from wokibrain.server import handshakes

Scope = MutableMapping[str, Any]

MAX_TOKEN_CHARACTERS: Final = 4_096
NOT_SOCKET_IO: Final = _(
    "This is a WebSocket, not Socket.IO. Connect a plain WebSocket client to /ws/; /docs/websockets has its messages."
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of a handshake: a token, else a session key, else neither."""

    token: str | None
    session: str | None
    address: str


def credentials_of(scope: Scope) -> Credentials:
    """Return the credentials of a handshake, unverified.

    Raises Unauthorized for malformed credentials and for two different tokens. Raises Forbidden for a
    session cookie from another origin: browsers send cookies with the requests of any page.
    """
    headers = _headers(scope)
    try:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
    except ValueError:
        raise Unauthorized from None
    tokens = {*query.get("token", ())}
    if key := headers.get("x-api-key"):
        tokens.add(key)
    if authorization := headers.get("authorization"):
        scheme, _space, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            raise Unauthorized
        tokens.add(bearer.strip())
    address = _address_of(scope)
    if tokens:
        if len(tokens) > 1 or len(token := tokens.pop()) > MAX_TOKEN_CHARACTERS or "\x00" in token:
            raise Unauthorized
        return Credentials(token, None, address)
    session = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if session and "\x00" in session:
        raise Unauthorized
    if session and not _own_page(headers.get("origin"), headers.get("host", "")):
        raise Forbidden
    return Credentials(None, session, address)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _address_of(scope: Scope) -> str:
    """Return the client's address by the rule of every request: only TRUSTED_PROXIES may forward one."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    remote = (scope.get("client") or ("",))[0]
    return client_address({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": ",".join(forwarded)})


def _own_page(origin: str | None, host: str) -> bool:
    if origin is None:
        return False
    try:
        return origin in settings.CSRF_TRUSTED_ORIGINS or urlsplit(origin).netloc == host
    except ValueError:
        return False


def visitor_of(credentials: Credentials) -> Visitor:
    """Return the visitor of the credentials. Raises Unauthorized for a token that is invalid or expired."""
    if credentials.token is not None:
        return Visitor(caller_of(credentials.token))
    if credentials.session is not None and (user := _user_of(credentials.session)):
        return Visitor(caller_of_user(user), user.get_full_name() or user.get_username())
    return Visitor(anonymous(credentials.address))


def _user_of(key: str) -> User | None:
    session: SessionBase = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(key)
    user = get_user(type("Request", (), {"session": session})())
    return user if isinstance(user, User) and is_staff(user) else None


def refuse_socket_io(scope: Scope) -> None:
    """Raise ValidationFailed for a client of Socket.IO, which would not understand what is said here."""
    pairs = scope.get("query_string", b"").split(b"&")
    if any(pair.partition(b"=")[0] == b"EIO" for pair in pairs):
        raise ValidationFailed.at("EIO", NOT_SOCKET_IO)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket connection; bad credentials are refused before the socket is accepted.

    Every error on the connection bears the request id of the handshake, in the language of its Accept-Language.
    """
    await receive()
    headers, request = _headers(scope), HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get("accept-language", "")
    request.COOKIES = parse_cookie(headers.get("cookie", ""))
    here = context.Context(request_id=request_id(headers.get("x-request-id")), source="websocket")
    with context.entered(here), translation.override(translation.get_language_from_request(request)):
        try:
            refuse_socket_io(scope)
            credentials = credentials_of(scope)
            visitor = await in_thread(visitor_of, credentials)
        except (DomainError, OperationalError, InterfaceError) as error:
            await _refuse(scope, receive, send, error_response(domain_error(error), request))
            return
        await send({"type": "websocket.accept"})
        await Socket(visitor, partial(visitor_of, credentials), send).serve(receive)


async def _refuse(scope: Scope, receive: Receive, send: Send, response: HttpResponse) -> None:
    response["X-Request-ID"] = context.current().request_id
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    await handshakes.refuse(
        scope,
        receive,
        send,
        status=response.status_code,
        headers=headers,
        body=response.content,
        code=NOT_ALLOWED,
    )
