"""Signing in and staying signed in: login, refresh, logout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.http import HttpRequest
from rest_framework_simplejwt.settings import api_settings

from wokibrain.access import audit, credentials, tokens
from wokibrain.access.backends import verify_password
from wokibrain.access.models import LoginSession
from wokibrain.core import clock
from wokibrain.core.errors import Unauthorized

logger = logging.getLogger("wokibrain.access")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session; ``expires_in`` is the access token's lifetime in seconds."""

    access: str
    refresh: str
    expires_in: int


def login(*, request: HttpRequest, username: str, password: str) -> Tokens:
    """Begin a session. Raises Unauthorized for a wrong name or password, RateLimitExceeded after too many attempts."""
    user = verify_password(request, username, password)
    if user is None:
        raise Unauthorized
    session = LoginSession.objects.create(
        user=user, token_id=_token_id(), expires_at=clock.now() + api_settings.REFRESH_TOKEN_LIFETIME
    )
    audit.signed_in(user.pk, "sign-in")
    return _issue(session)


def refresh(*, token: str) -> Tokens:
    """Exchange a refresh token for a new pair. Each refresh token works once.

    Using one a second time ends its session; so does a password change since it was issued.
    Raises Unauthorized.
    """
    claims = tokens.of_refresh(token)
    session_id = claims.session_id
    now = clock.now()
    fresh = _token_id()
    # The conditional update makes the token single-use: of concurrent requests, it matches for one.
    renewed = LoginSession.objects.filter(
        pk=session_id,
        token_id=claims.token_id,
        ended_at__isnull=True,
        expires_at__gt=now,
        user__is_active=True,
    ).update(token_id=fresh, expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME)
    if renewed != 1:
        if _end(session_id):
            logger.warning("a refresh token was used twice; its session is ended")
        raise Unauthorized
    session = LoginSession.objects.select_related("user").get(pk=session_id)
    try:
        claims.require_password_of(session.user)
    except Unauthorized:
        _end(session_id)
        raise
    return _issue(session)


def logout(*, token: str) -> None:
    """End the session of a refresh token, if it has not ended yet. Raises Unauthorized."""
    _end(tokens.of_refresh(token).session_id)


def forget_old() -> int:
    """Delete sessions whose last token has expired. Returns how many."""
    return LoginSession.objects.filter(expires_at__lte=clock.now()).delete()[0]


def _end(session_id: UUID) -> bool:
    ended = LoginSession.objects.filter(pk=session_id, ended_at=None).update(ended_at=clock.now())
    credentials.forget()
    return ended == 1


def _issue(session: LoginSession) -> Tokens:
    access, fresh = tokens.issue(session)
    return Tokens(access, fresh, int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()))


def _token_id() -> str:
    return uuid4().hex
