from __future__ import annotations

import pytest

from bookings.sample_data import example
from tests.api import Api, api_as


@pytest.fixture
def guest(db: None) -> Api:
    """Return a caller without credentials; the example restaurant exists."""
    example.example()
    return Api()


@pytest.fixture
def staff(guest: Api) -> Api:
    """Return a caller with every permission; the example restaurant exists."""
    return api_as()
