"""Access and refresh tokens: JWTs signed with JWT_SECRET, HS256 and nothing else."""

from __future__ import annotations

from uuid import UUID

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from wokibrain.access.models import LoginSession
from wokibrain.errors import Unauthorized

USER = "sub"
SESSION = "sid"


def issue(session: LoginSession) -> tuple[str, str]:
    """An access and a refresh token of that session; the refresh token is the session's current one."""
    pair: list[str] = []
    for kind in (AccessToken, RefreshToken):
        token = kind()
        token[USER] = str(session.user_id)
        token[SESSION] = str(session.id)
        if kind is RefreshToken:
            token["jti"] = session.token_id
        pair.append(str(token))
    return pair[0], pair[1]


def session_of_access(token: str) -> tuple[int, UUID, float]:
    """(user, session, expiry in Unix seconds) of an access token. Raises Unauthorized for any other."""
    claims = _claims(AccessToken, token)
    return int(claims[USER]), UUID(claims[SESSION]), float(claims["exp"])


def session_of_refresh(token: str) -> tuple[UUID, str]:
    """(session, token id) of a refresh token. Raises Unauthorized for any other."""
    claims = _claims(RefreshToken, token)
    return UUID(claims[SESSION]), claims["jti"]


def _claims(kind: type[Token], token: str) -> Token:
    try:
        claims = kind(token)  # type: ignore[arg-type]
        # A token of ours has both, in this shape; one signed with our secret elsewhere may not.
        int(claims[USER])
        UUID(claims[SESSION])
    except (TokenError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unauthorized from error
    return claims
