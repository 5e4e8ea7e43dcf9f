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
MARK: Final = 32
"""So much it carries of the keyed hash that another password changes, as Django's own sessions carry it."""


def issue(session: LoginSession) -> tuple[str, str]:
    """An access and a refresh token of that session; the refresh token is the session's current one."""
    pair: list[str] = []
    for kind in (AccessToken, RefreshToken):
        token = kind()
        token[USER] = str(session.user_id)
        token[SESSION] = str(session.id)
        token[PASSWORD] = session.user.get_session_auth_hash()[:MARK]
        if kind is RefreshToken:
            token["jti"] = session.token_id
        pair.append(str(token))
    return pair[0], pair[1]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token of ours says: whose it is, of which sign-in, under which password, until when (Unix seconds)."""

    user_id: int
    session_id: UUID
    token_id: str
    password: str
    expires: float

    def require_password_of(self, user: User) -> None:
        """Raise Unauthorized when the password has been changed since, by whomever and however."""
        marks = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
        if not any(constant_time_compare(self.password, mark[:MARK]) for mark in marks):
            raise Unauthorized


def of_access(token: str) -> Claims:
    """Raises Unauthorized for what is no good access token."""
    return _claims(AccessToken, token)


def of_refresh(token: str) -> Claims:
    """Raises Unauthorized for what is no good refresh token."""
    return _claims(RefreshToken, token)


def _claims(kind: type[Token], token: str) -> Claims:
    try:
        said = kind(token)  # type: ignore[arg-type]
        # A token of ours has all of it, in this shape; one signed with our secret elsewhere may not.
        return Claims(
            int(said[USER]), UUID(said[SESSION]), str(said["jti"]), str(said[PASSWORD]), float(said["exp"])
        )
    except (TokenError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unauthorized from error
