"""Handwritten SQL names only tables of its own app; for other apps' tables it uses the owner's fragments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from wokibrain.core import env

PACKAGES = ("bookings", "restaurants", "webhooks", "wokibrain")


def owners() -> dict[str, str]:
    """Return each table's name -> the package of the app that owns it."""
    return {
        model._meta.db_table: model._meta.app_config.name
        for model in apps.get_models(include_auto_created=True)
    }


def foreign_tables(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each table in a string of ``source`` that an app other than the module's owns."""
    tables = {table: owner for table, owner in owners().items() if not f"{module}.".startswith(f"{owner}.")}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(r"\w+", node.value):
                if name in tables:
                    yield node.lineno, name


def modules() -> list[Path]:
    return [
        path.relative_to(env.ROOT)
        for package in PACKAGES
        for path in sorted((env.ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]


@pytest.mark.parametrize("path", modules(), ids=str)
def test_sql_names_only_tables_of_its_own_app(path: Path) -> None:
    module = ".".join(path.with_suffix("").parts)
    assert list(foreign_tables((env.ROOT / path).read_text(), module)) == []


@pytest.mark.parametrize(
    ("module", "statement", "table"),
    [
        ("webhooks.queue", '"SELECT FROM events_receipt r"', "events_receipt"),
        ("bookings.availability.day", 'f"SELECT {X} FROM restaurants_restaurant"', "restaurants_restaurant"),
        ("wokibrain.ops.health", '"DELETE FROM django_session"', "django_session"),
        ("bookings.services.guests", '"FROM bookings_idempotencykey"', "bookings_idempotencykey"),
    ],
)
def test_canary_a_statement_over_another_apps_table_is_reported(
    module: str, statement: str, table: str
) -> None:
    assert list(foreign_tables(f"QUERY = {statement}", module)) == [(1, table)]
