"""Rows as the services write them: validated, with each issue at the field as the API spells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models.deletion import ProtectedError
from django.utils.translation import gettext_lazy as _

from restaurants.models import Restaurant, Sector, Table
from restaurants.trail import SPELLED
from wokibrain.errors import Conflict, Issue, NotFound, Text, ValidationFailed

Row = TypeVar("Row", bound=models.Model)


def save(row: Row, *, whole: str = "body", fields: Collection[str] | None = None) -> Row:
    """Validate and save a row. Raises ValidationFailed with each issue at the field as the API spells it.

    ``whole`` is named for what is wrong with no field alone; ``fields`` are what is written, all by default.
    """
    try:
        row.full_clean()
    except ValidationError as error:
        raise _failed(error, whole) from error
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
        raise _failed(error) from error
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


def _failed(error: ValidationError, whole: str = "body") -> ValidationFailed:
    issues = [
        Issue(whole if field == NON_FIELD_ERRORS else SPELLED.get(field, field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return ValidationFailed(issues[0].message if len(issues) == 1 else "", issues=issues)
