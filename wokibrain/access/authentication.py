"""From a request's credentials to a ``Caller``."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from django.conf import settings
from django.db.models import Q
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from wokibrain import clock
from wokibrain.access.callers import EVERYWHERE, Caller, CallerKind
from wokibrain.access.models import ApiKey
from wokibrain.access.permissions import PERMISSIONS, Permission
from wokibrain.errors import Unauthorized

PREFIX_LENGTH: Final = 8
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def new_token() -> str:
    """A fresh API key: ``wk_``, eight characters that name it, and 256 random bits."""
    return "wk_" + "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH + 44))


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def prefix_of(token: str) -> str:
    return token[3 : 3 + PREFIX_LENGTH]


def caller_of_api_key(token: str) -> Caller:
    """The caller an API key stands for. Raises Unauthorized for an unknown, revoked or expired one."""
    now = clock.now()
    key = (
        ApiKey.objects.filter(prefix=prefix_of(token), revoked_at__isnull=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        .first()
    )
    if key is None or not hmac.compare_digest(bytes(key.digest), digest_of(token)):
        raise Unauthorized
    return Caller(CallerKind.API_KEY, str(key.id), {key.restaurant_id or EVERYWHERE: PERMISSIONS[key.role]})


def anonymous(address: str) -> Caller:
    """A caller without credentials: what PUBLIC_PERMISSIONS says, told apart by address.

    The address itself is personal data and is not kept: the id is a keyed hash of it.
    """
    return Caller(
        CallerKind.ANONYMOUS,
        hmac.new(settings.SECRET_KEY.encode(), address.encode(), "sha256").hexdigest()[:32],
        {EVERYWHERE: frozenset(Permission(name) for name in settings.PUBLIC_PERMISSIONS)},
    )


class CredentialAuthentication(BaseAuthentication):
    """``X-API-Key`` or ``Authorization: Bearer``; two that disagree are refused."""

    def authenticate(self, request: Request) -> tuple[Caller, str | None]:
        token = _token(request)
        if token is None:
            return anonymous(request.META.get("REMOTE_ADDR", "")), None
        if not token.startswith("wk_"):
            raise Unauthorized
        return caller_of_api_key(token), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="wokibrain"'


def _token(request: Request) -> str | None:
    key: str | None = request.META.get("HTTP_X_API_KEY")
    authorization: str | None = request.META.get("HTTP_AUTHORIZATION")
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
