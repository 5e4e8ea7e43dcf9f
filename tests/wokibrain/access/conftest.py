"""Two restaurants, R1 and R2, and callers of every role at R1."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from bookings.sample_data import example as seed
from restaurants.services.restaurants import create_restaurant, create_sector, create_table
from wokibrain.access import credentials, keys
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role


@pytest.fixture
def example(db: None) -> None:
    """Create the seeded R1, and R2 "La Otra" with S9 and T9."""
    make_example()


def make_example() -> None:
    credentials.forget()
    seed.example()
    create_restaurant(caller=SYSTEM, id="R2", name="La Otra", zone="Europe/Madrid")
    create_sector(caller=SYSTEM, id="S9", restaurant_id="R2", name="Patio")
    create_table(caller=SYSTEM, id="T9", sector_id="S9", capacity_min=2, capacity_max=4)


def client_of(role: Role | None, restaurant_id: str | None = "R1") -> APIClient:
    """Return a client with a key of that role, or without credentials for None."""
    client = APIClient()
    if role is not None:
        place = None if role is Role.SUPER_ADMIN else restaurant_id
        _, token = keys.create_key(caller=SYSTEM, name=role.value, role=role, restaurant_id=place)
        client.credentials(HTTP_X_API_KEY=token)
    return client
