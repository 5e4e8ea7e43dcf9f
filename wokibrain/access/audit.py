"""Audit entries of sign-ins, API keys, people and memberships: with ids, never names or secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from wokibrain.access.models import ApiKey, Membership
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import Text
from wokibrain.events import audit

logger = logging.getLogger("wokibrain.audit")

ACTIONS: Final[Mapping[str, Text]] = {
    "UserCreated": _("user created"),
    "UserUpdated": _("user changed"),
    "UserPasswordChanged": _("password of a user changed"),
    "MembershipCreated": _("role granted"),
    "MembershipUpdated": _("role changed"),
    "MembershipDeleted": _("role taken away"),
    "api-key.created": _("API key created"),
    "api-key.revoked": _("API key revoked"),
    "api-key.used": _("API key used"),
    "sign-in": _("signed in"),
    "sign-in.failed": _("sign-in failed"),
    "sign-in.blocked": _("sign-in blocked"),
}
"""Action, as the audit trail stores it -> its words for people."""


def signed_in(user_id: int | None, action: str) -> None:
    """Record a sign-in, or an attempt that failed or was blocked; only a correct password tells whose it was."""
    actor = f"{CallerKind.USER.value}:{user_id}" if user_id else CallerKind.ANONYMOUS.value
    _record(actor, action, "user" if user_id else "", str(user_id or ""), "")


def key_changed(caller: Caller, action: str, key: ApiKey) -> None:
    """Record that a key was created, with its permissions, or revoked. Call within the change's transaction."""
    after: dict[str, Any] = {"revokedAt": key.revoked_at}
    if key.revoked_at is None:
        after = {"role": key.role, "scopes": key.scopes, "expiresAt": key.expires_at}
    _record(caller.actor, action, "api_key", str(key.id), key.restaurant_id or "", after=after)


def person_changed(
    caller: Caller, action: str, user: User, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Record that a user account was created or changed. Call within the change's transaction."""
    _record(caller.actor, action, "user", str(user.pk), "", before, after)


def membership_changed(
    caller: Caller, action: str, membership: Membership, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Record that a person's role at a restaurant was granted, changed or removed.

    Call within the change's transaction. A move to another restaurant is recorded as a removal at the one
    and a grant at the other, so that neither restaurant's trail mentions the other.
    """
    if before and after and before["restaurantId"] != after["restaurantId"]:
        membership_changed(caller, "MembershipDeleted", membership, before, {})
        membership_changed(caller, "MembershipCreated", membership, {}, after)
        return
    _record(
        caller.actor,
        action,
        "user",
        str(membership.user_id),
        after.get("restaurantId") or before.get("restaurantId") or "",
        before,
        after,
    )


def key_used(key: ApiKey) -> None:
    """Record that a key is in use. Callers limit this to once an hour."""
    _record(
        f"{CallerKind.API_KEY.value}:{key.id}",
        "api-key.used",
        "api_key",
        str(key.id),
        key.restaurant_id or "",
    )


def _record(
    actor: str,
    action: str,
    target_type: str,
    target_id: str,
    restaurant_id: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.record(
        actor=actor,
        action=action,
        target_type=target_type,
        target_id=target_id,
        restaurant_id=restaurant_id,
        before=before,
        after=after,
    )
    logger.info("%s", action, extra={"actor": actor, "action": action, "target": target_id})
