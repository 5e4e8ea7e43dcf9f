"""Django's side of signing in: the admin's form and the API share one guard against guessing."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import user_logged_in
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest

from wokibrain.access import audit, password_guard
from wokibrain.core.client_address import client_address
from wokibrain.core.errors import RateLimitExceeded


class GuardedBackend(ModelBackend):
    """Signs users in by name and password, within the guard's limits."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user, or None.

        Raises PermissionDenied, which ends Django's search, after too many attempts; ``sign_in_refusal`` of the
        request is the reason then, for the page to tell.
        """
        if username is None or password is None or "\x00" in username:
            return None
        try:
            return verify_password(request, username, password, super().authenticate)
        except RateLimitExceeded as error:
            if request is not None:
                request.sign_in_refusal = error  # type: ignore[attr-defined]
            raise PermissionDenied from error


def verify_password(
    request: HttpRequest | None, username: str, password: str, look_up: Any = None
) -> User | None:
    """Return the user with this name and password, or None.

    Failures are recorded in the audit trail; the caller records a success once the user is let in.
    Raises RateLimitExceeded after too many attempts.
    """
    address = client_address(request.META) if request else "none"
    try:
        password_guard.admit(username, address)
    except password_guard.TooManyAttempts as error:
        if error.first:
            audit.signed_in(None, "sign-in.blocked")
        raise
    look_up = look_up or ModelBackend().authenticate
    user: User | None = look_up(request, username=username, password=password)
    if user is None:
        audit.signed_in(None, "sign-in.failed")
    else:
        password_guard.succeeded(username, address)
    return user


@receiver(user_logged_in)
def signed_in(sender: object, user: User, **_: object) -> None:
    """Record that the back office let a user in, which a correct password alone does not guarantee."""
    audit.signed_in(user.pk, "sign-in")
