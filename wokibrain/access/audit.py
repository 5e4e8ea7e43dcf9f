"""What the audit trail says of sign-ins and keys: ids, never names or secrets."""

from __future__ import annotations

import logging

from wokibrain.access.callers import Caller, CallerKind
from wokibrain.access.models import ApiKey
from wokibrain.events import audit

logger = logging.getLogger("wokibrain.audit")


def signed_in(user_id: int | None, action: str) -> None:
    """A sign-in, or an attempt that failed or was blocked; whose it was is only known when it went well."""
    actor = f"{CallerKind.USER.value}:{user_id}" if user_id else CallerKind.ANONYMOUS.value
    _enter(actor, action, "user" if user_id else "", str(user_id or ""), "")


def key_changed(caller: Caller, action: str, key: ApiKey) -> None:
    _enter(caller.actor, action, "api_key", str(key.id), key.restaurant_id or "")


def key_used(key: ApiKey) -> None:
    """A key is in use; entered once an hour at most."""
    _enter(
        f"{CallerKind.API_KEY.value}:{key.id}",
        "api-key.used",
        "api_key",
        str(key.id),
        key.restaurant_id or "",
    )


def _enter(actor: str, action: str, target_type: str, target_id: str, restaurant_id: str) -> None:
    audit.record(
        actor=actor, action=action, target_type=target_type, target_id=target_id, restaurant_id=restaurant_id
    )
    logger.info("%s", action, extra={"actor": actor, "action": action, "target": target_id})
