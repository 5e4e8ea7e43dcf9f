"""The caller of a request and its permissions at each restaurant.

Every selector and service takes a ``Caller``, so that tenants are kept apart by the query itself and not by the view
in front of it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from django.conf import settings

from wokibrain.core.errors import Forbidden, NotFound, Unauthorized
from wokibrain.core.permissions import PERMISSIONS, Permission, Role

EVERYWHERE: Final = "*"


class CallerKind(StrEnum):
    ANONYMOUS = "anonymous"
    API_KEY = "api_key"
    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, a program or the product itself, with permissions.

    ``id`` identifies the credential (for idempotency, throttling and audit) and holds no personal data; ``grants``
    maps a restaurant id, or ``"*"`` for all restaurants, to the permissions there.
    """

    kind: CallerKind
    id: str
    grants: Mapping[str, frozenset[Permission]] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """Return the name of this caller in events and audit entries, e.g. ``api_key:3f...``."""
        if self.kind is CallerKind.ANONYMOUS:
            return self.kind.value
        return f"{self.kind.value}:{self.id}"

    def permissions_at(self, restaurant_id: str) -> frozenset[Permission]:
        nothing: frozenset[Permission] = frozenset()
        return self.grants.get(restaurant_id, nothing) | self.grants.get(EVERYWHERE, nothing)

    def may(self, permission: Permission, restaurant_id: str) -> bool:
        return permission in self.permissions_at(restaurant_id)

    def covers(self, other: Caller) -> bool:
        """Return whether this caller has every permission of ``other``, at every restaurant."""
        return all(granted <= self.permissions_at(restaurant) for restaurant, granted in other.grants.items())

    def restaurants(self, permission: Permission) -> frozenset[str] | None:
        """Return the ids of the restaurants where this caller has ``permission``; None means all of them."""
        if permission in self.grants.get(EVERYWHERE, ()):
            return None
        return frozenset(restaurant for restaurant, granted in self.grants.items() if permission in granted)

    def require(self, permission: Permission, restaurant_id: str) -> None:
        """Raise unless the caller has ``permission`` at the restaurant.

        Unauthorized without credentials; NotFound with no permission at all there, as for a restaurant that does not
        exist; Forbidden with others but not this one.
        """
        if self.may(permission, restaurant_id):
            return
        if self.kind is CallerKind.ANONYMOUS:
            raise Unauthorized
        if not self.permissions_at(restaurant_id):
            raise NotFound.at("restaurantId")
        raise Forbidden

    def require_somewhere(self, permission: Permission) -> None:
        """Raise Unauthorized for a caller without credentials who has ``permission`` nowhere.

        Call it before a lookup, whose outcome would tell such a caller what exists.
        """
        if self.kind is CallerKind.ANONYMOUS and self.restaurants(permission) == frozenset():
            raise Unauthorized


SYSTEM: Final = Caller(CallerKind.SYSTEM, "wokibrain", {EVERYWHERE: PERMISSIONS[Role.SUPER_ADMIN]})
"""The product itself: commands, scheduled jobs, sample data."""


def anonymous(address: str) -> Caller:
    """Return the caller without credentials at that address, with the permissions of PUBLIC_PERMISSIONS.

    Its id is a keyed hash, because the address itself is personal data.
    """
    return _anonymous(address, tuple(settings.PUBLIC_PERMISSIONS), settings.SECRET_KEY)


@lru_cache(maxsize=4096)
def _anonymous(address: str, permissions: tuple[str, ...], key: str) -> Caller:
    return Caller(
        CallerKind.ANONYMOUS,
        hmac.new(key.encode(), address.encode(), "sha256").hexdigest()[:32],
        {EVERYWHERE: frozenset(Permission(name) for name in permissions)},
    )
