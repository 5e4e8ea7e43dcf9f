from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bookings.sample_data import example
from tests.api import Api, api_as
from wokibrain.core.clock import frozen


@pytest.fixture
def guest(db: None) -> Api:
    """Return a caller without credentials; the example restaurant exists."""
    example.example()
    return Api()


@pytest.fixture
def staff(guest: Api) -> Api:
    """Return a caller with every permission; the example restaurant exists."""
    return api_as()


@pytest.fixture
def evening() -> Iterator[None]:
    """Stop the clock at 20:30 of the example's evening, when B1 is due."""
    with frozen(datetime(2025, 10, 22, 23, 30, tzinfo=UTC)):
        yield
