"""What the audit trail says of sign-ins and keys: ids, never names or secrets."""

from __future__ import annotations

import logging

from wokibrain.access.callers import Caller
from wokibrain.access.models import ApiKey

logger = logging.getLogger("wokibrain.audit")


def signed_in(user_id: int | None, action: str) -> None:
    """A sign-in, or an attempt that failed or was blocked; whose it was is only known when it went well."""
    logger.info(
        "%s", action, extra={"actor": f"user:{user_id}" if user_id else "anonymous", "action": action}
    )


def key_changed(caller: Caller, action: str, key: ApiKey) -> None:
    logger.info("%s", action, extra={"actor": caller.actor, "action": action, "target": str(key.id)})


def key_used(key: ApiKey, *, first: bool) -> None:
    """A key is in use; said once a minute at most, and told apart when it is for the first time."""
    action = "api-key.first-used" if first else "api-key.used"
    logger.info("%s", action, extra={"actor": f"api_key:{key.id}", "action": action, "target": str(key.id)})
