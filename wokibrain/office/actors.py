"""Names of actors for people: events and audit entries store a caller as kind and id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from wokibrain.access.models import ApiKey
from wokibrain.core.callers import CallerKind


def actors_named(actors: Iterable[str]) -> dict[str, str]:
    """Return, for each stored actor such as ``user:7``, the name of that person or key to display."""
    names = {actor: actor or _("unknown") for actor in actors}
    by_kind: dict[str, dict[str, str]] = defaultdict(dict)
    for actor in names:
        kind, _colon, id_ = actor.partition(":")
        by_kind[kind][actor] = id_
    users, api_keys = by_kind[CallerKind.USER], by_kind[CallerKind.API_KEY]
    people = User.objects.in_bulk([int(id_) for id_ in users.values() if id_.isdecimal()])
    keys = {str(key.pk): key for key in ApiKey.objects.filter(pk__in=filter(_is_uuid, api_keys.values()))}
    for actor, id_ in users.items():
        person = people.get(int(id_)) if id_.isdecimal() else None
        names[actor] = display_name(person) if person else _("a former user")
    for actor, id_ in api_keys.items():
        names[actor] = (
            _("API key %(name)s") % {"name": keys[id_].name} if id_ in keys else _("a former API key")
        )
    names |= dict.fromkeys(by_kind[CallerKind.SYSTEM], "WokiBrain")
    # Replaced as a whole: an anonymous actor may carry an address, which must not be shown.
    names |= dict.fromkeys(by_kind[CallerKind.ANONYMOUS], _("without sign-in"))
    return names


def display_name(user: User) -> str:
    return user.get_full_name() or user.get_username()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
