"""Rows as the services write them: validated, with each issue at the field as the API spells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models.deletion import ProtectedError
from django.utils.translation import gettext_lazy as _

from restaurants.models import Restaurant, Sector, Table
from restaurants.services.audit import SPELLED
from wokibrain.core.errors import Conflict, Issue, NotFound, Text, ValidationFailed

Row = TypeVar("Row", bound=models.Model)

ORDERED: Final = (
    ("min_party", "max_party"),
    ("min_duration", "max_duration"),
    ("capacity_min", "capacity_max"),
)
"""What may not exceed the other; the database says so of the row as a whole."""


def save(row: Row, *, whole: str = "body", fields: Collection[str] | None = None) -> Row:
    """Validate and save a row. Raises ValidationFailed with each issue at the field as the API spells it.

    ``whole`` is named for what is wrong with no field alone; ``fields`` are what is written, all by default.
    """
    try:
        row.full_clean()
    except ValidationError as error:
        raise _failed(error, _crossed(row, fields or ()) or whole) from error
    row.save(update_fields=fields)
    return row


def insert(row: Row) -> Row:
    """Save a row that is new. Raises ValidationFailed, also where its id is taken, by whomever: ids are global."""
    taken = ValidationFailed.at("id", _("This id is taken."))
    if type(row)._default_manager.filter(pk=row.pk).exists():
        raise taken
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        raise _failed(error, _crossed(row) or "body") from error
    try:
        with transaction.atomic():
            # Never an update: between the look and the write somebody else may have taken the id.
            row.save(force_insert=True)
    except IntegrityError as error:
        raise taken from error
    return row


def renew(row: Row) -> None:
    """Read the row again and keep others from it: it was read before the plan's lock. Raises NotFound."""
    try:
        row.refresh_from_db(from_queryset=type(row)._default_manager.select_for_update(no_key=True))
    except ObjectDoesNotExist as error:
        raise NotFound from error


def update(row: Restaurant | Sector | Table, settings: Mapping[str, Any]) -> None:
    if settings:
        for field, value in settings.items():
            setattr(row, field, value)
        save(row, fields=[*settings, "updated_at"])


def delete(row: models.Model, refusal: Text) -> None:
    try:
        with transaction.atomic():
            row.delete()
    except (ProtectedError, IntegrityError) as error:
        raise Conflict(refusal) from error


def _crossed(row: models.Model, given: Collection[str] = ()) -> str | None:
    """Of a least that is above its most, the one that was given, as the API spells it; None where there is none."""
    for least, most in ORDERED:
        bottom, top = getattr(row, least, None), getattr(row, most, None)
        if bottom is not None and top is not None and bottom > top:
            return SPELLED[most if most in given and least not in given else least]
    return None


def _failed(error: ValidationError, whole: str) -> ValidationFailed:
    issues = [
        Issue(whole if field == NON_FIELD_ERRORS else SPELLED.get(field, field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return ValidationFailed(issues[0].message if len(issues) == 1 else "", issues=issues)
