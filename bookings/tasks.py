"""Celery's side of bookings."""

from __future__ import annotations

from celery import shared_task

from bookings.services.closing import close_ended_days
from wokibrain.core import context


@shared_task(name="wokibrain.bookings.close_ended_days")  # type: ignore[untyped-decorator]
def close() -> None:
    """Close the parties of ended days. A run that is missed does no harm: the next one closes them."""
    with context.entered(context.Context(source="worker")):
        close_ended_days()
