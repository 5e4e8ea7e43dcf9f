"""Where Django's admin looks for what it shows."""

from wokibrain.backoffice import blocks, bookings, guests, people, places, rooms, trail

__all__ = ["blocks", "bookings", "guests", "people", "places", "rooms", "trail"]
