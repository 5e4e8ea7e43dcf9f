"""Admin pages of restaurants and of their sectors and tables."""

from restaurants.admin import restaurants, sectors

__all__ = ["restaurants", "sectors"]
