from __future__ import annotations

from typing import Any

import pytest

from bookings import seed
from tests.api import Api, api_as


@pytest.fixture(autouse=True)
def _no_throttle(settings: Any) -> None:
    """Some of these tests ask one endpoint hundreds of times; the limit has tests of its own."""
    settings.RATE_LIMIT_MAX = 1_000_000


@pytest.fixture
def guest(db: None) -> Api:
    """A caller without credentials; the example restaurant is there."""
    seed.example()
    return Api()


@pytest.fixture
def staff(guest: Api) -> Api:
    """A caller who may do everything; the example restaurant is there."""
    return api_as()
