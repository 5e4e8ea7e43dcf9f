"""Creating, revoking and listing API keys."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from wokibrain.access import audit, credentials
from wokibrain.access.credentials import KEY_PREFIX, PREFIX_LENGTH, digest_of, permissions_of, prefix_of
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import EVERYWHERE, Caller
from wokibrain.core.errors import Forbidden, NotFound, ValidationFailed
from wokibrain.core.permissions import PERMISSIONS, Permission

# Without characters that look alike in print.
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def new_token() -> str:
    """Return a new API key: ``wk_``, eight characters that identify it, and 256 random bits."""
    return KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH + 44))


def create_key(
    *,
    caller: Caller,
    name: str,
    role: str,
    restaurant_id: str | None = None,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Create a key; return it with its token, which cannot be shown again.

    The caller must administer the restaurant (or all, for a key without one) and hold every permission
    that the key gets. Raises Forbidden, NotFound, ValidationFailed.
    """
    _require_administrator(caller, restaurant_id)
    if role not in PERMISSIONS:
        raise ValidationFailed.at("role", _("This value is not valid."))
    distinct_scopes = None if scopes is None else sorted(set(scopes))
    role_scopes = {permission.value for permission in PERMISSIONS[role]}
    if distinct_scopes is not None and (foreign := set(distinct_scopes) - role_scopes):
        raise ValidationFailed.at(
            "scopes",
            format_lazy(_("This role does not include: {scopes}."), scopes=", ".join(sorted(foreign))),
        )
    if expires_at is not None and expires_at <= clock.now():
        raise ValidationFailed.at("expiresAt", _("The expiry date must be in the future."))
    if not permissions_of(role, distinct_scopes) <= caller.permissions_at(restaurant_id or EVERYWHERE):
        raise Forbidden
    token = new_token()
    key = ApiKey(
        name=name,
        prefix=prefix_of(token),
        digest=digest_of(token),
        restaurant_id=restaurant_id,
        role=role,
        scopes=distinct_scopes,
        expires_at=expires_at,
    )
    try:
        key.full_clean(exclude=["digest"])
    except ValidationError as error:
        if "restaurant" in error.message_dict:
            raise NotFound.at("restaurantId") from error
        raise ValidationFailed.at("name", next(iter(error.messages))) from error
    with transaction.atomic():
        key.save(force_insert=True)
        audit.key_changed(caller, "api-key.created", key)
    return key, token


def revoke_key(*, caller: Caller, key_id: str) -> ApiKey:
    """Revoke a key for good, by id or prefix; revoking it again has no effect. Raises NotFound, Forbidden."""
    key = keys_of(caller).filter(prefix=key_id.removeprefix(KEY_PREFIX)[:PREFIX_LENGTH]).first()
    if key is None:
        try:
            key = keys_of(caller).filter(pk=key_id).first()
        except (ValidationError, ValueError):
            key = None
    if key is None:
        raise NotFound
    with transaction.atomic():
        ended = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now())
        key.refresh_from_db()
        if ended == 1:
            audit.key_changed(caller, "api-key.revoked", key)
    credentials.forget()
    return key


def keys_of(caller: Caller) -> QuerySet[ApiKey]:
    """Return the keys that the caller administers."""
    restaurants = caller.restaurants(Permission.RESTAURANT_UPDATE)
    return (
        ApiKey.objects.all() if restaurants is None else ApiKey.objects.filter(Q(restaurant__in=restaurants))
    )


def _require_administrator(caller: Caller, restaurant_id: str | None) -> None:
    if restaurant_id is not None:
        caller.require(Permission.RESTAURANT_UPDATE, restaurant_id)
    elif caller.restaurants(Permission.RESTAURANT_UPDATE) is not None:
        raise Forbidden
