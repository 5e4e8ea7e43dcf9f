"""The database enforces the limits within which the engine is measured."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from restaurants.models import MAX_JOINS, TableJoin
from tests.api import make_restaurant

pytestmark = pytest.mark.django_db


def star(arms: int) -> None:
    """Create a table joined to ``count`` others."""
    make_restaurant("J", tables={"A": (1, 2)} | {f"B{number}": (1, 2) for number in range(arms + 1)})
    for number in range(arms):
        TableJoin.objects.create(sector_id="J-S", first_id="J-A", second_id=f"J-B{number}")


def test_a_ninth_join_is_refused_with_a_sentence() -> None:
    star(MAX_JOINS)
    ninth = TableJoin(sector_id="J-S", first_id="J-A", second_id=f"J-B{MAX_JOINS}")
    with pytest.raises(ValidationError, match="Table J-A already joins 8 others"):
        ninth.full_clean()


def test_a_ninth_join_is_refused_by_the_database() -> None:
    star(MAX_JOINS)
    with pytest.raises(IntegrityError, match="a table joins at most 8 others"), transaction.atomic():
        TableJoin.objects.create(sector_id="J-S", first_id="J-A", second_id=f"J-B{MAX_JOINS}")
    assert TableJoin.objects.count() == MAX_JOINS


def test_combos_beyond_two_thousand_are_refused_by_the_database() -> None:
    make_restaurant("C")
    insert = (
        "INSERT INTO restaurants_combo (id, sector_id, key, capacity_min, capacity_max) "
        "SELECT gen_random_uuid(), 'C-S', 'K' || n, 2, 4 FROM generate_series(%s::int, %s::int) AS n"
    )
    with connection.cursor() as cursor:
        cursor.execute(insert, [1, 2000])
        with pytest.raises(IntegrityError, match="at most 2000"), transaction.atomic():
            cursor.execute(insert, [2001, 2001])
