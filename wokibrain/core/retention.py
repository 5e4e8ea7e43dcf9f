"""Data that is kept for a limited time. Apps register, in ``ready()``, the job that deletes theirs once a day."""

from __future__ import annotations

from collections.abc import Callable

Job = Callable[[], int]

_jobs: dict[str, Job] = {}


def register(name: str, job: Job) -> None:
    """Have ``job`` run once a day. It returns how many rows it deleted or emptied, reported under ``name``.

    A job must be safe at any time, also while another process runs the same one.
    """
    _jobs[name] = job


def tidy() -> dict[str, int]:
    """Run every job now. Return each job's name and count, in the order in which the apps registered them."""
    return {name: job() for name, job in _jobs.items()}
