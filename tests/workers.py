"""The pytest plugin that distributes a run over processes (`-p tests.workers`, `pytest -n auto`).

A file is run by one worker, so that what its tests share is started once; so are the files of a group, which share a
browser. There are as many workers as processors; PYTEST_XDIST_AUTO_NUM_WORKERS and `make test ARGS="-n 3"` override
it, and `ARGS="-n 0"` runs all tests in one process.

A test whose result another test on the machine would change runs while no other does: one that is marked `alone`, and
one with a Kafka broker or servers that fail, which has its patience and load measured for a whole machine. Those with a
browser are many and mostly wait: one worker begins with them, while the others run the quick files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.processes import RUN_FOLDER

GROUPS = ("tests/e2e/",)
"""Folders whose files are run by one worker, one after the other."""
FIRST = "browser"
"""The mark of tests whose files are begun first."""
EXCLUSIVE = ("alone", "kafka", "fault")
"""Marks of tests that run while no other does. Their files come last, when there is nothing left to keep waiting."""


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist comes without types
    """Hands out files, or groups of files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((group for group in GROUPS if path.startswith(group)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    config.option.loadscopereorder = False
    return Scheduler(config, log)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    first = {item.path for item in items if item.get_closest_marker(FIRST)}
    last = {item.path for item in items if _is_exclusive(item)}
    items.sort(key=lambda item: (item.path not in first, item.path in last))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with _place(alone=_is_exclusive(item)):
        return (yield)


def _is_exclusive(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(mark) for mark in EXCLUSIVE)


@contextlib.contextmanager
def _place(*, alone: bool) -> Iterator[None]:
    """Take a place among the tests that run now, or all places."""
    folder = Path(os.environ[RUN_FOLDER])
    with (folder / "places").open("w") as places:
        # A test that waits for all places holds the gate, so that no other test takes one.
        with (folder / "gate").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(places, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
