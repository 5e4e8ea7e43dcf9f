"""The formats that the worker reads, and its warning to root."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from wokibrain.celery import app, broker_url
from wokibrain.core import env

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


@pytest.mark.parametrize(
    ("redis", "broker", "queues"),
    [
        ("redis://h:1/3", "", "redis://h:1/4"),
        ("redis://h:1/0", "redis://h:1/0", "redis://h:1/0"),
        (
            "redis://h:1/0",
            "rediss://:p@q:2/7?ssl_cert_reqs=required",
            "rediss://:p@q:2/7?ssl_cert_reqs=required",
        ),
        ("redis://h:1/0", "unix:///run/r.sock?db=5", "redis+socket:///run/r.sock?virtual_host=5"),
    ],
)
def test_queues_are_in_a_redis_of_their_own_or_in_the_next_database(
    settings: Settings, redis: str, broker: str, queues: str
) -> None:
    settings.REDIS_URL, settings.BROKER_URL = redis, broker
    assert broker_url() == queues


@pytest.mark.parametrize("broker", ["amqp://h", "redis://h:1/queues"])
def test_a_broker_other_than_redis_is_refused_by_name(settings: Settings, broker: str) -> None:
    settings.BROKER_URL = broker
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL"):
        broker_url()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is warned")
def test_only_the_warning_about_root_is_suppressed() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "default::UserWarning", "-c", AS_ROOT],
        cwd=env.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line for line in result.stderr.splitlines() if "SecurityWarning: " in line] == [
        "<string>:7: SecurityWarning: something else"
    ]
