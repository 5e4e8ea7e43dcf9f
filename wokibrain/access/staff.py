"""Who may enter the back office."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User


def is_staff(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Return whether this user may enter the back office at all."""
    return isinstance(user, User) and user.is_active and user.is_staff
