"""From a token to its Caller, cheaply.

Each process remembers what a token stood for during CREDENTIAL_TTL_MS (one second) and then asks
Postgres again: a request costs a hash and a look-up in a dict, a busy key one query a second, and a
revoked key, an ended session or a lost membership is refused within that second everywhere. Nothing
has to be told to anybody, so nothing goes stale when Redis is away.
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

KEY_MARK: Final = "wk_"
PREFIX_LENGTH: Final = 8
REMEMBERED: Final = 10_000
USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Known:
    """``until`` is on the monotonic clock; ``expires`` is the credential's own end, if it has one."""

    caller: Caller
    until: float
    expires: datetime | None


_known: Final[OrderedDict[bytes, _Known]] = OrderedDict()


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def prefix_of(token: str) -> str:
    return token[len(KEY_MARK) : len(KEY_MARK) + PREFIX_LENGTH]


def caller_of(token: str) -> Caller:
    """The caller an API key or an access token stands for. Raises Unauthorized when it is not good (any more)."""
    digest = digest_of(token)
    known = _known.get(digest)
    if known is not None and time.monotonic() < known.until:
        if known.expires is None or clock.now() < known.expires:
            return known.caller
        raise Unauthorized
    caller, expires = _of_key(token, digest) if token.startswith(KEY_MARK) else _of_access_token(token)
    until = time.monotonic() + settings.CREDENTIAL_TTL_MS / 1000
    _known[digest] = _Known(caller, until, expires)
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return caller


def forget() -> None:
    """Ask Postgres again about every credential, in this process at once; in others within the second."""
    _known.clear()


def caller_of_user(user: User) -> Caller:
    """A person as a caller: the memberships, or everything for a superuser."""
    grants: dict[str, frozenset[Permission]] = {
        restaurant_id or EVERYWHERE: PERMISSIONS[role]
        for restaurant_id, role in Membership.objects.filter(user=user).values_list("restaurant_id", "role")
    }
    if user.is_superuser:
        grants[EVERYWHERE] = frozenset(Permission)
    return Caller(CallerKind.USER, str(user.pk), grants)


def permissions_of(role: str, scopes: list[str] | None) -> frozenset[Permission]:
    """What a key may do: its role's permissions, those among its scopes where it has any."""
    held = PERMISSIONS[role]
    return held if scopes is None else held & frozenset(Permission(scope) for scope in scopes)


def _of_key(token: str, digest: bytes) -> tuple[Caller, datetime | None]:
    now = clock.now()
    key = (
        ApiKey.objects.filter(prefix=prefix_of(token), revoked_at__isnull=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        .first()
    )
    if key is None or not hmac.compare_digest(bytes(key.digest), digest):
        raise Unauthorized
    if key.last_used_at is None or now - key.last_used_at > USE_NOTED_EVERY:
        # Conditional, so that of several processes one writes; once a minute at most, not once a request.
        noted = ApiKey.objects.filter(
            Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED_EVERY), pk=key.pk
        ).update(last_used_at=now)
        if noted and (key.last_used_at is None or _hour(key.last_used_at) != _hour(now)):
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
