"""Permissions and roles. A user has a role at each restaurant; ``super_admin`` applies to all of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Permission(StrEnum):
    BOOKING_CREATE = "booking:create"
    BOOKING_READ = "booking:read"
    BOOKING_UPDATE = "booking:update"
    BOOKING_DELETE = "booking:delete"
    BOOKING_OWN = "booking:own"
    """Change and cancel the bookings that the caller itself made."""
    GUEST_READ = "guest:read"
    RESTAURANT_CREATE = "restaurant:create"
    RESTAURANT_READ = "restaurant:read"
    RESTAURANT_UPDATE = "restaurant:update"
    RESTAURANT_DELETE = "restaurant:delete"
    TABLE_CREATE = "table:create"
    TABLE_READ = "table:read"
    TABLE_UPDATE = "table:update"
    TABLE_DELETE = "table:delete"
    ANALYTICS_READ = "analytics:read"
    WEBHOOK_MANAGE = "webhook:manage"


class Role(models.TextChoices):
    SUPER_ADMIN = "super_admin", _("Super administrator")
    ADMIN = "restaurant_admin", _("Restaurant administrator")
    MANAGER = "restaurant_manager", _("Restaurant manager")
    STAFF = "restaurant_staff", _("Restaurant staff")
    API_CLIENT = "api_client", _("API client")


_P = Permission
_STAFF = {
    _P.BOOKING_CREATE, _P.BOOKING_READ, _P.BOOKING_UPDATE, _P.BOOKING_DELETE, _P.GUEST_READ,
    _P.RESTAURANT_READ, _P.TABLE_READ, _P.ANALYTICS_READ,
}  # fmt: skip
_ADMIN = frozenset(Permission) - {_P.RESTAURANT_CREATE}

PERMISSIONS: Final[Mapping[str, frozenset[Permission]]] = {
    Role.SUPER_ADMIN: frozenset(Permission),
    Role.ADMIN: _ADMIN,
    Role.MANAGER: frozenset(_STAFF),
    Role.STAFF: frozenset(_STAFF),
    Role.API_CLIENT: frozenset({_P.BOOKING_CREATE, _P.BOOKING_READ, _P.BOOKING_OWN, _P.RESTAURANT_READ}),
}
"""The permissions of each role at the restaurants where a caller has it."""
