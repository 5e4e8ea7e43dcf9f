"""Who is asking, and where they may do what.

A ``Caller`` goes into every selector and service, so that keeping tenants apart is a property of
the query and not of the view that happened to be in front of it.
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
    """One party asking for something.

    ``id`` names the credential (for idempotency, throttling and audit) and never holds personal
    data; ``grants`` maps a restaurant id, or ``"*"`` for all, to the permissions held there.
    """

    kind: CallerKind
    id: str
    grants: Mapping[str, frozenset[Permission]] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """How events and audit rows name this caller, e.g. ``api_key:3f...``."""
        if self.kind is CallerKind.ANONYMOUS:
            return self.kind.value
        return f"{self.kind.value}:{self.id}"

    def permissions_at(self, restaurant_id: str) -> frozenset[Permission]:
        nothing: frozenset[Permission] = frozenset()
        return self.grants.get(restaurant_id, nothing) | self.grants.get(EVERYWHERE, nothing)

    def may(self, permission: Permission, restaurant_id: str) -> bool:
        return permission in self.permissions_at(restaurant_id)

    def restaurants(self, permission: Permission) -> frozenset[str] | None:
        """The restaurants where this caller holds ``permission``; None means all of them."""
        if permission in self.grants.get(EVERYWHERE, ()):
            return None
        return frozenset(place for place, held in self.grants.items() if permission in held)

    def require(self, permission: Permission, restaurant_id: str) -> None:
        """Raise unless the caller holds ``permission`` at the restaurant.

        A known caller with no footing at all there gets ``NotFound``, the same as for a restaurant
        that does not exist; with some footing but not this permission, ``Forbidden``; a caller
        without credentials gets ``Unauthorized``.
        """
        if self.may(permission, restaurant_id):
            return
        if self.kind is CallerKind.ANONYMOUS:
            raise Unauthorized
        if not self.permissions_at(restaurant_id):
            raise NotFound.at("restaurantId")
        raise Forbidden

    def require_somewhere(self, permission: Permission) -> None:
        """Raise Unauthorized for a caller without credentials who holds ``permission`` nowhere.

        Asked before something is looked up that must not be probed for.
        """
        if self.kind is CallerKind.ANONYMOUS and self.restaurants(permission) == frozenset():
            raise Unauthorized


SYSTEM: Final = Caller(CallerKind.SYSTEM, "wokibrain", {EVERYWHERE: PERMISSIONS[Role.SUPER_ADMIN]})
"""The product itself: commands, scheduled jobs, the seed."""


def anonymous(address: str) -> Caller:
    """A caller without credentials: what PUBLIC_PERMISSIONS says, told apart by address.

    The address itself is personal data and is not kept: the id is a keyed hash of it.
    """
    return _anonymous(address, tuple(settings.PUBLIC_PERMISSIONS), settings.SECRET_KEY)


@lru_cache(maxsize=4096)
def _anonymous(address: str, permissions: tuple[str, ...], key: str) -> Caller:
    return Caller(
        CallerKind.ANONYMOUS,
        hmac.new(key.encode(), address.encode(), "sha256").hexdigest()[:32],
        {EVERYWHERE: frozenset(Permission(name) for name in permissions)},
    )
