"""Signing in to the back office."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import ngettext
from unfold.forms import AuthenticationForm

from wokibrain.access import audit
from wokibrain.core.errors import RateLimitExceeded


def sign_in(request: HttpRequest) -> HttpResponse:
    """Serve the admin's sign-in page; 429 with Retry-After, as from the API, after too many attempts."""
    response = admin.site.login(request)
    refusal = _refusal(request)
    if refusal is not None:
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        for name, value in refusal.headers.items():
            response[name] = value
    return response


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    def clean(self) -> dict[str, Any]:
        """Say how long to wait after too many attempts, instead of calling the password wrong."""
        try:
            return cast(dict[str, Any], super().clean())
        except ValidationError:
            refusal = _refusal(self.request)
            if refusal is None:
                raise
            minutes = ceil((int(refusal.headers["Retry-After"]) - 1) / 60)
            text = ngettext(
                "Too many attempts to sign in. Wait %(count)d minute, then try again.",
                "Too many attempts to sign in. Wait %(count)d minutes, then try again.",
                minutes,
            )
            raise ValidationError(text % {"count": minutes}) from None

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Audit a correct password without access to the back office like a wrong one."""
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            audit.signed_in(user.pk, "sign-in.failed")
            raise


def _refusal(request: HttpRequest | None) -> RateLimitExceeded | None:
    return getattr(request, "sign_in_refusal", None)
