"""From a request's credentials to a ``Caller``."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from wokibrain import context
from wokibrain.access.addresses import client_address
from wokibrain.access.callers import EVERYWHERE, Caller, CallerKind
from wokibrain.access.credentials import caller_of
from wokibrain.access.permissions import Permission
from wokibrain.errors import Unauthorized


def anonymous(address: str) -> Caller:
    """A caller without credentials: what PUBLIC_PERMISSIONS says, told apart by address.

    The address itself is personal data and is not kept: the id is a keyed hash of it.
    """
    return _anonymous(address, tuple(settings.PUBLIC_PERMISSIONS), settings.SECRET_KEY)


@lru_cache(maxsize=4096)
def _anonymous(address: str, permissions: tuple[str, ...], key: str) -> Caller:
    return Caller(
        CallerKind.ANONYMOUS,
        hmac.new(key.encode(), address.encode(), "sha256").hexdigest()[:32],
        {EVERYWHERE: frozenset(Permission(name) for name in permissions)},
    )


class CredentialAuthentication(BaseAuthentication):
    """``X-API-Key`` or ``Authorization: Bearer``; two that disagree are refused."""

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
    """The token of a request's headers (as WSGI spells them), if any. Raises Unauthorized for a malformed one."""
    key: str | None = meta.get("HTTP_X_API_KEY")
    authorization: str | None = meta.get("HTTP_AUTHORIZATION")
    bearer = None
    if authorization is not None:
        scheme, _, bearer = authorization.partition(" ")
        bearer = bearer.strip()
        if scheme.lower() != "bearer" or not bearer:
            raise Unauthorized
    for given in (key, bearer):
        if given is not None and (len(given) > 4096 or not given.isascii() or "\x00" in given):
            raise Unauthorized
    if key is not None and bearer is not None and not hmac.compare_digest(key, bearer):
        raise Unauthorized
    return key if key is not None else bearer
