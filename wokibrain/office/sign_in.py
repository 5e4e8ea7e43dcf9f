"""Signing in to the back office."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from wokibrain.access import audit


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Audit a correct password without access to the back office like a wrong one."""
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            audit.signed_in(user.pk, "sign-in.failed")
            raise
