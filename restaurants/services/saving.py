"""Validate and save the rows of the services; issues name fields as the API does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models.deletion import ProtectedError
from django.utils.translation import gettext_lazy as _

from restaurants.models import Restaurant, Sector, Table
from restaurants.services.audit import API_NAMES
from wokibrain.core.errors import Conflict, Issue, NotFound, Text, ValidationFailed

Row = TypeVar("Row", bound=models.Model)

BOUNDS: Final = (
    ("min_party", "max_party"),
    ("min_duration", "max_duration"),
    ("capacity_min", "capacity_max"),
)
"""Pairs of fields of which the first must not exceed the second; the database checks the row as a whole."""


def save(row: Row, *, whole: str = "body", fields: Collection[str] | None = None) -> Row:
    """Validate and save a row. Raises ValidationFailed with each issue at its field in the API.

    Issues with no single field are reported at ``whole``. ``fields`` are the ones to write, all by default.
    """
    try:
        row.full_clean()
    except ValidationError as error:
        raise _validation_failed(error, _crossed_bound(row, fields or ()) or whole) from error
    row.save(update_fields=fields)
    return row


def insert(row: Row) -> Row:
    """Save a new row. Raises ValidationFailed, also if its id is in use in any restaurant: ids are global."""
    in_use = ValidationFailed.at("id", _("This id is already in use."))
    if type(row)._default_manager.filter(pk=row.pk).exists():
        raise in_use
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        raise _validation_failed(error, _crossed_bound(row) or "body") from error
    try:
        with transaction.atomic():
            # Never an update: another transaction may have inserted the id since the query above.
            row.save(force_insert=True)
    except IntegrityError as error:
        raise in_use from error
    return row


def lock_and_refresh(row: Row) -> None:
    """Lock the row and read it again: it was read before the plan was locked. Raises NotFound."""
    try:
        row.refresh_from_db(from_queryset=type(row)._default_manager.select_for_update(no_key=True))
    except ObjectDoesNotExist as error:
        raise NotFound from error


def update(row: Restaurant | Sector | Table, settings: Mapping[str, Any]) -> None:
    """Set these fields and save them. Raises ValidationFailed."""
    if settings:
        for field, value in settings.items():
            setattr(row, field, value)
        save(row, fields=[*settings, "updated_at"])


def delete(row: models.Model, refusal: Text) -> None:
    """Delete a row. Raises Conflict, saying ``refusal``, if bookings or blocks refer to it."""
    try:
        with transaction.atomic():
            row.delete()
    except (ProtectedError, IntegrityError) as error:
        raise Conflict(refusal) from error


def _crossed_bound(row: models.Model, written: Collection[str] = ()) -> str | None:
    """Return the API's name of a lower bound that exceeds its upper one, or of the upper if only that was written."""
    for least, most in BOUNDS:
        bottom, top = getattr(row, least, None), getattr(row, most, None)
        if bottom is not None and top is not None and bottom > top:
            return API_NAMES[most if most in written and least not in written else least]
    return None


def _validation_failed(error: ValidationError, whole: str) -> ValidationFailed:
    issues = [
        Issue(whole if field == NON_FIELD_ERRORS else API_NAMES.get(field, field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return ValidationFailed(issues[0].message if len(issues) == 1 else "", issues=issues)
