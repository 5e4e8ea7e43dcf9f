from __future__ import annotations

import pytest

from bookings.sample_data import example
from tests.api import Api, api_as


@pytest.fixture
def guest(db: None) -> Api:
    """A caller without credentials; the example restaurant is there."""
    example.example()
    return Api()


@pytest.fixture
def staff(guest: Api) -> Api:
    """A caller who may do everything; the example restaurant is there."""
    return api_as()
