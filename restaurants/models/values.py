"""Limits, validators and defaults of the models' fields."""

from __future__ import annotations

from datetime import time

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db.models import F, Q, Value
from django.db.models.functions import Mod
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from wokibrain.core import ids
from wokibrain.core.clock import is_known_zone

MAX_PARTY = 50
MAX_OCCUPIED_MARGIN = 120
"""Minutes."""
MAX_COMBO_TABLES = 4
MAX_JOINS = 8
"""See ``restaurants.models`` for the reason."""

valid_id = RegexValidator(rf"^{ids.NAME.pattern}\Z", _("Use 1-50 letters, digits, '.', '_', '~' or '-'."))
valid_party = [MinValueValidator(1), MaxValueValidator(MAX_PARTY)]


def valid_zone(name: str) -> None:
    if not is_known_zone(name):
        raise ValidationError(_("Unknown time zone."), code="zone")


def valid_quarters(minutes: int) -> None:
    if minutes % 15:
        raise ValidationError(_("Use a multiple of 15 minutes."), code="grid")


def lies_within(opens: time, closes: time, wall: time) -> bool:
    """Return whether a wall time lies in the window or at its end; ``closes <= opens`` means the next day."""

    def minutes_after_opening(at: time) -> int:
        return ((at.hour - opens.hour) * 60 + at.minute - opens.minute) % 1440

    return minutes_after_opening(wall) <= (minutes_after_opening(closes) or 1440)


def restaurant_id() -> str:
    return ids.name("R")


def sector_id() -> str:
    return ids.name("S")


def table_id() -> str:
    return ids.name("T")


def multiple_of_15(field: str) -> Exact:
    return Exact(Mod(F(field), Value(15)), Value(0))


def on_the_grid(*fields: str) -> Q:
    """Return the rule that each wall time is empty or on a quarter hour."""
    rule = Q()
    for field in fields:
        rule &= Q(**{f"{field}__isnull": True}) | Q(
            **{f"{field}__minute__in": (0, 15, 30, 45), f"{field}__second": 0}
        )
    return rule
