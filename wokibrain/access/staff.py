"""People who sign in to the back office, as callers."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from wokibrain.access.callers import EVERYWHERE, Caller, CallerKind
from wokibrain.access.models import Membership
from wokibrain.access.permissions import PERMISSIONS, Permission


def caller_of_user(user: User) -> Caller:
    """A person as a caller: the memberships, or everything for a superuser."""
    grants: dict[str, frozenset[Permission]] = {
        restaurant_id or EVERYWHERE: PERMISSIONS[role]
        for restaurant_id, role in Membership.objects.filter(user=user).values_list("restaurant_id", "role")
    }
    if user.is_superuser:
        grants[EVERYWHERE] = frozenset(Permission)
    return Caller(CallerKind.USER, str(user.pk), grants)


def is_staff(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether this person may enter the back office at all."""
    return isinstance(user, User) and user.is_active and user.is_staff
