from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.webhooks.support import Receiver


@pytest.fixture
def private(settings: Settings) -> None:
    """Deliveries may go to this machine: the receivers of the tests are here."""
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def receiver(private: None) -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
