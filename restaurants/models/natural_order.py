"""The order of tables in every list: by their position, then by the names that people read, 2 before 10."""

from __future__ import annotations

from typing import Final

from django.db.models import CharField, F, Func, Value
from django.db.models.functions import Coalesce, NullIf

DIGITS: Final = 18
"""Numbers in a name compare by this many of their last digits."""


class NaturalKey(Func):
    """Text whose order as bytes is the natural one: each run of digits padded with zeros.

    An expression and not a collation, since the product's own Postgres is built without ICU.
    """

    template = (
        "regexp_replace(regexp_replace(%(expressions)s, '([0-9]+)', '" + "0" * DIGITS + "\\1', 'g'), "
        f"'[0-9]*([0-9]{{{DIGITS}}})(?![0-9])', '\\1', 'g') COLLATE \"C\""
    )
    arity = 1
    output_field = CharField()


def table_order() -> tuple[str | NaturalKey, ...]:
    """Return the ordering of tables. It is total, as pages of a list need it."""
    return "position", NaturalKey(Coalesce(NullIf(F("name"), Value("")), F("id"))), "id"
