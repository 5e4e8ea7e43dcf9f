"""Where Django's admin looks for what it shows."""

from wokibrain.backoffice import book, people, places

__all__ = ["book", "people", "places"]
