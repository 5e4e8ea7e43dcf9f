"""Celery's side of the daily housekeeping."""

from __future__ import annotations

from celery import shared_task

from wokibrain.core import context, retention


@shared_task(name="wokibrain.tidy")  # type: ignore[untyped-decorator]
def tidy() -> None:
    """Delete data past its term. A day that is missed or run twice does no harm: the next one deletes the rest."""
    with context.entered(context.Context(source="worker")):
        retention.tidy()
