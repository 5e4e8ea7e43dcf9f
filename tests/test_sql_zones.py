"""SQL converts no time zones: PostgreSQL has rules of its own, and 'CET' means two things in it.

The rules come from one source, ``wokibrain.core.zones``, so wall times are worked out in Python.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.admin import site
from django.db import connection
from django.db.models import DateTimeField

from wokibrain.core import env

PACKAGES = ("bookings", "restaurants", "webhooks", "wokibrain")

CONVERSION = re.compile(
    r"""
    \bat\s+time\s+zone\b(?!\s+'UTC')           # UTC is the same everywhere and needs no rules
    | \bat\s+local\b
    | \btimezone\s*\((?!\s*'UTC')
    | \bdate_trunc\s*\([^()]*(\([^()]*\)[^()]*)*,[^()]*(\([^()]*\)[^()]*)*,   # three arguments: the third is a zone
    | \bset\s+(local\s+|session\s+)?time\s*zone\b
    | \bmake_timestamptz\s*\(([^,()]*,){6}     # the seventh is a zone
    """,
    re.IGNORECASE | re.VERBOSE,
)
OF_DJANGO = re.compile(r"^(Trunc|Extract)\w*$")
LOOKUP = re.compile(
    r"__(date|time|hour|minute|second|day|month|year|iso_year|week|week_day|iso_week_day|quarter)(__\w+)?$"
)


def conversions(source: str) -> dict[tuple[int, str], None]:
    """Return the line and text of each conversion of an instant into a wall time, or back, by the database."""
    return dict.fromkeys(_conversions(source))


def _conversions(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                yield from ((node.lineno, match.group()) for match in CONVERSION.finditer(text))
            case ast.JoinedStr():
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values
                )
                yield from ((node.lineno, match.group()) for match in CONVERSION.finditer(text))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if OF_DJANGO.match(name):
                if not any(one.arg == "tzinfo" and ast.unparse(one.value) == "UTC" for one in node.keywords):
                    yield node.lineno, name
            case ast.Attribute(attr="datetimes"):
                yield node.lineno, "datetimes"
            case ast.keyword(arg=str(name)) if LOOKUP.search(name) and not name.startswith("service_date__"):
                yield node.lineno, name


def modules() -> list[Path]:
    return [
        path.relative_to(env.ROOT)
        for package in PACKAGES
        for path in sorted((env.ROOT / package).rglob("*.py"))
    ]


@pytest.mark.parametrize("path", modules(), ids=str)
def test_no_statement_converts_zones(path: Path) -> None:
    assert list(conversions((env.ROOT / path).read_text())) == []


def test_no_admin_page_browses_instants_by_their_date() -> None:
    # Django has the database truncate them in a zone; a field that is a date needs none.
    hierarchies = {
        admin.date_hierarchy: isinstance(model._meta.get_field(admin.date_hierarchy), DateTimeField)
        for model, admin in site._registry.items()
        if admin.date_hierarchy
    }
    assert hierarchies == {"service_date": False, "date": False}


@pytest.mark.django_db
def test_nothing_in_the_database_converts_zones() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT proname, prosrc FROM pg_proc JOIN pg_language l ON l.oid = prolang
            WHERE pronamespace = current_schema()::regnamespace AND lanname IN ('sql', 'plpgsql')
            UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
            UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = current_schema()::regnamespace
            """
        )
        definitions = dict(cursor.fetchall())
    assert "restaurant_plan_next" in definitions
    assert {name for name, text in definitions.items() if CONVERSION.search(text)} == set()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('"SELECT start AT TIME ZONE zone FROM b"', "AT TIME ZONE"),
        ("\"SELECT start at  time\\nzone 'CET'\"", "at  time\nzone"),
        ('f"SELECT start AT TIME {x} ZONE"', None),
        ("f\"SELECT {column} AT TIME ZONE '{zone}'\"", "AT TIME ZONE"),
        ('"SELECT timezone(zone, start)"', "timezone("),
        ("\"date_trunc('day', start, restaurant.zone)\"", "date_trunc('day', start,"),
        ("\"date_trunc('day', coalesce(a, b), zone)\"", "date_trunc('day', coalesce(a, b),"),
        ("\"date_trunc('day', coalesce(a, b))\"", None),
        ("\"SET LOCAL TIME ZONE 'Europe/Madrid'\"", "SET LOCAL TIME ZONE"),
        ("TruncDate('start')", "TruncDate"),
        ("TruncHour('created_at', tzinfo=UTC)", None),
        ("functions.ExtractHour('start', tzinfo=zone)", "ExtractHour"),
        ("Booking.objects.filter(start__date=day)", "start__date"),
        ("Booking.objects.filter(start__hour__gte=8)", "start__hour__gte"),
        ("Booking.objects.filter(service_date__year=2026)", None),
        ("Booking.objects.datetimes('start', 'day', tzinfo=zone)", "datetimes"),
        ("\"SELECT (lower(period) AT TIME ZONE 'UTC')::date\"", None),
    ],
)
def test_canary_a_conversion_is_seen(source: str, text: str | None) -> None:
    assert [conversion for _line, conversion in conversions(source)] == ([text] if text else [])
