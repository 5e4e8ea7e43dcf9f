"""Admin pages of bookings: bookings, guests and table blocks."""

from bookings.admin import bookings, guests, table_blocks

__all__ = ["bookings", "guests", "table_blocks"]
