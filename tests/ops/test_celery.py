"""What the worker reads, and what it says to root about it."""

import os
import subprocess
import sys

import pytest

from wokibrain import env
from wokibrain.celery import app

AS_ROOT = """
import warnings
from celery.exceptions import SecurityWarning
from celery.platforms import check_privileges
from wokibrain.celery import app
check_privileges(app.conf.accept_content)
warnings.warn(SecurityWarning("something else"))
"""


def test_messages_are_json_and_nothing_else_is_read() -> None:
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is warned")
def test_only_the_warning_about_root_is_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default::UserWarning", "-c", AS_ROOT],
        cwd=env.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line for line in done.stderr.splitlines() if "SecurityWarning: " in line] == [
        "<string>:7: SecurityWarning: something else"
    ]
