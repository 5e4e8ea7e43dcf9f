"""Signing in over REST."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from wokibrain.access import sessions
from wokibrain.access.api.schemas import LoginBody, RefreshBody, TokensOut
from wokibrain.access.sessions import Tokens
from wokibrain.core.errors import Code
from wokibrain.rest.idempotency import Idempotency
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, parse_body, reply


class _OpenView(ApiView):
    """A view without authentication: the body is the credential."""

    authentication_classes = []


def _tokens(tokens: Tokens) -> HttpResponse:
    out = TokensOut(access_token=tokens.access, refresh_token=tokens.refresh, expires_in=tokens.expires_in)
    return reply(out)


class LoginView(_OpenView):
    @operation(
        "login",
        "Sign in",
        """With a staff member's name and password. After too many failed attempts: 429 for a while. Takes no
        `Idempotency-Key`, since the tokens are not stored; if the response is lost, sign in again.""",
        body=LoginBody,
        out=TokensOut,
        errors=(Code.UNAUTHORIZED,),
        idempotency=Idempotency.NONE,
        tag="auth",
        open_to_all=True,
    )
    def post(self, request: Request) -> HttpResponse:
        body = parse_body(LoginBody, request.data)
        return _tokens(
            sessions.login(request=request._request, username=body.username, password=body.password)
        )


class RefreshView(_OpenView):
    @operation(
        "refresh",
        "Exchange a refresh token",
        """For a new pair. A refresh token works once: using it again ends the whole session, since it may
        have been stolen. Takes no `Idempotency-Key`, which would make it work twice; if the response is
        lost, sign in again.""",
        body=RefreshBody,
        out=TokensOut,
        errors=(Code.UNAUTHORIZED,),
        idempotency=Idempotency.NONE,
        tag="auth",
        open_to_all=True,
    )
    def post(self, request: Request) -> HttpResponse:
        return _tokens(sessions.refresh(token=parse_body(RefreshBody, request.data).refresh_token))


class LogoutView(_OpenView):
    @operation(
        "logout",
        "Sign out",
        """Ends the session: its refresh token at once, its access tokens within a second. Takes no
        `Idempotency-Key`: repeating it has no effect and gets the same response.""",
        body=RefreshBody,
        status=204,
        errors=(Code.UNAUTHORIZED,),
        idempotency=Idempotency.NONE,
        tag="auth",
        open_to_all=True,
    )
    def post(self, request: Request) -> HttpResponse:
        sessions.logout(token=parse_body(RefreshBody, request.data).refresh_token)
        return HttpResponse(status=204)
