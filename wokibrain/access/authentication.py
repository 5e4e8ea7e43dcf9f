"""Authentication of REST requests: from a request's credentials to a ``Caller``."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from wokibrain.access.credentials import caller_of
from wokibrain.core import context
from wokibrain.core.callers import Caller, anonymous
from wokibrain.core.client_address import client_address
from wokibrain.core.errors import Unauthorized

MAX_TOKEN_LENGTH: Final = 4096


class CredentialAuthentication(BaseAuthentication):
    """Accepts ``X-API-Key`` or ``Authorization: Bearer``; refuses two that differ."""

    def authenticate(self, request: Request) -> tuple[Caller, str | None]:
        token = token_in(request.META)
        if token is None:
            return anonymous(client_address(request.META)), None
        caller = caller_of(token)
        context.act_as(caller.actor)
        return caller, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="wokibrain"'


def token_in(meta: Mapping[str, Any]) -> str | None:
    """Return the token in WSGI headers; None where there is none. Raises Unauthorized for a malformed one."""
    key: str | None = meta.get("HTTP_X_API_KEY")
    authorization: str | None = meta.get("HTTP_AUTHORIZATION")
    bearer = None
    if authorization is not None:
        scheme, _, bearer = authorization.partition(" ")
        bearer = bearer.strip()
        if scheme.lower() != "bearer" or not bearer:
            raise Unauthorized
    for token in (key, bearer):
        if token is not None and (len(token) > MAX_TOKEN_LENGTH or not token.isascii() or "\x00" in token):
            raise Unauthorized
    if key is not None and bearer is not None and not hmac.compare_digest(key, bearer):
        raise Unauthorized
    return key if key is not None else bearer
