"""Django's side of signing in: the admin's form and the API meet the same guard."""

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
    """Users by name and password, as many tries as the guard admits."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The user, or None. Raises PermissionDenied, which ends Django's search, when tried too often."""
        if username is None or password is None or "\x00" in username:
            return None
        try:
            return verified(request, username, password, super().authenticate)
        except RateLimitExceeded as error:
            raise PermissionDenied from error


def verified(request: HttpRequest | None, username: str, password: str, look_up: Any = None) -> User | None:
    """The user of that name and password. A failure is entered in the audit trail; success by whoever lets them in.

    Raises RateLimitExceeded when there were too many tries.
    """
    address = client_address(request.META) if request else "none"
    try:
        password_guard.admit(username, address)
    except password_guard.TooManyTries as refused:
        if refused.first:
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
    """The back office let somebody in, which it does not do for everybody with a right password."""
    audit.signed_in(user.pk, "sign-in")
