"""`manage.py check`: Django's checks, with those of the database wherever it answers."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.commands import check
from django.db import DEFAULT_DB_ALIAS, Error, connection


class Command(check.Command):
    def handle(self, *app_labels: Any, **options: Any) -> None:
        options["databases"] = options["databases"] or _reachable()
        super().handle(*app_labels, **options)


def _reachable() -> list[str] | None:
    try:
        connection.ensure_connection()
    except (Error, ImproperlyConfigured):
        return None
    return [DEFAULT_DB_ALIAS]
