"""From a token to its Caller, cached for a second.

Each process caches a token's caller for CREDENTIAL_TTL_MS (one second) and then asks Postgres again.
A request costs a hash and a dict look-up, a busy key one query per second, and a revoked key, an ended
session or a removed membership is refused everywhere within that second. No invalidation messages are
needed, so nothing goes stale when Redis is away.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q

from wokibrain.access import audit, tokens
from wokibrain.access.models import ApiKey, LoginSession, Membership
from wokibrain.core import clock
from wokibrain.core.callers import EVERYWHERE, Caller, CallerKind
from wokibrain.core.errors import Unauthorized
from wokibrain.core.permissions import PERMISSIONS, Permission

KEY_PREFIX: Final = "wk_"
PREFIX_LENGTH: Final = 8
"""Characters after ``wk_`` that identify a key in lists and look-ups."""
MAX_CACHED: Final = 10_000
LAST_USED_INTERVAL: Final = timedelta(minutes=1)
"""How often ``last_used_at`` is written at most."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """A caller, cached until ``until`` (monotonic); ``expires`` is the credential's own expiry, if any."""

    caller: Caller
    until: float
    expires: datetime | None


_cache: Final[OrderedDict[bytes, _Cached]] = OrderedDict()


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def prefix_of(token: str) -> str:
    return token[len(KEY_PREFIX) : len(KEY_PREFIX) + PREFIX_LENGTH]


def caller_of(token: str) -> Caller:
    """Return the caller of an API key or access token. Raises Unauthorized when it is invalid or expired."""
    digest = digest_of(token)
    cached = _cache.get(digest)
    if cached is not None and time.monotonic() < cached.until:
        if cached.expires is None or clock.now() < cached.expires:
            return cached.caller
        raise Unauthorized
    caller, expires = _of_key(token, digest) if token.startswith(KEY_PREFIX) else _of_access_token(token)
    until = time.monotonic() + settings.CREDENTIAL_TTL_MS / 1000
    _cache[digest] = _Cached(caller, until, expires)
    while len(_cache) > MAX_CACHED:
        _cache.popitem(last=False)
    return caller


def forget() -> None:
    """Empty this process's cache at once; other processes notice a change within a second."""
    _cache.clear()


def caller_of_user(user: User) -> Caller:
    """Return a person as a caller, with the permissions of their memberships; superusers have all."""
    grants: dict[str, frozenset[Permission]] = {
        restaurant_id or EVERYWHERE: PERMISSIONS[role]
        for restaurant_id, role in Membership.objects.filter(user=user).values_list("restaurant_id", "role")
    }
    if user.is_superuser:
        grants[EVERYWHERE] = frozenset(Permission)
    return Caller(CallerKind.USER, str(user.pk), grants)


def permissions_of(role: str, scopes: list[str] | None) -> frozenset[Permission]:
    """Return a key's permissions: those of its role, narrowed to its scopes where it has any."""
    permissions = PERMISSIONS[role]
    return permissions if scopes is None else permissions & frozenset(Permission(scope) for scope in scopes)


def _of_key(token: str, digest: bytes) -> tuple[Caller, datetime | None]:
    now = clock.now()
    key = (
        ApiKey.objects.filter(prefix=prefix_of(token), revoked_at__isnull=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        .first()
    )
    if key is None or not hmac.compare_digest(bytes(key.digest), digest):
        raise Unauthorized
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_INTERVAL:
        # Conditional, so that only one of several processes writes, and at most once a minute.
        updated = ApiKey.objects.filter(
            Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USED_INTERVAL), pk=key.pk
        ).update(last_used_at=now)
        if updated and (key.last_used_at is None or _hour(key.last_used_at) != _hour(now)):
            audit.key_used(key)
    grants = {key.restaurant_id or EVERYWHERE: permissions_of(key.role, key.scopes)}
    return Caller(CallerKind.API_KEY, str(key.id), grants), key.expires_at


def _of_access_token(token: str) -> tuple[Caller, datetime | None]:
    claims = tokens.of_access(token)
    session = (
        LoginSession.objects.filter(
            pk=claims.session_id, user_id=claims.user_id, ended_at__isnull=True, user__is_active=True
        )
        .select_related("user")
        .first()
    )
    if session is None:
        raise Unauthorized
    claims.require_password_of(session.user)
    return caller_of_user(session.user), datetime.fromtimestamp(claims.expires, UTC)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
