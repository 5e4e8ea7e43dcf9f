"""What the product does for itself once a day."""

from __future__ import annotations

from wokibrain.celery import app
from wokibrain.core import context
from wokibrain.ops import retention


@app.task(name="wokibrain.tidy")  # type: ignore[untyped-decorator]
def tidy() -> None:
    """Erase and delete what has been kept long enough. Losing or repeating a day changes nothing."""
    with context.entered(context.Context(source="worker")):
        retention.tidy()
