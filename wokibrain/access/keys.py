"""The writers of API keys."""

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
from wokibrain.access.credentials import KEY_MARK, PREFIX_LENGTH, digest_of, permissions_of, prefix_of
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import EVERYWHERE, Caller
from wokibrain.core.errors import Forbidden, NotFound, ValidationFailed
from wokibrain.core.permissions import PERMISSIONS, Permission

_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def new_token() -> str:
    """A fresh API key: ``wk_``, eight characters that name it, and 256 random bits."""
    return KEY_MARK + "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH + 44))


def create_key(
    *,
    caller: Caller,
    name: str,
    role: str,
    restaurant_id: str | None = None,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its token, which nobody can show again.

    The caller must administer the restaurant (or everything, for a key without one) and hold there
    all that the key is given. Raises Forbidden, NotFound, ValidationFailed.
    """
    _require(caller, restaurant_id)
    if role not in PERMISSIONS:
        raise ValidationFailed.at("role", _("This value is not valid."))
    wanted = None if scopes is None else sorted(set(scopes))
    if wanted is not None and (foreign := set(wanted) - {each.value for each in PERMISSIONS[role]}):
        raise ValidationFailed.at(
            "scopes", format_lazy(_("This role does not hold: {scopes}."), scopes=", ".join(sorted(foreign)))
        )
    if expires_at is not None and expires_at <= clock.now():
        raise ValidationFailed.at("expiresAt", _("The expiry date must be in the future."))
    if not permissions_of(role, wanted) <= caller.permissions_at(restaurant_id or EVERYWHERE):
        raise Forbidden
    token = new_token()
    key = ApiKey(
        name=name,
        prefix=prefix_of(token),
        digest=digest_of(token),
        restaurant_id=restaurant_id,
        role=role,
        scopes=wanted,
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
    """End a key for good, by id or prefix; a second time changes nothing. Raises NotFound, Forbidden."""
    key = keys_of(caller).filter(prefix=key_id.removeprefix(KEY_MARK)[:PREFIX_LENGTH]).first()
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
    """The keys a caller administers."""
    places = caller.restaurants(Permission.RESTAURANT_UPDATE)
    return ApiKey.objects.all() if places is None else ApiKey.objects.filter(Q(restaurant__in=places))


def _require(caller: Caller, restaurant_id: str | None) -> None:
    if restaurant_id is not None:
        caller.require(Permission.RESTAURANT_UPDATE, restaurant_id)
    elif caller.restaurants(Permission.RESTAURANT_UPDATE) is not None:
        raise Forbidden
