"""Access and refresh tokens: JWTs signed with JWT_SECRET, HS256 and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from wokibrain.access.models import LoginSession
from wokibrain.core.errors import Unauthorized

USER = "sub"
SESSION = "sid"
PASSWORD = "pwd"  # noqa: S105 - a claim's name
PASSWORD_HASH_LENGTH: Final = 32
"""Characters of the session auth hash in a token: a password change invalidates it, as in Django's sessions."""


def issue(session: LoginSession) -> tuple[str, str]:
    """Issue an access token and the current refresh token of a session."""
    pair: list[str] = []
    for kind in (AccessToken, RefreshToken):
        token = kind()
        token[USER] = str(session.user_id)
        token[SESSION] = str(session.id)
        token[PASSWORD] = session.user.get_session_auth_hash()[:PASSWORD_HASH_LENGTH]
        if kind is RefreshToken:
            token["jti"] = session.token_id
        pair.append(str(token))
    return pair[0], pair[1]


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's claims: user, login session, token id, password hash and expiry (Unix seconds)."""

    user_id: int
    session_id: UUID
    token_id: str
    password: str
    expires: float

    def require_password_of(self, user: User) -> None:
        """Raise Unauthorized when the password has changed since the token was issued."""
        hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
        if not any(constant_time_compare(self.password, hash_[:PASSWORD_HASH_LENGTH]) for hash_ in hashes):
            raise Unauthorized


def of_access(token: str) -> Claims:
    """Return the claims of an access token. Raises Unauthorized when it is invalid."""
    return _claims(AccessToken, token)


def of_refresh(token: str) -> Claims:
    """Return the claims of a refresh token. Raises Unauthorized when it is invalid."""
    return _claims(RefreshToken, token)


def _claims(kind: type[Token], token: str) -> Claims:
    try:
        claims = kind(token)  # type: ignore[arg-type]
        # A token signed elsewhere with the same secret may lack some of these claims.
        return Claims(
            int(claims[USER]),
            UUID(claims[SESSION]),
            str(claims["jti"]),
            str(claims[PASSWORD]),
            float(claims["exp"]),
        )
    except (TokenError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unauthorized from error
